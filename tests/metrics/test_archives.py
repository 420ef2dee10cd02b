"""Archives that were made to harm, or by other programs: a sentence, within limits, never a traceback."""

import contextlib
import os
import struct
import zipfile
from pathlib import Path

import pytest

from textspot.metrics import RrcFormatError, archives, read_ground_truths, read_results

LINE = "0,0,20,0,20,10,0,10,EXIT\n"


def write_zip(path: Path, content: bytes = LINE.encode(), name: str = "res_img_1.txt") -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return path.read_bytes()


def patch(path: Path, local: int, central: int, value: bytes) -> None:
    """Overwrite bytes of the one entry's two headers, at their offsets in each."""
    data = bytearray(path.read_bytes())
    for start, offset in ((data.index(b"PK\x03\x04"), local), (data.index(b"PK\x01\x02"), central)):
        data[start + offset : start + offset + len(value)] = value
    path.write_bytes(data)


def read(path: Path, **options):
    return read_results(path, ["1"], **options)


@pytest.mark.parametrize(
    ("local", "central", "value", "words"),
    [
        (6, 8, struct.pack("<H", 1), "encrypted: pack it without a password"),
        (8, 10, struct.pack("<H", 97), "packed by a method that is not known"),
        (14, 16, b"\0\0\0\0", r"damaged \(Bad CRC-32"),
        (30, 46, b"xx", "no such image in the ground truth"),
    ],
)
def test_an_entry_that_cannot_be_read_is_a_fault(local, central, value, words, tmp_path) -> None:
    write_zip(tmp_path / "a.zip")
    patch(tmp_path / "a.zip", local, central, value)
    with pytest.raises(RrcFormatError, match=words):
        read(tmp_path / "a.zip")
    predictions, repairs = read(tmp_path / "a.zip", lenient=True)
    assert len(predictions["1"]) == 0
    assert len(repairs) == 1


def test_damaged_contents_are_a_fault(tmp_path) -> None:
    data = bytearray(write_zip(tmp_path / "a.zip", LINE.encode() * 100))
    data[45:60] = bytes(15)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(RrcFormatError, match="damaged"):
        read(tmp_path / "a.zip")


def test_damaged_bytes_anywhere_give_a_result_or_a_fault(tmp_path) -> None:
    data = write_zip(tmp_path / "a.zip")
    for place in range(len(data)):
        for value in (0, 255, data[place] ^ 1):
            (tmp_path / "a.zip").write_bytes(data[:place] + bytes([value]) + data[place + 1 :])
            with contextlib.suppress(RrcFormatError):
                read(tmp_path / "a.zip")


def test_a_small_archive_of_much_is_refused_before_it_is_unpacked(tmp_path, monkeypatch) -> None:
    write_zip(tmp_path / "a.zip", bytes(archives.MAX_ENTRY_BYTES + 1))
    with pytest.raises(RrcFormatError, match=rf"res_img_1.txt: {(4 << 20) + 1} bytes unpacked, at most {4 << 20}"):
        read(tmp_path / "a.zip")
    monkeypatch.setattr(archives, "MAX_TOTAL_BYTES", 100)
    write_zip(tmp_path / "a.zip", bytes(101))
    with pytest.raises(RrcFormatError, match="unpacks to 101 bytes, at most 100 are read"):
        read(tmp_path / "a.zip")


def test_a_size_that_is_too_small_unpacks_no_further(tmp_path) -> None:
    write_zip(tmp_path / "a.zip", bytes(1 << 20))
    patch(tmp_path / "a.zip", 22, 24, struct.pack("<I", 10))
    with pytest.raises(RrcFormatError, match="damaged"):
        read(tmp_path / "a.zip")


def test_too_many_files_are_refused(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(archives, "MAX_ENTRIES", 0)
    write_zip(tmp_path / "a.zip")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "gt_a.txt").touch()
    for source in ("a.zip", "folder"):
        with pytest.raises(RrcFormatError, match="holds 1 files, at most 0 are read"):
            read_ground_truths(tmp_path / source)


def test_too_many_words_of_one_image_are_refused(tmp_path) -> None:
    data = write_zip(tmp_path / "a.zip", LINE.encode() * 20_001)
    assert len(data) < 10_000
    with pytest.raises(RrcFormatError, match=r"res_img_1\.txt: 20001 lines; at most 20000 are read"):
        read(tmp_path / "a.zip")


def test_a_pipe_in_a_folder_is_a_fault(tmp_path) -> None:
    os.mkfifo(tmp_path / "res_img_1.txt")
    with pytest.raises(RrcFormatError, match="a pipe or a device, not a file"):
        read(tmp_path)


def test_a_pipe_is_no_archive(tmp_path) -> None:
    os.mkfifo(tmp_path / "a.zip")
    with pytest.raises(RrcFormatError, match="neither a folder nor a zip archive"):
        read(tmp_path / "a.zip")


def test_what_infer_writes_beside_results_is_no_fault_in_a_folder(tmp_path) -> None:
    for name in ("img_1.json", "img_1.jpg"):
        (tmp_path / name).write_text("what was found")
    (tmp_path / "res_img_1.txt").write_text(LINE)
    assert [instance.text for instance in read(tmp_path)[0]["1"]] == ["EXIT"]
    (tmp_path / "img_2.json").touch()  # stands beside no result
    with pytest.raises(RrcFormatError, match=r"1 fault\(s\)(.|\n)*img_2\.json: no such image"):
        read(tmp_path)
