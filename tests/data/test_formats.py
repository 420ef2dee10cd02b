"""Annotation formats: what a line means, and what the complaint about a bad one says."""

import contextlib
import dataclasses
import functools
import io
import json
import math
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from textspot import bounded_process
from textspot.data import mat_process
from textspot.data.annotation import MOST_SURE, AnnotatedImage, Instance
from textspot.data.card import load_card
from textspot.data.formats import (
    PER_DATASET,
    PER_IMAGE,
    art,
    coco_text,
    ctw1500_xml,
    cvat,
    icdar_box,
    icdar_quad,
    jsonl,
    label_studio,
    labelme,
    mlt,
    polygon_line,
    ppocrlabel,
    svt,
    synthtext,
    totaltext_mat,
    totaltext_txt,
    word_crops,
)
from textspot.data.parsing import AnnotationError

QUAD = ((10.0, 20.0), (40.0, 21.0), (40.0, 31.0), (10.0, 30.0))
BOX = ((10.0, 20.0), (40.0, 20.0), (40.0, 30.0), (10.0, 30.0))


LINE_FORMATS = [icdar_quad, icdar_box, mlt, polygon_line, totaltext_txt, jsonl, ppocrlabel]


@pytest.mark.parametrize("form", LINE_FORMATS)
@pytest.mark.parametrize("text", ["", "\ufeff", "\n\r\n  \n"])
def test_nothing(form, text: str) -> None:
    assert form.parse(text.encode(), "gt.txt") == []


@pytest.mark.parametrize(
    ("line", "instance"),
    [
        ("10,20,40,21,40,31,10,30,Exit", Instance(QUAD, "Exit")),
        ("10, 20, 40, 21, 40, 31, 10, 30,Exit", Instance(QUAD, "Exit")),
        ("10.0,20,40,21,40,31,10,30,Exit", Instance(QUAD, "Exit")),
        ("10,20,40,21,40,31,10,30,1,299.00, net,", Instance(QUAD, "1,299.00, net,")),
        ('10,20,40,21,40,31,10,30,"Exit"', Instance(QUAD, "Exit")),
        ('10,20,40,21,40,31,10,30,"Exit', Instance(QUAD, '"Exit')),
        ("10,20,40,21,40,31,10,30,a\u2028b\x85c", Instance(QUAD, "a\u2028b\x85c")),
        ("10,20,40,21,40,31,10,30,###", Instance(QUAD, "###", ignore=True)),
        ("10,20,40,21,40,31,10,30,#1", Instance(QUAD, "#1")),
        ("10,20,40,21,40,31,10,30,", Instance(QUAD)),
        ("10,20,40,21,40,31,10,30", Instance(QUAD)),
    ],
)
def test_icdar_quad(line: str, instance: Instance) -> None:
    assert icdar_quad.parse(line.encode(), "gt.txt") == [instance]
    assert icdar_quad.parse(f"\ufeff{line}\r\n{line}\r\n".encode(), "gt.txt") == [instance, instance]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            '38,43,920,215,"Tiredness"',
            "gt_img_7.txt: line 3: expected 8 coordinates and a transcript, found 5 fields; "
            "is this a rectangle file? set format: icdar_box in the card",
        ),
        ("38 43 920 215", "found 1 fields"),
        ('38,43,920,215,"a, b, c, d"', "coordinate 5 is '\"a', expected a number; is this a rectangle file?"),
        ("10,20,40,21,40,31,10,,Exit", "coordinate 8 is '', expected a number"),
        ("10,20,40,21,40,31,nan,30,Exit", "coordinates that are not finite numbers"),
    ],
)
def test_icdar_quad_complaints(line: str, words: str) -> None:
    good = "10,20,40,21,40,31,10,30,Exit"
    with pytest.raises(AnnotationError, match=re.escape(words)) as caught:
        icdar_quad.parse(f"{good}\n\n{line}\n{good}\n".encode(), "gt_img_7.txt")
    assert len(caught.value.complaints) == 1
    assert caught.value.complaints[0].startswith("gt_img_7.txt: line 3: ")


@pytest.mark.parametrize(
    ("line", "instance"),
    [
        ('10 20 40 30 "Exit"', Instance(BOX, "Exit")),
        ('10, 20, 40, 30, "Exit"', Instance(BOX, "Exit")),
        ('10,20,40,30,"Exit"', Instance(BOX, "Exit")),
        ("10,20,40,30,Exit", Instance(BOX, "Exit")),
        ('10 20 40 30 "a, b c"', Instance(BOX, "a, b c")),
        ('10 20 40 30 "1 2 3 4 5"', Instance(BOX, "1 2 3 4 5")),
        (r'10 20 40 30 "say \"no\""', Instance(BOX, 'say "no"')),
        (r'10 20 40 30 "a\\b"', Instance(BOX, r"a\b")),
        ('10 20 40 30 "###"', Instance(BOX, "###", ignore=True)),
        ('10 20 40 30 ""', Instance(BOX)),
        ("10 20 40 30", Instance(BOX)),
        ("10 20 10 20 x", Instance(((10.0, 20.0),) * 4, "x")),
    ],
)
def test_icdar_box(line: str, instance: Instance) -> None:
    assert icdar_box.parse(line.encode(), "gt.txt") == [instance]
    assert icdar_box.parse(f"\ufeff{line}\r\n".encode(), "gt.txt") == [instance]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("10,20,40", "expected left, top, right, bottom and a transcript in quotes, found '10,20,40'"),
        ("Exit 10 20 40 30", "expected left, top, right, bottom"),
        (
            "10,20,40,21,40,31,10,30,Exit",
            "found 8 coordinates, expected 4; is this a file of quads? set format: icdar_quad",
        ),
        ("10,20,40,21,40,31,10,30", "found 8 coordinates, expected 4"),
        ("300 20 40 30 x", "the right or bottom edge (40, 30) lies before the left or top edge (300, 20)"),
    ],
)
def test_icdar_box_complaints(line: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(words)) as caught:
        icdar_box.parse(f'10 20 40 30 "Exit"\n{line}'.encode(), "gt_7.txt")
    assert [complaint[:17] for complaint in caught.value.complaints] == ["gt_7.txt: line 2:"]


