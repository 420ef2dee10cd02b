"""Damaged data sets are named, whatever the damage, and end nobody but a child."""

import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from textspot.data.annotation import Instance
from textspot.data.lmdb_file import CHECKSUM_FILE
from textspot.data.lmdb_pages import check_pages
from textspot.data.lmdb_records import Reader, Writer
from textspot.data.verification import verify_dataset
from textspot.file_checksum import hash_file

QUAD = ((10.0, 10.0), (50.0, 10.0), (50.0, 20.0), (10.0, 20.0))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data set whose tree has a branch, leaves, and values with pages of their own."""
    noise = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    large, small = (cv2.imencode(".png", image)[1].tobytes() for image in (noise, noise[:4, :4]))
    with Writer(tmp_path / "set", {}) as writer:
        for number in range(60):
            writer.add(f"{number}.png", large if number % 3 else small, [Instance(QUAD, "EXIT")])
    return tmp_path / "set"


def flip(file: Path, place: int, bit: int) -> None:
    with open(file, "rb+") as opened:
        opened.seek(place)
        value = opened.read(1)[0] ^ (1 << bit)
        opened.seek(place)
        opened.write(bytes([value]))


def test_a_sound_one(folder: Path) -> None:
    assert verify_dataset(folder) == ([], "all 60 records are as they were written")
    assert (folder / CHECKSUM_FILE).read_text() == f"{hash_file(folder / 'data.mdb')}  data.mdb\n"
    (folder / CHECKSUM_FILE).unlink()
    looked_at = "all 60 records are as they were written (built before files had checksums)"
    assert verify_dataset(folder) == ([], looked_at)


def test_a_missing_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no such data set"):
        verify_dataset(tmp_path / "absent")


def test_a_damaged_record_and_a_damaged_checksum_are_named(folder: Path) -> None:
    file = folder / "data.mdb"
    place = file.read_bytes().rindex(b"7.png")
    flip(file, place, 0)
    complaints, _ = verify_dataset(folder)
    assert complaints[0] == f"{folder}: its checksum does not match: its bytes changed since it was built"
    assert "is damaged: its checksum does not match" in complaints[1]
    assert complaints[2] == "1 of 60 records are damaged: build it again"
    flip(file, place, 0)
    (folder / CHECKSUM_FILE).write_text("")
    assert len(verify_dataset(folder)[0]) == 1


@pytest.mark.parametrize("checksum", [True, False])
def test_what_ends_the_process_that_reads_is_named(folder: Path, checksum: bool, monkeypatch) -> None:
    if not checksum:
        (folder / CHECKSUM_FILE).unlink()
    start = "import os, signal; os.kill(os.getpid(), signal.SIGBUS)  # {path!r} {folder!r}"
    monkeypatch.setattr("textspot.data.verification._START", start)
    assert verify_dataset(folder)[0] == [f"{folder}: reading it ended the process (SIGBUS): its structure is damaged"]


READ_ALL = """
import contextlib, sys
from textspot.data.lmdb_records import Reader
with contextlib.suppress(ValueError):
    reader = Reader(sys.argv[1])
    for index in range(len(reader)):
        with contextlib.suppress(ValueError):
            reader[index]
"""


def structural_places(folder: Path) -> list[int]:
    """Of the bytes that say where pages and values lie: meta pages, and the headers and nodes of branches and
    leaves."""
    data = (folder / "data.mdb").read_bytes()
    places = [*range(160), *range(4096, 4096 + 160)]
    for page in range(2 * 4096, len(data), 4096):
        number, flags, lower = struct.unpack_from("<QxxHH", data, page)
        if number == page // 4096 and flags in (1, 2) and lower < 4096:
            places += [*range(page, page + lower)]
            starts = [int.from_bytes(data[at : at + 2], "little") for at in range(page + 16, page + lower, 2)]
            places += [page + start + byte for start in starts for byte in range(26)]
    return [place for place in places if place < len(data)]


@pytest.mark.slow
def test_damaged_structures_end_no_reader(folder: Path) -> None:
    """Each flip in its own process would take minutes: one process reads copies with other flips one by one."""
    rng, file = np.random.default_rng(0), folder / "data.mdb"
    places = structural_places(folder)
    assert len(places) > 1000
    original = file.read_bytes()
    for place in rng.choice(places, 150, replace=False):
        flip(file, int(place), int(rng.integers(8)))
        ended = subprocess.run([sys.executable, "-c", READ_ALL, folder], timeout=60, check=False)
        assert ended.returncode == 0, (place, ended.returncode)
        file.write_bytes(original)


def test_every_flipped_bit_is_named_by_the_checksum(folder: Path, monkeypatch) -> None:
    """Of all bytes, those of unused pages too; the records are left aside here, which take a process each."""
    monkeypatch.setattr("textspot.data.verification._read_in_child", lambda _: ([], ""))
    rng, file = np.random.default_rng(1), folder / "data.mdb"
    size = file.stat().st_size
    for _ in range(1000):
        place, bit = int(rng.integers(size)), int(rng.integers(8))
        flip(file, place, bit)
        assert len(verify_dataset(folder)[0]) == 1
        flip(file, place, bit)
    assert verify_dataset(folder)[0] == []


@pytest.mark.parametrize(("offset", "value", "words"), [(10, b"\x04\0", "is another one"), (12, b"\xff\xff", "bounds")])
def test_a_page_that_cannot_be_is_refused_at_open(folder: Path, offset: int, value: bytes, words: str) -> None:
    data = bytearray((folder / "data.mdb").read_bytes())
    leaf = next(
        page
        for page in range(2 * 4096, len(data), 4096)
        if int.from_bytes(data[page : page + 8], "little") == page // 4096 and data[page + 10 : page + 12] == b"\2\0"
    )
    data[leaf + offset : leaf + offset + 2] = value
    (folder / "data.mdb").write_bytes(data)
    with pytest.raises(ValueError, match=rf"set: cannot be opened .*damaged: page \d+ .*{words}.*: copy or build"):
        Reader(folder)


def test_a_value_that_reaches_beyond_the_file_is_refused_at_open(folder: Path) -> None:
    data = bytearray((folder / "data.mdb").read_bytes())
    node = data.index(b"%010d" % 1) - 8  # low and high half of the value's length, flags, the key's length
    assert data[node + 4] == 1
    data[node + 2] = 0xFF
    (folder / "data.mdb").write_bytes(data)
    with pytest.raises(ValueError, match="holds a value that reaches beyond the file"):
        check_pages(folder / "data.mdb")
    with pytest.raises(ValueError, match="holds a value that reaches beyond the file"):
        Reader(folder)


def test_sound_ones_are_walked(folder: Path, tmp_path: Path) -> None:
    check_pages(folder / "data.mdb")
    with Writer(tmp_path / "empty", {}):
        pass
    check_pages(tmp_path / "empty" / "data.mdb")
