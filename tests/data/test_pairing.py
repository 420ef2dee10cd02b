"""Every image and every annotation file is used, claimed once, or named; and nothing outside the source is touched."""

import json
import unicodedata
from pathlib import Path

import cv2
import numpy as np
import pytest

from textspot.data.build import build_dataset
from textspot.data.card import Card, Split
from textspot.data.lint import lint_files
from textspot.data.lmdb_records import Reader
from textspot.data.pairing import OutsideError, SourceFolder, Template, fixed_part, path_tails
from textspot.data.parsing import AnnotationError
from textspot.data.source import read_source

CORNERS = [[10, 20], [40, 21], [40, 31], [10, 30]]
NFD = unicodedata.normalize("NFD", "Café Zürich.png")
NFC = unicodedata.normalize("NFC", NFD)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


def draw(file: Path, size: tuple[int, int] = (60, 100)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    suffix = file.suffix if file.suffix.lower() in (".jpg", ".jpeg", ".png") else ".png"
    shade = len(list(file.parent.iterdir()))  # another one for each, or they would be the same image again
    file.write_bytes(cv2.imencode(suffix, np.full((*size, 3), shade, np.uint8))[1].tobytes())


def shape(label: str = "Exit", **changes) -> dict:
    return {"label": label, "points": CORNERS, "shape_type": "polygon"} | changes


def card(format_name: str, **split) -> Card:
    return Card("mine", "mine", "ask me", "quad", format_name, {"train": Split(**split)})


def write_jsonl(file: Path, names: list[str], transcript: str = "Exit") -> None:
    instance = {"polygon": CORNERS, "transcript": transcript}
    file.write_text("".join(json.dumps({"image": name, "instances": [instance]}) + "\n" for name in names))


def transcripts(report) -> dict[str, list[str]]:
    return {record.name: [one.transcript for one in record.instances] for record in Reader(report.path)}


def test_an_annotation_belongs_to_one_image(source) -> None:
    for name in ("day1/0001.jpg", "day2/0001.jpg"):
        draw(source / name)
    (source / "gt").mkdir()
    (source / "gt/gt_0001.txt").write_text("10,20,40,21,40,31,10,30,HOTEL\n")
    with pytest.raises(AnnotationError, match=r"gt_0001\.txt: would be the annotation of day1/0001\.jpg and of day2/"):
        read_source(card("icdar_quad", images="**/*.jpg", annotations="gt/gt_{stem}.txt"), source)


def test_suffix_and_case_are_alike_and_a_folder_tells_apart(source, tmp_path) -> None:
    names = ["day1/0001.jpg", "day2/0001.jpg", "day2/0002.JPG", "day2/0003.png", "day2/0004.jpeg"]
    for name in names:
        draw(source / name)
        (source / name).with_suffix(".json").write_text(json.dumps({"shapes": [shape(name)]}))
    (report,) = build_dataset(
        card("labelme", images="**/*.jpg", annotations="{folder}/{stem}.json"), source, tmp_path / "out"
    )
    assert transcripts(report) == {name: [name] for name in names}
    assert report.warnings == []


def test_of_one_stem_the_stated_suffix_counts_and_the_others_are_named(source, tmp_path) -> None:
    for name in ("1.jpg", "1.png", "._1.jpg"):
        draw(source / name)
    (source / "1.json").write_text(json.dumps({"shapes": [shape()]}))
    (report,) = build_dataset(card("labelme", images="*.jpg", annotations="{stem}.json"), source, tmp_path / "out")
    assert list(transcripts(report)) == ["1.jpg"]
    assert report.warnings == ["images that are not used, 2: ._1.jpg, 1.png"]


def test_annotations_without_an_image_are_complaints_and_other_files_are_none(source) -> None:
    draw(source / "1.jpg")
    for name in ("1", "2", "3"):
        (source / f"{name}.json").write_text(json.dumps({"shapes": [shape()]}))
    (source / "settings.json").write_text('{"colour": "red"}')
    with pytest.raises(AnnotationError, match=r"^annotations without an image, 2: 2\.json, 3\.json$"):
        read_source(card("labelme", images="*.jpg", annotations="{stem}.json"), source)


def test_images_that_no_annotation_names_are_named(source, tmp_path) -> None:
    for number in range(9):
        draw(source / f"{number}.png")
    write_jsonl(source / "a.jsonl", ["0.png"])
    (report,) = build_dataset(card("jsonl", annotations="a.jsonl"), source, tmp_path / "out")
    assert report.warnings == ["images that are not used, 8: 1.png, 2.png, 3.png, 4.png, 5.png and 3 more"]


@pytest.mark.parametrize("written", [NFC, NFD, f"images\\{NFC}", f"./images/{NFD}"])
@pytest.mark.parametrize("stored", [NFC, NFD])
def test_names_match_however_they_are_composed(written, stored, source, tmp_path) -> None:
    draw(source / "images" / stored)
    if "images" in written:
        write_jsonl(source / "a.jsonl", [written])
        chosen = card("jsonl", annotations="a.jsonl")
    else:
        (source / "export.txt").write_text(f'anywhere/{written}\t[{{"transcription": "Exit", "points": {CORNERS}}}]\n')
        chosen = card("ppocrlabel", annotations="export.txt", folder="images")
    (report,) = build_dataset(chosen, source, tmp_path / "out")
    assert transcripts(report) == {f"images/{stored}": ["Exit"]}


def test_annotation_files_match_however_they_are_composed(source, tmp_path) -> None:
    draw(source / NFD)
    (source / NFC).with_suffix(".json").write_text(json.dumps({"shapes": [shape()], "imagePath": NFC}))
    (report,) = build_dataset(card("labelme", images="*.png", annotations="{stem}.json"), source, tmp_path / "out")
    assert (transcripts(report), report.warnings) == ({NFD: ["Exit"]}, [])


@pytest.mark.parametrize("there", ["photo.JPG", "Photo.jpg", "photo.png"])
def test_another_case_or_suffix_is_reported_with_what_is_there(there, source) -> None:
    draw(source / there)
    write_jsonl(source / "a.jsonl", ["photo.jpg"])
    with pytest.raises(AnnotationError, match=rf"photo\.jpg, which is not in .*; is {there} meant\?"):
        read_source(card("jsonl", annotations="a.jsonl"), source)


def test_a_frame_of_a_video_is_found_without_its_suffix(source, tmp_path) -> None:
    draw(source / "frame_000000.PNG")
    write_jsonl(source / "a.jsonl", ["frame_000000"])
    (report,) = build_dataset(card("jsonl", annotations="a.jsonl"), source, tmp_path / "out")
    assert list(transcripts(report)) == ["frame_000000.PNG"]
    draw(source / "frame_000000.jpg")
    with pytest.raises(AnnotationError, match=r"is frame_000000\.PNG or frame_000000\.jpg meant\?"):
        read_source(card("jsonl", annotations="a.jsonl"), source)


@pytest.mark.parametrize(
    "name", ["../secret.png", "/etc/hostname", "a/../../secret.png", "C:\\secret.png", "link/x.png"]
)
@pytest.mark.parametrize("there", [True, False])
def test_nothing_outside_the_source_is_read_or_told_of(name, there, source, tmp_path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (source / "link").symlink_to(outside)
    if there:
        for file in (tmp_path / "secret.png", outside / "x.png"):
            draw(file)
    write_jsonl(source / "a.jsonl", [name])
    with pytest.raises(AnnotationError, match=r"only what is below the source folder is read"):
        read_source(card("jsonl", annotations="a.jsonl"), source)


@pytest.mark.parametrize("field", ["images", "annotations"])
@pytest.mark.parametrize("value", ["../{stem}*.png", "/{stem}*.png"])
def test_a_card_does_not_lead_outside_either(field, value, source) -> None:
    draw(source / "1.png")
    (source / "1.txt").write_text("")
    places = {"images": "*.png", "annotations": "{stem}.txt"} | {field: value}
    with pytest.raises((AnnotationError, FileNotFoundError, ValueError), match="below the source folder"):
        read_source(card("icdar_quad", **places), source)


def test_images_and_annotations_that_are_links_to_elsewhere_are_refused(source, tmp_path) -> None:
    draw(tmp_path / "secret.png")
    (source / "1.png").symlink_to(tmp_path / "secret.png")
    (source / "1.txt").write_text("")
    with pytest.raises(AnnotationError, match=r"'1\.png' is a link that leads out of"):
        read_source(card("icdar_quad", images="*.png", annotations="{stem}.txt"), source)
    (source / "1.png").unlink()
    draw(source / "2.png")
    (source / "1.png").symlink_to("2.png")  # a link that stays below
    (source / "2.txt").write_text("")
    assert len(read_source(card("icdar_quad", images="*.png", annotations="{stem}.txt"), source)["train"].images) == 2


def test_a_source_that_is_itself_a_link_is_read(source, tmp_path) -> None:
    draw(source / "1.png")
    write_jsonl(source / "a.jsonl", ["1.png"])
    (tmp_path / "link").symlink_to(source)
    assert len(read_source(card("jsonl", annotations="a.jsonl"), tmp_path / "link")["train"].images) == 1


def write_resized(source: Path) -> None:
    draw(source / "1.png", (60, 100))
    large = [[4 * x, 4 * y] for x, y in CORNERS]
    values = {"shapes": [shape(points=large)], "imagePath": "other.png", "imageHeight": 240, "imageWidth": 400}
    (source / "1.json").write_text(json.dumps(values))


def test_a_size_that_labelme_states_is_compared(source, tmp_path) -> None:
    write_resized(source)
    chosen = card("labelme", images="*.png", annotations="{stem}.json")
    (report,) = build_dataset(chosen, source, tmp_path / "out")
    assert report.warnings == [
        "1.json: says that it is about other.png, not 1.png",
        "1.png: annotated at 400 x 240 pixels, is 100 x 60: it was scaled or replaced since",
    ]
    findings = lint_files(read_source(chosen, source))
    assert "annotated at 400 x 240 pixels, is 100 x 60: it was scaled or replaced since" in findings
    assert findings["in the pairing of images and annotations"] == [f"train: {report.warnings[0]}"]


def test_outlines_are_scaled_if_the_card_says_so(source, tmp_path) -> None:
    write_resized(source)
    chosen = card("labelme", images="*.png", annotations="{stem}.json", scale=True)
    (report,) = build_dataset(chosen, source, tmp_path / "out")
    assert report.remedies == {"scaled: annotated at another size": 1}
    assert Reader(report.path)[0].instances[0].polygon == tuple(map(tuple, CORNERS))


MARKS = ["###", "### ", "###\n", " ###", "待识别", "[illegible]", "\u200b###", "\ufeff待识别\u00a0"]
NOTHING = ["", "   ", "\u00a0", "\u200b", "\u3000\ufeff", "\n"]


@pytest.mark.parametrize("format_name", ["jsonl", "ppocrlabel", "labelme", "art"])
def test_what_nobody_read_never_trains_the_recogniser(format_name, source, tmp_path) -> None:
    draw(source / "1.png")
    words = [*MARKS, *NOTHING, "TEMPORARY", "HOTEL"]
    points = {"points": CORNERS}
    if format_name == "jsonl":
        instances = [{"polygon": CORNERS, "transcript": word} for word in words]
        (source / "a").write_text(json.dumps({"image": "1.png", "instances": instances}) + "\n")
    elif format_name == "labelme":
        (source / "1.json").write_text(json.dumps({"shapes": [shape(word) for word in words]}))
    elif format_name == "art":
        boxes = [points | {"transcription": word, "illegibility": False} for word in words]
        (source / "a").write_text(json.dumps({"1": boxes}))
    else:
        (source / "a").write_text("1.png\t" + json.dumps([points | {"transcription": word} for word in words]) + "\n")
    places = {"annotations": "a"} if format_name != "labelme" else {"images": "*.png", "annotations": "{stem}.json"}
    chosen = card(format_name, **places)
    (report,) = build_dataset(chosen, source, tmp_path / "out")
    meta = report.meta
    assert (meta.instances, meta.ignored, meta.readable) == (len(words), len(MARKS), 2)
    assert set(meta.characters) == set("TEMPORARYHOTEL")
    assert report.warnings == [
        "trained on as texts: 'TEMPORARY' 1 times; if nobody read these, list them under dont_care in the card"
    ]
    listed = Card(**(vars(chosen) | {"dont_care": ["TEMPORARY"]}))
    (report,) = build_dataset(listed, source, tmp_path / "listed")
    assert (report.meta.ignored, report.meta.readable, report.warnings) == (len(MARKS) + 1, 1, [])


def test_invisible_characters_are_named_and_no_letters(source, tmp_path) -> None:
    draw(source / "1.png")
    write_jsonl(source / "a.jsonl", ["1.png"], "HOTEL\u00a0BAR\u200b\u3000\tX\ufeff\u00ad\u202e")
    (report,) = build_dataset(card("jsonl", annotations="a.jsonl"), source, tmp_path / "out")
    assert set(report.meta.characters) == set("HOTEL BARX")
    (warning,) = report.warnings
    assert warning.startswith("characters that cannot be seen, read as blanks or as nothing: U+00A0 1 times, U+200B 1")


def test_coordinates_that_no_image_has_are_a_complaint(source) -> None:
    draw(source / "1.png")
    far = [[0, 0], [1e39, 0], [1e39, 1e39], [0, 1e39]]
    (source / "a.jsonl").write_text(json.dumps({"image": "1.png", "instances": [{"polygon": far}]}) + "\n")
    with pytest.raises(AnnotationError, match=r"a\.jsonl: line 1: instance 1: .* coordinates beyond 1e\+08 pixels"):
        read_source(card("jsonl", annotations="a.jsonl"), source)


def test_small_parts() -> None:
    assert Template("{folder}/gt [1]/{stem}.txt").of("day1/a.b.jpg") == "day1/gt [1]/a.b.txt"
    assert Template("gt/{stem}.txt").of("a.jpg") == "gt/a.txt"
    assert Template("{folder}/{stem}.txt").of("a.jpg") == "a.txt"
    assert Template("{folder}/gt [1]/{stem}.txt").pattern() == "**/gt [[]1]/*.txt"
    assert path_tails("/data\\a/./b.jpg") == ("data/a/b.jpg", "a/b.jpg", "b.jpg")
    assert path_tails("") == ()
    assert [fixed_part(p) for p in ("*.jpg", "a/b/*.jpg", "a/*/b/*.jpg", "a/b.jpg")] == ["", "a/b", "a", "a"]


def test_a_name_that_is_none(source) -> None:
    for name in ("", "/", "a\0b", "."):
        with pytest.raises(OutsideError):
            SourceFolder(source).find(name)