def test_jsonl() -> None:
    first = '{"polygon": [[0, 0], [9.5, 0], [9, 4]], "transcript": "ü", "language": "de"}'
    second = '{"polygon": [[0, 0], [9, 0], [9, 4]], "transcript": null, "ignore": true}'
    lines = ['{"image": "a/1.jpg", "instances": []}', f'{{"image": "2.jpg", "instances": [{first}, {second}]}}']
    assert jsonl.parse("\r\n".join(lines).encode(), "train.jsonl") == [
        AnnotatedImage(("a/1.jpg",), ()),
        AnnotatedImage(
            ("2.jpg",),
            (
                Instance(((0, 0), (9.5, 0), (9, 4)), "ü", language="de"),
                Instance(((0, 0), (9, 0), (9, 4)), "", ignore=True),
            ),
        ),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON (Expecting property name"),
        ('["a.jpg"]', 'expected an object with the keys "image" and "instances"'),
        ('{"image": "a.jpg"}', 'expected an object with the keys "image" and "instances"'),
        ('{"image": 7, "instances": []}', 'expected "image" to be a path'),
        ('{"image": "a", "instances": [7]}', 'instance 1: expected an object with the key "polygon"'),
        ('{"image": "a", "instances": [{"polygon": [[0, 0], [9, 0]]}]}', "instance 1: the polygon has 2 points"),
        ('{"image": "a", "instances": [{"polygon": [[0, 0], [9, 0], [9]]}]}', "expected a list of points [x, y]"),
        ('{"image": "a", "instances": [{"polygon": [[0, 0], [9, 0], [9, true]]}]}', "expected a list of points [x, y]"),
        ('{"image": "a", "instances": [{"polygon": [[0, 0], [9, 0], [9, Infinity]]}]}', "not finite numbers"),
        ('{"image": "a", "instances": [{"polygon": [], "text": "x"}]}', "unknown key 'text', expected some of ignore"),
        ('{"image": "a", "instances": [{"polygon": [], "ignore": 1}]}', "ignore is 1, expected a bool"),
        ('{"image": "a", "instances": [{"polygon": [], "transcript": 7}]}', "transcript is 7, expected a str"),
    ],
)
def test_jsonl_complaints(line: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(words)) as caught:
        jsonl.parse(f'\n{line}\n{{"image": "good.jpg", "instances": []}}'.encode(), "train.jsonl")
    assert [complaint[:20] for complaint in caught.value.complaints] == ["train.jsonl: line 2:"]


# Lines of text


@pytest.mark.parametrize(
    ("form", "line", "instance"),
    [
        (mlt, "10,20,40,21,40,31,10,30,Latin,Exit", Instance(QUAD, "Exit", language="Latin")),
        (mlt, '10,20,40,21,40,31,10,30,Korean,"a", b', Instance(QUAD, '"a", b', language="Korean")),
        (mlt, "10,20,40,21,40,31,10,30,None,###", Instance(QUAD, "###", ignore=True)),
        (mlt, "10,20,40,21,40,31,10,30,Arabic,", Instance(QUAD, "", language="Arabic")),
        (polygon_line, "10,20,40,21,40,31,10,30,####Exit, now", Instance(QUAD, "Exit, now")),
        (polygon_line, "10,20,40,21,40,31,10,30,#######", Instance(QUAD, "###", ignore=True)),
        (polygon_line, "10,20,40,21,40,31,10,30,####", Instance(QUAD)),
        (polygon_line, "10,20,40,21,40,31,####a,####b", Instance(QUAD[:3], "a,####b")),
    ],
)
def test_lines(form, line: str, instance: Instance) -> None:
    assert form.parse(line.encode(), "gt.txt") == [instance]
    assert form.parse(f"\ufeff{line}\r\n\r\n{line}".encode(), "gt.txt") == [instance] * 2


@pytest.mark.parametrize(
    ("form", "line", "words"),
    [
        (mlt, "10,20,40,21,40,31,10,30,Exit", "expected 8 coordinates, a script (Arabic, Latin, "),
        (
            mlt,
            "10,20,40,21,40,31,10,30,Exit, now",
            "is this a file without scripts? set format: icdar_quad in the card",
        ),
        (mlt, "10,20,40,21,40,31,10,,Latin,Exit", "coordinate 8 is '', expected a number"),
        (mlt, "10,20,40,21,40,31,nan,30,Latin,Exit", "coordinates that are not finite numbers"),
        (
            polygon_line,
            "10,20,40,21,40,31,10,30,Exit",
            "expected coordinates, four hashes and a transcript, found '10,20,",
        ),
        (polygon_line, "10,20,40,21,40,####Exit", "expected pairs of coordinates, found 5 numbers"),
        (polygon_line, "10,20,40,21,####Exit", "the polygon has 2 points, expected at least 3"),
        (polygon_line, "10,20,40,21,inf,31,####Exit", "coordinates that are not finite numbers"),
    ],
)
def test_line_complaints(form, line: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(words)) as caught:
        form.parse(f"\n{line}".encode(), "gt_7.txt")
    assert [complaint[:17] for complaint in caught.value.complaints] == ["gt_7.txt: line 2:"]


