"""The page of errors, read back with the standard library's parser."""

import base64
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from textspot.geometry import box_to_quad
from textspot.metrics import KINDS, GroundTruth, Scores, build_protocol, score_images
from textspot.metrics.error_page import build_report, find_images, measure_angle
from textspot.structures import Prediction, TextInstance

END_TO_END, DETECTION = "icdar2015/end_to_end", "icdar2015/detection_iou"
SCRIPT = "<script>alert('&amp;')</script>"
VOID = {"meta", "input", "wbr", "image"}


class Page(HTMLParser):
    """What stands in a page: every start tag with its attributes, and the text below some tags. Counts open tags."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.texts = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append((self.open[-1] if self.open else "", data))

    def find(self, tag, **attributes):
        """The attributes of the tags of that name with those attributes."""
        return [a for name, a in self.tags if name == tag and attributes.items() <= a.items()]

    def text(self, *tags):
        return "".join(data for tag, data in self.texts if tag in tags)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def score(*images, protocols=(END_TO_END, DETECTION), **settings):
    """Scores of images given as (name, words, detections), words and detections as (box, text)."""
    truths = [
        GroundTruth(
            [box_to_quad(box) for box, _ in words],
            [t for _, t in words],
            np.array([t == "###" for _, t in words], bool),
            name,
        )
        for name, words, _ in images
    ]
    found = [
        Prediction(tuple(TextInstance(box_to_quad(box), text, 1.0) for box, text in d), (9, 9)) for _, _, d in images
    ]
    scorers = [build_protocol(name) for name in protocols]
    score_images(scorers, found, truths)
    return Scores(scorers, found, truths, **settings)


WORD, NEXT, FAR = (0, 0, 40, 10), (44, 0, 84, 10), (0, 50, 40, 60)
LEFT, RIGHT, BOTH = (0, 0, 20, 10), (20, 0, 40, 10), (0, 0, 84, 10)
IMAGES = (
    ("right", [(WORD, "EXIT")], [(WORD, "exit")]),
    ("missed and false", [(WORD, SCRIPT)], [(FAR, SCRIPT)]),
    ("split", [(WORD, "HARBOUR")], [(LEFT, "HAR"), (RIGHT, "BOUR")]),
    ("merged", [(WORD, "GOOD"), (NEXT, "DAY")], [(BOTH, "GOODDAY")]),
    ("misread <&>", [(WORD, "EXIT"), (FAR, "###")], [(WORD, "EX1T")]),
)


@pytest.fixture(scope="module")
def html():
    return build_report(score(*IMAGES, threshold=0.4321), [picture(64, 100, seed) for seed in range(5)])


def test_every_image_is_there_as_it_is(html):
    page = Page(html)
    assert {a["data-number"] for a in page.find("article")} == set("01234")
    assert re.findall(r"<h2>(.*?) <small>precision", html) == [
        "missed and false", "split", "merged", "misread &lt;&amp;&gt;", "right",
    ]  # fmt: skip
    pictures = page.find("image")
    assert len(pictures) == 5
    for seed, attributes in zip((1, 2, 3, 4, 0), pictures, strict=True):
        kind, data = attributes["href"].split(",")
        assert kind == "data:image/jpeg;base64"
        decoded = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR_RGB)
        shown, given = (cv2.blur(image, (9, 9)).astype(int) for image in (decoded, picture(64, 100, seed)))
        assert np.abs(shown - given).mean() < 8


def test_every_kind_is_counted_listed_and_outlined(html):
    page = Page(html)
    assert [a["value"] for a in page.find("input", name="kind")] == ["errors", *KINDS]
    counts = dict(re.findall(r'value="(\w+)"[^>]*>[\w ]+ <b>(\d+)</b>', html))
    assert counts == {"errors": "5", **dict.fromkeys(KINDS, "1")}
    for kind in KINDS:
        assert len(page.find("li", **{"class": f"error {kind}"})) == 1
        assert sum(int(a[f"data-{kind}"]) for a in page.find("article")) == 1
    outlines = [a["class"] for a in page.find("polygon")]
    assert sorted(outlines) == sorted(
        ["right", "ignored word", "error false", "error misread", "error word missed", "error word split"]
        + ["error split"] * 2 + ["error word merged"] * 2 + ["error merged"]
    )  # fmt: skip
    words = page.text("button", "bdi")
    for described in ("split HARBOUR → HAR | BOUR", "merged GOOD | DAY → GOODDAY", "misread EXIT → EX1T"):
        assert described in words


def test_transcripts_are_text_and_never_markup(html):
    page = Page(html)
    assert len(page.find("script")) == 1
    assert "alert(" not in page.text("script")
    assert f"missed {SCRIPT}" in page.text("button", "bdi")
    assert f"missed {SCRIPT}" in page.text("title")


def test_nothing_is_loaded_from_elsewhere(html):
    for _, attributes in Page(html).tags:
        for name in ("href", "src", "srcset", "action"):
            assert attributes.get(name, "data:").startswith("data:")
    assert "url(" not in html
    assert "@import" not in html
    assert "//" not in re.sub(r"base64,[^\"]*", "", html)


def test_the_summary(html):
    words = Page(html).text("p", "td", "b", "caption")
    assert "5 images, 6 words and 6 detections that count, score threshold 0.4321" in words
    assert "icdar2015/end_to_end" in words
    assert "icdar2015/detection_iou" in words
    assert "0.1667" in words
    assert "threshold" not in Page(build_report(score(IMAGES[0]), [picture(9, 9)])).text("p")


def test_errors_are_those_of_the_first_protocol_that_reads():
    misread = ("1", [(WORD, "EXIT")], [(WORD, "EX1T")])
    for protocols, kinds in (((DETECTION, END_TO_END), ["error misread"]), ((DETECTION,), [])):
        page = Page(build_report(score(misread, protocols=protocols), [picture(64, 100)]))
        assert [a["class"] for a in page.find("li") if "error" in a.get("class", "")] == kinds


def test_words_by_height_length_and_angle(html):
    rows = re.findall(r"<tr>(?:<td>[^<]*</td>)+</tr>", html)
    cells = [re.findall(r"<td>([^<]*)</td>", row) for row in rows]
    # words, right, missed, split, merged, misread
    assert cells == [
        ["10–14", "6", "17%", "1", "1", "2", "1"],
        ["3–5", "4", "25%", "0", "0", "2", "1"],
        ["6–8", "1", "0%", "0", "1", "0", "0"],
        ["≥ 9", "1", "0%", "1", "0", "0", "0"],
        ["&lt; 5", "6", "17%", "1", "1", "2", "1"],
    ]
    assert "<li><bdi>I</bdi> → <bdi>1</bdi> <b>1</b></li>" in html


@pytest.mark.parametrize(
    ("quad", "degrees"),
    [
        ([[0, 0], [40, 0], [40, 10], [0, 10]], 0),
        ([[10, 0], [10, 40], [0, 40], [0, 0]], 90),
        ([[40, 10], [0, 10], [0, 0], [40, 0]], 180),
        ([[0, 10], [10, 0], [12, 2], [2, 12]], 45),
    ],
)
def test_angles(quad, degrees):
    assert measure_angle(np.array(quad)) == pytest.approx(degrees)


@pytest.mark.parametrize(("width", "shown"), [(960, (64, 100)), (50, (32, 50)), (1, (1, 1))])
def test_pictures_are_shrunk_to_the_width_and_never_enlarged(width, shown):
    page = Page(build_report(score(IMAGES[0]), [picture(64, 100)], width))
    (attributes,) = page.find("image")
    assert (attributes["height"], attributes["width"]) == ("64", "100")  # the pixels of the outlines
    data = base64.b64decode(attributes["href"].split(",")[1])
    assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape[:2] == shown


def test_no_image_and_an_image_without_words():
    page = Page(build_report(score(), []))
    assert page.find("article") == []
    assert "0 images, 0 words" in page.text("p")
    page = Page(build_report(score(("sky", [], [])), [picture(1, 1)]))
    assert len(page.find("article")) == 1
    assert "no errors" in page.text("li")


def test_as_many_images_as_were_scored():
    for images in ([], [picture(9, 9)] * 2):
        with pytest.raises(ValueError, match=r"zip\(\) argument 3"):
            build_report(score(IMAGES[0]), images)


def test_images_are_found_by_their_names(tmp_path):
    for name in ("img_7.jpg", "8.PNG", "gt_img_8.txt", "8.txt", "9.png"):
        (tmp_path / name).touch()
    assert find_images(tmp_path, ["8", "7"]) == [tmp_path / "8.PNG", tmp_path / "img_7.jpg"]
    (tmp_path / "img_9.jpg").touch()
    words = r"no image '10': expected img_10.jpg or the like; image '9' may be 9.png or img_9.jpg: keep one"
    with pytest.raises(ValueError, match=words):
        find_images(tmp_path, ["7", "9", "10"])
    with pytest.raises(ValueError, match=r"'104'.*; and 95 more$"):
        find_images(tmp_path, [str(number) for number in range(100, 200)])
