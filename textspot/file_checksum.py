"""A SHA-256 inside the file it is of, so that damage to any bit of it is noticed when it is loaded.

It stands behind a mark, as 64 hexadecimal digits that count as zeros when it is computed. To check one takes about a
second per gigabyte, on a processor with instructions for SHA some 0.6 s. A file without a mark is from before there
were any, and is not checked.
"""

import hashlib
import mmap
import os
from collections.abc import Mapping
from pathlib import Path

CHECKSUMS = "SHA256SUMS"  # name of a file of the checksums of those beside it
MARK = "textspot-sha256:"
BLANK = MARK + 64 * "0"  # what `seal` fills in

_END_OF_ZIP, _END_BYTES = b"PK\x05\x06", 22
_CHUNK_BYTES = 1 << 20


def seal(path: Path) -> None:
    """Write the checksum of a file that holds `BLANK`, or an earlier checksum, into it."""
    place = _find(path)
    if place is None:
        raise ValueError(f"{path}: holds no {BLANK}, so it cannot be sealed")
    digest = _digest(path, place)
    with open(path, "rb+") as file:
        file.seek(place)
        file.write(digest)


def seal_zip(path: Path) -> None:
    """Append a checksum to a zip archive, as its comment."""
    size = path.stat().st_size
    with open(path, "rb+") as file:
        file.seek(size - _END_BYTES)
        if file.read(4) != _END_OF_ZIP:
            raise ValueError(f"{path}: does not end as a zip archive without a comment does")
        file.seek(size - 2)
        file.write(len(BLANK).to_bytes(2, "little") + BLANK.encode())
    seal(path)


def check(path: Path, sealed: bool = False) -> None:
    """A ValueError if the bytes of a file are not those that were sealed; or if it bears no checksum, and is known to
    have been `sealed`."""
    place = _find(path)
    if place is None:
        if sealed:
            raise ValueError("its checksum is missing, so its bytes changed after it was written")
        return
    with open(path, "rb") as file:
        file.seek(place)
        stored = file.read(64)
    if stored != _digest(path, place):
        raise ValueError("its checksum does not match, so its bytes changed after it was written")


def check_zip(path: Path) -> None:
    """As `check`; a zip archive with a comment of a checksum's length has one."""
    with open(path, "rb") as file:
        file.seek(max(0, path.stat().st_size - len(BLANK) - _END_BYTES))
        check(path, sealed=file.read(4) == _END_OF_ZIP)


def hash_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_checksums(text: str) -> dict[str, str]:
    """The SHA-256 of each file in the lines that `sha256sum` writes, by the file's name."""
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in text.splitlines())}


def format_checksums(checksums: Mapping[str, str]) -> str:
    """The lines that `sha256sum` writes and checks."""
    return "".join(f"{digest}  {name}\n" for name, digest in sorted(checksums.items()))


def _find(path: Path) -> int | None:
    """Where the digits behind the last mark of a file begin, if it has one."""
    if not path.stat().st_size:
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.rfind(MARK.encode())
    return None if place < 0 else place + len(MARK)


def _digest(path: Path, place: int) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        digest.update(file.read(place))
        file.seek(64, os.SEEK_CUR)
        digest.update(64 * b"0")
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest().encode()