def test_not_utf8() -> None:
    with pytest.raises(AnnotationError, match=r"gt\.txt: not UTF-8 \(byte 27\): convert it, with iconv"):
        polygon_line.parse("10,20,40,21,40,31,10,30,###é".encode("latin1"), "gt.txt")


def test_totaltext_txt() -> None:
    text = (
        "x: [[10 40 40 10]], y: [[20 21 31 30]], ornt: [u'c'], transcriptions: [u'Exit, now']\r\n"
        "x: [[10 40\r\n  40 10]], y: [[20 21\r\n  31 30]], ornt: [u'm'], transcriptions: [u\"Don't\"]\r\n\r\n"
        "x: [[10 40 40 10]], y: [[20 21 31 30]], ornt: [u'#'], transcriptions: [u'#']\r\n"
        "x: [[10]], y: [[20]], ornt: [u'#'], transcriptions: []\r\n"
        "x: [[10 40 40 10]], y: [[20 21 31 30]], ornt: ['h'], transcriptions: [u'x: [[caf\\xe9]]']\r\n"
    )
    assert totaltext_txt.parse(f"\ufeff{text}".encode(), "poly_gt_img1.txt") == [
        Instance(QUAD, "Exit, now"),
        Instance(QUAD, "Don't"),
        Instance(QUAD, "#", ignore=True),
        Instance(((10, 20),) * 3, "", ignore=True),
        Instance(QUAD, "x: [[café]]"),
    ]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (
            "x: 10,20,40,21,Exit",
            "expected x: [[...]], y: [[...]], ornt: [u'...'], transcriptions: [u'...'], found",
        ),
        ("x: [[1 2 3]], y: [[1 2]], ornt: [u'c'], transcriptions: [u'a']", "found 3 x and 2 y coordinates"),
        ("x: [[1 2]], y: [[1 2]], ornt: [u'c'], transcriptions: [u'a']", "the polygon has 2 points"),
        ("x: [[1 2 b]], y: [[1 2 3]], ornt: [u'c'], transcriptions: [u'a']", "coordinate 5 is 'b', expected a number"),
        ("x: [[1 2 nan]], y: [[1 2 3]], ornt: [u'c'], transcriptions: [u'a']", "not finite numbers"),
        ("x: [[1 2 3]], y: [[1 2 3]], ornt: [u'c'], transcriptions: [u'a', u'b']", "expected one text in brackets"),
        (
            "x: [[1 2 3]], y: [[1 2 3]], ornt: [u'c'], transcriptions: [a]",
            "expected one text in brackets and quotes, found [a]",
        ),
    ],
)
def test_totaltext_txt_complaints(entry: str, words: str) -> None:
    good = "x: [[10 40\n 40 10]], y: [[20 21 31 30]], ornt: [u'c'], transcriptions: [u'a']\n"
    with pytest.raises(AnnotationError, match=re.escape(words)) as caught:
        totaltext_txt.parse(f"{good}{entry}\n{good}".encode(), "poly_gt_img1.txt")
    assert [complaint[:25] for complaint in caught.value.complaints] == ["poly_gt_img1.txt: line 3:"]


# JSON


def test_ppocrlabel() -> None:
    box = {"transcription": "a\tb, c", "points": [[10, 20], [40, 21], [40, 31], [10, 30]], "difficult": False}
    line = f"photos/door.jpg\t{json.dumps([box, box | {'difficult': True}])}"
    assert ppocrlabel.parse(f"\ufeff{line}\r\nwall.jpg\t[]\r\n".encode(), "Label.txt") == [
        AnnotatedImage(
            ("photos/door.jpg", "door.jpg"), (Instance(QUAD, "a\tb, c"), Instance(QUAD, "a\tb, c", ignore=True))
        ),
        AnnotatedImage(("wall.jpg",), ()),
    ]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("door.jpg []", "line 2: expected a path, a tab and a JSON list, found 'door.jpg []'"),
        ("door.jpg\t[", "line 2: after the tab: not JSON"),
        ("door.jpg\t{}", "line 2: after the tab: expected a list of boxes"),
        ('door.jpg\t[{"transcription": "a"}]', 'line 2: box 1: "points": expected a list, found none'),
        ('door.jpg\t[{"transcription": "a", "points": [[1, 2], [3, 4]]}]', "line 2: box 1: the polygon has 2 points"),
        ('door.jpg\t[{"transcription": 7, "points": []}]', 'line 2: box 1: "transcription": expected a text, found 7'),
    ],
)
def test_ppocrlabel_complaints(line: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(f"Label.txt: {words}")):
        ppocrlabel.parse(f"\n{line}\n".encode(), "Label.txt")


def rectangle(**changes) -> dict:
    """A region of Label Studio: a rectangle of 40 x 20 pixels at (20, 10), in an image of 200 x 100."""
    value = {"x": 10, "y": 10, "width": 20, "height": 20, "rotation": 0}
    values = {"id": "r", "type": "rectangle", "original_width": 200, "original_height": 100, "value": value}
    return values | changes


def task(*results: dict, **changes) -> dict:
    return {"id": 7, "data": {"ocr": "/data/upload/1/door.jpg"}, "annotations": [{"result": list(results)}]} | changes


