"""What looks wrong with annotations: one case for each finding, and annotations that are in order."""

import cv2
import numpy as np
import pytest

from textspot.data.annotation import Instance
from textspot.data.lint import Annotated, describe, lint_images, lint_records
from textspot.data.lmdb_records import Reader, Writer
from textspot.text.charset import TextConfig

TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT = (10.0, 10.0), (50.0, 10.0), (50.0, 20.0), (10.0, 20.0)
QUAD = (TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT)


def encode(shade: int = 0, size: tuple[int, int] = (60, 100)) -> bytes:
    return cv2.imencode(".png", np.full((*size, 3), shade, np.uint8))[1].tobytes()


def lint(*instances: Instance, **changes) -> list[str]:
    values = {"name": "a.png", "image_bytes": encode(), "instances": instances} | changes
    return list(lint_images([Annotated(**values)]))


def test_nothing() -> None:
    assert lint_images([]) == {}
    assert describe({}) == ""


@pytest.mark.parametrize(
    "instance",
    [
        Instance(QUAD, "word"),
        Instance(QUAD),  # a box without a reading
        Instance(QUAD, "###", ignore=True),
        Instance(((40.0, 5.0), (50.0, 5.0), (50.0, 55.0), (40.0, 55.0)), "TV"),  # short and upright
        Instance(((10.0, 50.0), (10.0, 10.0), (20.0, 10.0), (20.0, 50.0)), "upwards"),
        Instance(((-2.0, 10.0), (50.0, 10.0), (50.0, 20.0), (-2.0, 20.0)), "a little over the border"),
        Instance(QUAD, '12" and 4" wide'),
        Instance(QUAD, "क्‍ष"),  # with a joiner, which is invisible and belongs there
    ],
)
def test_in_order(instance: Instance) -> None:
    assert lint(instance, stated_size=(60, 100)) == []


@pytest.mark.parametrize(
    ("polygon", "finding"),
    [
        ((TOP_LEFT,) * 4, "has no area"),
        ((TOP_LEFT, BOTTOM_RIGHT, TOP_RIGHT, BOTTOM_LEFT), "the outline crosses itself: are its corners in order?"),
        ((TOP_LEFT, BOTTOM_LEFT, BOTTOM_RIGHT, TOP_RIGHT), "runs anticlockwise; expected clockwise from the start"),
        ((BOTTOM_RIGHT, BOTTOM_LEFT, TOP_LEFT, TOP_RIGHT), "reads from right to left as drawn, so upside down"),
        ((BOTTOM_LEFT, TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT), "is far higher than wide for its text"),
        (((110.0, 10.0), (150.0, 10.0), (150.0, 20.0), (110.0, 20.0)), "lies outside the image"),
        (((80.0, 10.0), (120.0, 10.0), (120.0, 20.0), (80.0, 20.0)), "reaches out of the image"),
    ],
)
def test_polygons(polygon, finding: str) -> None:
    (found,) = lint(Instance(polygon, "word"))
    assert found.startswith(finding)


@pytest.mark.parametrize(
    ("transcript", "finding"),
    [
        ("12,30,####word", "the transcript starts with coordinates"),
        ("Latin,word", "the transcript starts with a script: is this a file of MLT? set format: mlt"),
        ('"Sale', "the transcript holds an odd number of quotes: was it cut at a comma?"),
        (" word", "the transcript has blanks around it"),
        ("#", "the transcript looks like a don't-care mark"),
        ("\ufeffword", "the transcript holds invisible characters: U+FEFF"),
        ("wo\trd\x07", "the transcript holds invisible characters: U+0007, U+0009"),
        ("Cafe\u0301", "the transcript holds decomposed characters"),
    ],
)
def test_transcripts(transcript: str, finding: str) -> None:
    (found,) = lint(Instance(QUAD, transcript))
    assert found.startswith(finding)
    assert lint(Instance(QUAD, transcript, ignore=True)) == []


def test_sizes() -> None:
    assert lint(stated_size=(100, 60)) == [
        "annotated at 60 x 100 pixels, is 100 x 60: its EXIF orientation was not heeded"
    ]
    upright = Instance(((10.0, 70.0), (50.0, 70.0), (50.0, 90.0), (10.0, 90.0)), "word")
    assert "the polygons fit only the image turned by a quarter: was its EXIF orientation heeded?" in lint(upright)


def test_the_same_outline_twice() -> None:
    assert lint(Instance(QUAD, "word"), Instance(QUAD)) == ["two instances have the same outline"]


def test_charset() -> None:
    image = Annotated(
        "a.png", encode(), (Instance(QUAD, "Word"), Instance(QUAD[:3], "WÖRD"), Instance(QUAD[1:], "Ö", True))
    )
    assert lint_images([image], TextConfig("DORW", case="upper")) == {
        "holds characters outside the charset": ["a.png: instance 2 'WÖRD'"]
    }


def test_images_that_occur_twice(tmp_path) -> None:
    """Also across data sets: a training image among the validation images."""
    for name, shades in (("train", (1, 2)), ("val", (3, 1))):
        with Writer(tmp_path / name, {}) as writer:
            for shade in shades:
                writer.add(f"{shade}.png", encode(shade), [])
    assert lint_records([Reader(tmp_path / "val")]) == {}
    place = f"{tmp_path.name}/val: 1.png, as {tmp_path.name}/train: 1.png"
    assert lint_records([Reader(tmp_path / "train"), Reader(tmp_path / "val")]) == {"the same image again": [place]}


def test_damaged_records(tmp_path) -> None:
    with Writer(tmp_path / "train", {}) as writer:
        writer.add("marker.png", encode(), [])
        writer.add("no.png", b"no image", [])
    file = tmp_path / "train" / "data.mdb"
    file.write_bytes(file.read_bytes().replace(b"marker.png", b"market.png"))
    findings = lint_records([Reader(tmp_path / "train")])
    assert [places[:1] for places in findings] == ["c"]
    first, second = findings["cannot be read"]
    assert first.startswith(f"{tmp_path}/train: record 0 is damaged: its checksum does not match")
    assert second.startswith(f"{tmp_path.name}/train: no.png: cannot be decoded as an image")


def test_describe() -> None:
    assert describe({"rare": ["a"], "frequent": list("bcdefgh")}).splitlines() == [
        "7: frequent",
        *[f"    {place}" for place in "bcdef"],
        "    ... and 2 more",
        "1: rare",
        "    a",
    ]
