"""Annotation formats: what a line means, and what the complaint about a bad one says."""

import re

import pytest

from textspot.data.annotation import AnnotationError, Instance
from textspot.data.formats import PER_DATASET, PER_IMAGE, icdar_box, icdar_quad, jsonl

QUAD = ((10.0, 20.0), (40.0, 21.0), (40.0, 31.0), (10.0, 30.0))
BOX = ((10.0, 20.0), (40.0, 20.0), (40.0, 30.0), (10.0, 30.0))


@pytest.mark.parametrize("parse", [*PER_IMAGE.values(), *PER_DATASET.values()])
@pytest.mark.parametrize("text", ["", "\ufeff", "\n\r\n  \n"])
def test_nothing(parse, text: str) -> None:
    assert not parse(text, "gt.txt")


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
    assert icdar_quad.parse(line, "gt.txt") == [instance]
    assert icdar_quad.parse(f"\ufeff{line}\r\n{line}\r\n", "gt.txt") == [instance, instance]


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
        icdar_quad.parse(f"{good}\n\n{line}\n{good}\n", "gt_img_7.txt")
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
    assert icdar_box.parse(line, "gt.txt") == [instance]
    assert icdar_box.parse(f"\ufeff{line}\r\n", "gt.txt") == [instance]


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
        icdar_box.parse(f'10 20 40 30 "Exit"\n{line}', "gt_7.txt")
    assert [complaint[:17] for complaint in caught.value.complaints] == ["gt_7.txt: line 2:"]


def test_jsonl() -> None:
    first = '{"polygon": [[0, 0], [9.5, 0], [9, 4]], "transcript": "ü", "language": "de"}'
    second = '{"polygon": [[0, 0], [9, 0], [9, 4]], "transcript": null, "ignore": true}'
    lines = ['{"image": "a/1.jpg", "instances": []}', f'{{"image": "2.jpg", "instances": [{first}, {second}]}}']
    assert jsonl.parse("\r\n".join(lines), "train.jsonl") == {
        "a/1.jpg": [],
        "2.jpg": [
            Instance(((0, 0), (9.5, 0), (9, 4)), "ü", language="de"),
            Instance(((0, 0), (9, 0), (9, 4)), "", ignore=True),
        ],
    }


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
        jsonl.parse(f'\n{line}\n{{"image": "good.jpg", "instances": []}}', "train.jsonl")
    assert [complaint[:20] for complaint in caught.value.complaints] == ["train.jsonl: line 2:"]


def test_jsonl_image_twice() -> None:
    line = '{"image": "a.jpg", "instances": []}\n'
    with pytest.raises(AnnotationError, match=r"train\.jsonl: the image a\.jpg has more than one line"):
        jsonl.parse(line + line, "train.jsonl")


def test_all_complaints_at_once_but_not_endlessly() -> None:
    with pytest.raises(AnnotationError) as caught:
        icdar_quad.parse("1,2\n" * 50, "gt.txt")
    assert len(caught.value.complaints) == 50
    assert str(caught.value).count("\n") == 20
    assert str(caught.value).endswith("\n... and 30 more")