def parse_task(*results: dict, **changes) -> AnnotatedImage:
    (image,) = label_studio.parse(json.dumps([task(*results, **changes)]).encode("utf-8-sig"), "export.json")
    return image


@pytest.mark.parametrize(
    ("rotation", "polygon"),
    [
        (0, [(20, 10), (60, 10), (60, 30), (20, 30)]),
        (90, [(20, 10), (20, 50), (0, 50), (0, 10)]),  # clockwise about the top left corner
        (-30, [(20, 10), (54.64, -10), (64.64, 7.32), (30, 27.32)]),
    ],
)
def test_label_studio_rotation(rotation: float, polygon) -> None:
    region = rectangle()
    region["value"]["rotation"] = rotation
    image = parse_task(region)
    assert np.round(image.instances[0].polygon, 2).tolist() == [list(point) for point in polygon]
    assert image.size == (100, 200)


def test_label_studio_transcripts() -> None:
    text = rectangle(type="textarea", value={"text": ["OPEN", "late"]})
    assert parse_task(rectangle(), text).instances[0].transcript == "OPEN late"
    assert parse_task(text | {"value": {"text": "OPEN"}}, rectangle()).instances[0].transcript == "OPEN"
    assert parse_task(rectangle(), text | {"value": {"text": ["###"]}}).instances[0].ignore
    labels = rectangle(type="labels", value={"labels": ["Illegible"]})
    assert parse_task(rectangle(), labels).instances[0] == dataclasses.replace(
        parse_task(rectangle()).instances[0], ignore=True
    )
    others = [{"type": "relation", "from_id": "r", "to_id": "s"}, {"type": "rating", "id": "q", "value": {"rating": 3}}]
    assert len(parse_task(rectangle(), *others, rectangle(id="s")).instances) == 2


UPLOADED = tuple(f"{folders}1a2b3c4d-door 1.jpg" for folders in ("data/upload/3/", "upload/3/", "3/", ""))
UPLOADED += ("door 1.jpg",)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("/data/upload/3/1a2b3c4d-door%201.jpg", UPLOADED),
        ("/data/local-files/?d=photos/door%201.jpg", ("photos/door 1.jpg", "door 1.jpg")),
        ("s3://bucket/photos/door.PNG", ("photos/door.PNG", "door.PNG")),
        ("https://example.org/door.jpg?token=1", ("door.jpg",)),
    ],
)
def test_label_studio_names(address: str, names: tuple[str, ...]) -> None:
    assert parse_task(data={"image": address, "note": "a door"}).names == names


def test_label_studio_what_was_not_annotated() -> None:
    assert parse_task(annotations=[]).left_out == "not annotated"
    assert parse_task(annotations=[{"result": [], "was_cancelled": True}]).left_out == "not annotated"
    assert parse_task().left_out == ""
    chosen = parse_task(annotations=[{"result": []}, {"result": [rectangle()], "ground_truth": True}])
    assert len(chosen.instances) == 1


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ocr": "a.jpg"}, 'export.json: expected a list of tasks with "data"; export as JSON, not as JSON-MIN'),
        ([{"ocr": "a.jpg", "bbox": []}], "export as JSON, not as JSON-MIN"),
        ([task(data={"text": "a door"})], 'task 7: expected the address of one image among its "data", found 0'),
        ([task(annotations=[{"result": []}] * 2)], "task 7: has 2 annotations: delete all but one"),
        ([task(rectangle(image_rotation=90))], "task 7: region r: the image was turned in Label Studio"),
        ([task(rectangle(type="textarea", value={"text": ["a"]}))], "region r: textarea: has no rectangle or polygon"),
        (
            [task(rectangle(type="brushlabels", value={"rle": []}))],
            "region r: brushlabels: has no rectangle or polygon",
        ),
        (
            [task(rectangle(value={"x": 1, "y": 1, "width": 9, "height": 1, "rectanglelabels": None}))],
            'region r: "rectanglelabels": expected a list, found None',
        ),
        ([task(rectangle(original_width=None))], 'region r: "original_width": expected a number, found None'),
        ([task(rectangle(value={"points": [[1, 2], [3, 4]]}))], "region r: the polygon has 2 points"),
        ([task(rectangle(value={"x": 1, "y": 1, "width": "9"}))], "region r: \"width\": expected a number, found '9'"),
        ([task(rectangle(value={"x": math.nan, "y": 1, "width": 9, "height": 1}))], "not finite numbers"),
    ],
)
def test_label_studio_complaints(values, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(words)):
        label_studio.parse(json.dumps(values).encode(), "export.json")


SHAPE = {"label": "Exit", "points": [[10, 20], [40, 21], [40, 31], [10, 30]], "shape_type": "polygon"}


def parse_shapes(*shapes: dict) -> list[Instance]:
    return list(labelme.parse(json.dumps({"shapes": shapes}).encode("utf-8-sig"), "door.json").instances)


def test_labelme() -> None:
    assert parse_shapes() == []
    assert parse_shapes(SHAPE, SHAPE | {"description": None}) == [Instance(QUAD, "Exit")] * 2
    assert parse_shapes(SHAPE | {"flags": {"ignore": True}}) == [Instance(QUAD, "Exit", ignore=True)]
    assert parse_shapes(SHAPE | {"difficult": True}) == [Instance(QUAD, "Exit", ignore=True)]
    assert parse_shapes(SHAPE | {"label": "###"}) == [Instance(QUAD, "###", ignore=True)]
    assert parse_shapes(SHAPE | {"shape_type": "rectangle", "points": [[40, 30], [10, 20]]}) == [Instance(BOX, "Exit")]
    described = [SHAPE | {"label": "text", "description": "Exit, now"}, SHAPE | {"label": "text", "description": ""}]
    assert parse_shapes(*described) == [Instance(QUAD, "Exit, now"), Instance(QUAD)]


