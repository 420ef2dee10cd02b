"""The files of a zip or a folder, one by one, within limits: a small archive may unpack to more than any memory."""

import os
import stat
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

MAX_ENTRIES = 100_000
MAX_ENTRY_BYTES = 4 << 20  # of one file, unpacked: some 100,000 words of one image
MAX_TOTAL_BYTES = 512 << 20

_ENCRYPTED = 0x1  # bit of a zip entry's flags

Entry = tuple[str, Callable[[], bytes]]


class ArchiveError(ValueError):
    """A file that cannot be read out of an archive or a folder, or an archive that is none; without its name."""


def find_entries(path: Path) -> Iterator[Entry]:
    """Name and reader of each entry of a zip or folder, in a fixed order; the name of a folder within ends in `/`.

    Without `path` it is a FileNotFoundError. A reader raises `ArchiveError` for what is encrypted, damaged, packed by
    an unknown method, no regular file, or too large; so does this for an archive as a whole.
    """
    if path.is_dir():
        return _find_in_folder(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such zip or folder")
    if not path.is_file() or not zipfile.is_zipfile(path):
        raise ArchiveError("neither a folder nor a zip archive")
    return _find_in_zip(path)


def _find_in_folder(path: Path) -> Iterator[Entry]:
    files = sorted(path.iterdir())
    _refuse_many(len(files))
    for file in files:
        yield f"{file.name}/" if file.is_dir() else file.name, partial(_read_file, file)


def _read_file(file: Path) -> bytes:
    try:
        status = os.stat(file)
        if not stat.S_ISREG(status.st_mode):
            raise ArchiveError("a pipe or a device, not a file")
        _refuse_large(status.st_size)
        return file.read_bytes()
    except OSError as error:
        raise ArchiveError(f"cannot be read ({error.strerror})") from error


def _find_in_zip(path: Path) -> Iterator[Entry]:
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:  # on damaged bytes this reader raises anything
        raise ArchiveError(f"a damaged zip archive ({error}): pack it anew") from error
    with archive:
        infos = archive.infolist()
        _refuse_many(len(infos))
        if (total := sum(info.file_size for info in infos)) > MAX_TOTAL_BYTES:
            raise ArchiveError(f"unpacks to {total} bytes, at most {MAX_TOTAL_BYTES} are read")
        for info in infos:
            yield info.filename, partial(_read_packed, archive, info)


def _read_packed(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise ArchiveError("encrypted: pack it without a password")
    _refuse_large(info.file_size)
    try:
        with archive.open(info) as file:
            return file.read(MAX_ENTRY_BYTES)  # zipfile itself ends at the size that is stated
    except NotImplementedError as error:
        raise ArchiveError(f"packed by a method that is not known ({error}): pack it with deflate") from error
    except Exception as error:  # each method of packing has errors of its own
        raise ArchiveError(f"damaged ({error}): pack it anew") from error


def _refuse_many(count: int) -> None:
    if count > MAX_ENTRIES:
        raise ArchiveError(f"holds {count} files, at most {MAX_ENTRIES} are read")


def _refuse_large(num_bytes: int) -> None:
    if num_bytes > MAX_ENTRY_BYTES:
        raise ArchiveError(f"{num_bytes} bytes unpacked, at most {MAX_ENTRY_BYTES} are read")
