"""Numbers of a data set, against sets small enough to count by hand."""

import io
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from textspot.data.annotation import Instance
from textspot.data.lmdb_records import Meta, Reader, Writer
from textspot.data.survey import count_characters, survey

QUAD = ((10.0, 10.0), (50.0, 10.0), (50.0, 20.0), (10.0, 20.0))


def encode(width: int, height: int, orientation: int = 1) -> bytes:
    image = Image.fromarray(np.zeros((height, width, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif)
    return file.getvalue()


def test_empty(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", {}):
        pass
    described = survey(Reader(tmp_path / "set")).describe(time_steps=32)
    assert "image sizes, width x height: none" in described
    assert "word height in pixels: none" in described
    assert "in 32 time steps: 0 of 0 (0.0 %); the longest needs 0" in described


def test_survey(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", {}) as writer:
        words = [
            Instance(QUAD, " hello ", language="en"),
            Instance(QUAD, "e\u0301"),
            Instance(QUAD),
            Instance(QUAD, "#", True),
        ]
        writer.add("a.jpg", encode(60, 30), words)
        writer.add("b.jpg", encode(60, 30, orientation=6), [])
        writer.add("c.jpg", b"no image", [])
        writer.add("d.jpg", encode(60, 30), [Instance(((0.0, 0.0), (9.0, 0.0), (9.0, 4.0)), "abc")])
    found = survey(Reader(tmp_path / "set"))
    assert found.sizes == {(30, 60): 2, (60, 30): 1}
    assert found.words_per_image == [4, 0, 1]
    assert found.points == {4: 4, 3: 1}
    assert np.round(found.heights[:3], 3).tolist() == [10, 10, 10]
    assert found.lengths == [5, 1, 3]
    assert found.time_steps == [6, 1, 3]  # a blank between the two l of hello
    assert found.languages == {"en": 1, "": 3}
    assert found.damaged == 1
    described = found.describe(time_steps=5).splitlines()
    assert described[0] == "image sizes, width x height: 60 x 30: 2, 30 x 60: 1"
    assert described[1] == "images without text: 1; 1 records are damaged"
    assert described[6] == "words that CTC can represent in 5 time steps: 2 of 3 (66.7 %); the longest needs 6"
    assert described[7] == "languages: not stated: 3, en: 1"


def test_long_tables_are_cut(tmp_path: Path) -> None:
    with Writer(tmp_path / "set", {}) as writer:
        for width in range(20, 30):
            writer.add(f"{width}.jpg", encode(width, 20), [])
    assert "27 x 20: 1, 2 others: 2\n" in survey(Reader(tmp_path / "set")).describe(32)


def test_count_characters() -> None:
    def meta(**characters: int) -> Meta:
        return Meta(1, 0, 0, 0, 0, characters, {})

    assert count_characters([]) == {}
    assert count_characters([meta(a=2, A=1), meta(a=1)]) == Counter(a=3, A=1)
    assert count_characters([meta(a=2, A=1, ß=1)], "upper") == Counter(A=3, S=2)