def test_labelme_says_which_image_it_is_about() -> None:
    values = {"shapes": [SHAPE], "imagePath": "in\\door.jpg", "imageHeight": 480, "imageWidth": 640}
    assert labelme.parse(json.dumps(values).encode(), "door.json") == AnnotatedImage(
        ("in\\door.jpg",), (Instance(QUAD, "Exit"),), size=(480, 640)
    )


def test_labelme_decides_for_all_files_alike() -> None:
    classes = SHAPE | {"label": "text"}
    described = classes | {"description": "Exit"}
    raws = [json.dumps({"shapes": shapes}).encode() for shapes in ([classes], [described, classes])]
    parse, remark = labelme.choose([*raws, b"no JSON", b"[]", b'{"shapes": 3}'])
    assert [one.transcript for raw in raws for one in parse(raw, "a.json").instances] == ["", "Exit", ""]
    assert remark.startswith("1 of 3 shapes have a description: descriptions are read as transcripts")
    parse, remark = labelme.choose(raws[:1])
    assert [one.transcript for one in parse(raws[0], "a.json").instances] == ["text"]
    assert remark == ""


def test_every_format_that_states_sizes_gives_them() -> None:
    stated = {
        name: {image.size for image in parse(sample_annotations()[name].read_bytes(), name)} != {None}
        for name, parse in PER_DATASET.items()
    }
    assert {name for name, has_sizes in stated.items() if has_sizes} == {"label_studio", "cvat", "coco_text", "svt"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"shape_type": "circle", "points": [[1, 2], [3, 4]]}, "a circle of 2 points is no outline"),
        ({"points": [[1, 2], [3, 4]]}, "the polygon has 2 points, expected at least 3"),
        ({"points": [[1, 2], [3, 4], [5]]}, "polygon: expected a list of points [x, y]"),
        ({"label": None}, '"label": expected a text, found None'),
    ],
)
def test_labelme_complaints(changes: dict, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(f"door.json: shape 2: {words}")):
        parse_shapes(SHAPE, SHAPE | changes)


def test_art() -> None:
    word = {
        "transcription": "Exit",
        "points": [list(point) for point in QUAD],
        "language": "Latin",
        "illegibility": False,
    }
    values = {"gt_0": [word, word | {"illegibility": True}], "gt_1": []}
    assert art.parse(json.dumps(values).encode("utf-8-sig"), "train_labels.json") == [
        AnnotatedImage(
            ("gt_0.jpg", "gt_0.png"),
            (Instance(QUAD, "Exit", language="Latin"), Instance(QUAD, "Exit", ignore=True, language="Latin")),
        ),
        AnnotatedImage(("gt_1.jpg", "gt_1.png"), ()),
    ]
    values["gt_1"] = [word | {"points": [[1, 2], [3, 4]]}]
    with pytest.raises(AnnotationError, match=r"labels\.json: image gt_1: instance 1: the polygon has 2 points"):
        art.parse(json.dumps(values).encode(), "labels.json")
    with pytest.raises(AnnotationError, match=r"labels\.json: expected an object with the names of images"):
        art.parse(b"[]", "labels.json")


def coco_text_with(**changes) -> list[AnnotatedImage]:
    annotation = {"image_id": 9, "mask": [10, 20, 40, 21, 40, 31, 10, 30], "utf8_string": ".", "legibility": "legible"}
    image = {"id": 9, "file_name": "train/a.jpg", "width": 200, "height": 100, "set": "train"}
    changed = {key: value for key, value in (annotation | changes).items() if value != "absent"}
    return coco_text.parse(json.dumps({"imgs": {"9": image}, "anns": {"5": changed}}).encode(), "coco.json")


def test_coco_text() -> None:
    names = ("train/a.jpg", "a.jpg")
    assert coco_text_with() == [AnnotatedImage(names, (Instance(QUAD, "."),), "train", (100, 200))]
    (textocr,) = coco_text_with(mask="absent", points=[10, 20, 40, 21, 40, 31, 10, 30], legibility="absent")
    assert textocr.instances == (Instance(QUAD, ".", ignore=True),)
    (illegible,) = coco_text_with(legibility="illegible", utf8_string="absent", language="na")
    assert illegible.instances == (Instance(QUAD, "", ignore=True),)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_id": 10}, "annotates the image 10, which `imgs` does not list"),
        ({"mask": [1, 2, 3]}, "annotation 5: expected pairs of coordinates, found 3 numbers"),
        ({"mask": [1, 2, 3, 4]}, "annotation 5: the polygon has 2 points"),
        ({"mask": [1, 2, 3, 4, 5, None]}, "annotation 5: coordinate 6 is None, expected a number"),
        ({"mask": [1, 2, 3, 4, 5, math.nan]}, "annotation 5: the polygon holds coordinates that are not finite"),
        ({"legibility": "absent"}, 'annotation 5: "legibility": expected a text, found none'),
    ],
)
def test_coco_text_complaints(changes: dict, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(f"coco.json: {words}")):
        coco_text_with(**changes)


@pytest.mark.parametrize("form", [art, coco_text, label_studio, labelme])
def test_not_json(form) -> None:
    with pytest.raises(AnnotationError, match=r"export\.json: line 2: not JSON \(Expecting value\)"):
        form.parse(b'{"a":\r\n,}', "export.json")


# XML


def parse_cvat(shapes: str, **attributes: object) -> list[AnnotatedImage]:
    values = {"name": "a/door.jpg", "width": 200, "height": 100} | attributes
    written = " ".join(f'{key}="{value}"' for key, value in values.items())
    return cvat.parse(f"\ufeff<annotations>\r\n<image {written}>{shapes}</image></annotations>".encode(), "cvat.xml")


def test_cvat() -> None:
    points = 'points="10,20;40,21;40,31;10,30"'
    text = '<attribute name="Transcript">Exit, now</attribute><attribute name="language">en</attribute>'
    flag = '<attribute name="ignore">true</attribute>'
    assert parse_cvat(
        f'<tag label="night"/><polygon label="text" {points}>{text}</polygon><polygon label="text" {points}/>'
        f'<polygon label="text" {points}>{flag}</polygon><box label="Ignore" xtl="10" ytl="20" xbr="40" ybr="30"/>',
        subset="train",
    ) == [
        AnnotatedImage(
            ("a/door.jpg",),
            (
                Instance(QUAD, "Exit, now", language="en"),
                Instance(QUAD),
                Instance(QUAD, ignore=True),
                Instance(BOX, ignore=True),
            ),
            "train",
            (100, 200),
        )
    ]
    (image,) = parse_cvat('<box label="text" xtl="20" ytl="10" xbr="60" ybr="30" rotation="90"/>')
    turned = [[50, 0], [50, 40], [30, 40], [30, 0]]  # clockwise about the centre
    assert np.round(image.instances[0].polygon, 2).tolist() == turned


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ('<polygon points="10,20;40,21"/>', "the polygon has 2 points"),
        ('<polygon points="10,20;40,21;40"/>', "expected pairs of coordinates, found 5 numbers"),
        ('<polygon points="10,20;40,21;nan,31"/>', "the polygon holds coordinates that are not finite numbers"),
        ('<box xtl="10" ytl="20" xbr="40"/>', 'attribute "ybr": expected a number, found none'),
        ('<box xtl="10" ytl="20" xbr="40" ybr="x"/>', "attribute \"ybr\": expected a number, found 'x'"),
        ('<polyline points="10,20;40,21;40,31"/>', "<polyline> is no outline; expected a polygon or a box"),
    ],
)
def test_cvat_complaints(shape: str, words: str) -> None:
    with pytest.raises(AnnotationError, match=re.escape(f"cvat.xml: image a/door.jpg: shape 1: {words}")):
        parse_cvat(shape)


def test_cvat_video() -> None:
    with pytest.raises(AnnotationError, match=r"cvat\.xml: holds tracks of a video: export as CVAT for images 1\.1"):
        cvat.parse(b"<annotations><track/></annotations>", "cvat.xml")


def parse_ctw1500(box: str) -> list[Instance]:
    return ctw1500_xml.parse(f'<Annotations><image file="1.jpg">{box}</image></Annotations>'.encode(), "1.xml")


def test_ctw1500_xml() -> None:
    segments = "<segs>10,20,40,21,40,31,10,30</segs>"
    boxes = "".join(
        f"<box>{label}{segments}</box>" for label in ("<label>a &amp; b</label>", "<label/>", "<label>###</label>")
    )
    assert parse_ctw1500(boxes) == [Instance(QUAD, "a & b"), Instance(QUAD), Instance(QUAD, "###", ignore=True)]
    with pytest.raises(AnnotationError, match=r"1\.xml: box 2: has no <segs>"):
        parse_ctw1500(f"<box>{segments}</box><box><label>a</label></box>")
    with pytest.raises(AnnotationError, match=r"1\.xml: box 1: coordinate 2 is 'b', expected a number"):
        parse_ctw1500("<box><segs>1,b,3,4,5,6</segs></box>")


def test_svt() -> None:
    rectangle = '<taggedRectangle height="10" width="30" x="10" y="20"><tag>EXIT</tag></taggedRectangle>'
    image = f"<image><imageName>img/1.jpg</imageName><taggedRectangles>{rectangle}</taggedRectangles></image>"
    assert svt.parse(f"<tagset>{image}</tagset>".encode(), "train.xml") == [
        AnnotatedImage(("img/1.jpg",), (Instance(BOX, "EXIT"),))
    ]
    damaged = image.replace('width="30" ', "")
    with pytest.raises(AnnotationError, match=r'train\.xml: image 2: img/1\.jpg: rectangle 1: attribute "width"'):
        svt.parse(f"<tagset>{image}{damaged}</tagset>".encode(), "train.xml")
    with pytest.raises(AnnotationError, match=r"train\.xml: image 1: has no <imageName>"):
        svt.parse(b"<tagset><image/></tagset>", "train.xml")


@pytest.mark.parametrize("form", [ctw1500_xml, cvat, svt])
def test_not_xml(form) -> None:
    with pytest.raises(AnnotationError, match=r"gt\.xml: line 2: not XML \(mismatched tag\)"):
        form.parse(b"<a>\r\n</b>", "gt.xml")


# MATLAB


def mat(**values) -> bytes:
    scipy_io = pytest.importorskip("scipy.io", reason="needs scipy, for MATLAB files")
    file = io.BytesIO()
    scipy_io.savemat(file, values)
    return file.getvalue()


def cells(*rows: Sequence[object]) -> np.ndarray:
    """A MATLAB cell array."""
    array = np.empty((len(rows), len(rows[0])), dtype=object)
    for number, row in enumerate(rows):
        for column, value in enumerate(row):
            array[number, column] = value
    return array


def test_totaltext_mat() -> None:
    x, y = np.array([[10, 40, 40, 10]]), np.array([[20, 21, 31, 30]])
    rows = cells(["x:", x, "y:", y, "Exit", "c"], ["x:", x[:, :1], "y:", y[:, :1], np.empty(0), "#"])
    assert totaltext_mat.parse(mat(polygt=rows), "poly_gt_img1.mat") == [
        Instance(QUAD, "Exit"),
        Instance(((10, 20),) * 3, "", ignore=True),
    ]
    rows = cells(["x:", x, "y:", y, "Exit", "c"], ["x:", x[:, :2], "y:", y[:, :2], "Exit", "c"])
    with pytest.raises(AnnotationError, match=r"poly_gt_img1\.mat: row 2: the polygon has 2 points"):
        totaltext_mat.parse(mat(polygt=rows), "poly_gt_img1.mat")
    with pytest.raises(AnnotationError, match=r"gt\.mat: row 1: expected x:, numbers, .* found 2 columns"):
        totaltext_mat.parse(mat(polygt=cells(["x:", x])), "gt.mat")


def test_synthtext() -> None:
    quad = np.array(QUAD, np.float32)
    several, one = np.stack([quad, quad, quad]).transpose(2, 1, 0), quad.T
    names, texts = cells(["1/a.jpg", "1/b.jpg"]), cells([np.array(["to\nthe ", "end"]), np.array(["Exit"])])
    words = tuple(Instance(QUAD, word) for word in ("to", "the", "end"))
    assert synthtext.parse(mat(imnames=names, wordBB=cells([several, one]), txt=texts), "gt.mat") == [
        AnnotatedImage(("1/a.jpg",), words),
        AnnotatedImage(("1/b.jpg",), (Instance(QUAD, "Exit"),)),
    ]
    damaged = mat(imnames=names, wordBB=cells([several[..., :2], one]), txt=texts)
    with pytest.raises(AnnotationError, match=r"image 1: 1/a\.jpg: found corners of shape \(2, 4, 2\) for 3 words"):
        synthtext.parse(damaged, "gt.mat")
    with pytest.raises(AnnotationError, match=r"gt\.mat: .* one entry per image .*, found 2 imnames, 1 wordBB, 2 txt"):
        synthtext.parse(mat(imnames=names, wordBB=cells([several]), txt=texts), "gt.mat")


@pytest.mark.parametrize(("form", "variable"), [(totaltext_mat, "polygt"), (synthtext, "imnames")])
def test_not_mat(form, variable: str) -> None:
    with pytest.raises(AnnotationError, match=rf"gt\.mat: holds no variable {variable}"):
        form.parse(mat(other=1), "gt.mat")
    for raw in (b"", b"10,20,40,21,40,31,10,30,Exit", b"MATLAB 7.3 MAT-file".ljust(512, b"\0")):
        with pytest.raises(AnnotationError, match=r"gt\.mat: not a MATLAB file up to version 7"):
            form.parse(raw, "gt.mat")


def test_without_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    start = "import sys; sys.path[:] = {path!r}; sys.modules['scipy.io'] = None; "
    monkeypatch.setattr(
        bounded_process, "_START", start + "from textspot.bounded_process import serve; serve({limits!r})"
    )
    monkeypatch.setattr(mat_process, "_process", bounded_process.BoundedProcess(mat_process.LIMITS))
    with pytest.raises(ImportError, match=r"gt\.mat: \.mat files are read with scipy: pip install 'textspot\[mat\]'"):
        synthtext.parse(b"", "gt.mat")


def test_a_crash_of_the_reader_in_c_is_a_complaint(monkeypatch: pytest.MonkeyPatch) -> None:
    start = "import sys; sys.path[:] = {path!r}; import os, scipy.io; scipy.io.loadmat = lambda *_, **__: os.abort(); "
    monkeypatch.setattr(
        bounded_process, "_START", start + "from textspot.bounded_process import serve; serve({limits!r})"
    )
    monkeypatch.setattr(mat_process, "_process", bounded_process.BoundedProcess(mat_process.LIMITS))
    with pytest.raises(AnnotationError, match=r"gt\.mat: not a MATLAB file .*what reads it crashed"):
        synthtext.parse(b"", "gt.mat")


# Word crops

TABLE = """image\tlabel\tlabel_with_punctuation\tstatus\trapidocr\tscore
a.webp\tYoure\tYou're\tsame\tYou're\t0.99
b.webp\tFOAM\tFOAM\tcase\tFoam\t0.98
c.webp\tSO\tSO\tcase\tSo\t0.97
d.webp\tGwrl\tGwrl\tdiffers\tGirl\t0.995
e.webp\tPECC\tPECC\tdiffers\tPEGG\t0.86
"""


def test_word_crops() -> None:
    images = word_crops.parse(TABLE.encode(), "labels.tsv")
    assert [(image.names, image.instances[0].transcript) for image in images] == [
        (("a.webp",), "You're"),
        (("b.webp",), "Foam"),
        (("c.webp",), "SO"),
        (("d.webp",), "Gwrl"),
        (("e.webp",), "PECC"),
    ]
    assert [image.left_out for image in images if image.left_out] == [
        "a recogniser contradicts the label with confidence"
    ]
    assert images[3].left_out
    assert all(image.relative and image.instances[0].score == 1 for image in images)


def test_word_crops_that_a_program_read() -> None:
    raw = b'image\tlabel\tword_score\r\na.webp\t"OR\t0.97\r\n\r\nb.webp\tR2,D2\t1.0\r\n'
    words = [image.instances[0] for image in word_crops.parse(raw, "labels.tsv")]
    assert [(word.transcript, word.score) for word in words] == [('"OR', 0.97), ("R2,D2", MOST_SURE)]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "its first line names no column image, label"),
        (b"image\tlabel\na.webp\tb\rc\n", "line 2: no table with tabs"),
        (b"image\tlabel\na.webp\t" + b"x" * 140_000, "line 2: no table with tabs"),
        (b"image\ttext\na.webp\tno\n", "its first line names no column label"),
        (b"image\tlabel\na.webp\n", "crop 1: expected as many fields as the first line names"),
        (b"image\tlabel\na.webp\tb\tc\n", "crop 1: expected as many fields as the first line names"),
        (b"image\tlabel\tword_score\na.webp\tb\t.9\nb.webp\tb\tc\n", "crop 2: word_score is 'c', expected a number in"),
        (b"image\tlabel\tword_score\na.webp\tb\t9\n", "crop 1: word_score is '9', expected a number in"),
    ],
)
def test_word_crops_complain(raw: bytes, message: str) -> None:
    with pytest.raises(AnnotationError, match=f"^labels.tsv: {message}"):
        word_crops.parse(raw, "labels.tsv")


# Damage of any kind


@functools.cache
def sample_annotations() -> dict[str, Path]:
    """An annotation file of each format, from the samples of the cards."""
    files: dict[str, Path] = {}
    for path in Path("datasets").glob("*/card.yaml"):
        card = load_card(path)
        for split in card.splits.values():
            for file in (path.parent / "sample").glob(split.annotations.replace("{stem}", "*")):
                files.setdefault(card.format_of(split), file)
    return files


@pytest.mark.parametrize("name", [*PER_IMAGE, *PER_DATASET])
def test_damage_is_a_complaint_and_nothing_else(name: str) -> None:
    """Whatever became of the bytes, a parser gives instances or an AnnotationError that names the file."""
    parse, raw = (PER_IMAGE | PER_DATASET)[name], sample_annotations()[name].read_bytes()
    rng = random.Random(name)
    complaints: list[str] = []
    for _ in range(200):
        damaged = bytearray(raw)
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(damaged))
            junk = rng.choice([b"", b",", b"\n", b'"', b"[", b"nan", b"<", b"\xff", b"null", b"9" * 400, b"9" * 5000])
            damaged[place : place + rng.randint(0, 20)] = junk
        try:
            parse(bytes(damaged), "damaged file")
        except AnnotationError as error:
            complaints += error.complaints
    assert len(complaints) > 20
    assert all(complaint.startswith("damaged file: ") for complaint in complaints)


def test_all_complaints_at_once_but_not_endlessly() -> None:
    with pytest.raises(AnnotationError) as caught:
        icdar_quad.parse(b"1,2\n" * 50, "gt.txt")
    assert len(caught.value.complaints) == 50
    assert str(caught.value).count("\n") == 20
    assert str(caught.value).endswith("\n... and 30 more")


KINDS_OF_LINES = {
    "blanks": lambda n: b"1" + b" " * n + b"x",
    "blanks and commas": lambda n: b"1 , " * (n // 4) + b"x",
    "digits": lambda n: b"1" * n,
    "numbers": lambda n: b"1," * (n // 2),
    "points": lambda n: b"1.5 -2 " * (n // 7),
    "quotes": lambda n: b"1 2 3 4 " + b'" ' * (n // 2) + b"x",
    "quads": lambda n: b"1,2,3,4,5,6,7,8," + b'"' * n,
    "hashes": lambda n: b"1,2,3,4,5,6," + b"#" * n,
    "brackets": lambda n: b"[" * n,
    "objects": lambda n: b'{"a":' * (n // 5),
    "elements": lambda n: b"<a>" * (n // 3),
    "attributes": lambda n: b"<a " + b"b='' " * (n // 5),
    "entries": lambda n: b"x: [[" + b"1 " * (n // 2),
    "open entries": lambda n: b"x: [[1]], y: [[1]], ornt: [" + b"], transcriptions: [" * (n // 20),
    "lines of an entry": lambda n: b"x: [[\n" + b"1\n" * (n // 2),
    "empty lines": lambda n: b" \n" * (n // 2),
    "transcripts": lambda n: b"x: [[1]], y: [[1]], ornt: [u'c'], transcriptions: [" + b"[" * n,
    "escapes": lambda n: b'x.jpg\t["' + b"\\\\" * (n // 2),
}


def time_parsing(parse, raw: bytes) -> float:
    times = []
    for _ in range(3):
        began = time.process_time()  # which other programs do not lengthen
        with contextlib.suppress(AnnotationError):
            parse(raw, "a")
        times.append(time.process_time() - began)
    return min(times)


@pytest.mark.parametrize("name", [*PER_IMAGE, *PER_DATASET])
@pytest.mark.parametrize("kind", KINDS_OF_LINES)
def test_time_grows_no_faster_than_a_line(name: str, kind: str) -> None:
    """Ten times as long a line takes about ten times as long; the square would be a hundred times."""
    parse, draw = (PER_IMAGE | PER_DATASET)[name], KINDS_OF_LINES[kind]
    small, medium, large = (time_parsing(parse, draw(length)) for length in (1_000, 10_000, 100_000))
    assert medium < 30 * small + 0.05
    assert large < 30 * medium + 0.1
