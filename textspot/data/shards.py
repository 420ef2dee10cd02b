"""A data set as WebDataset tars, on this machine or in a store, with an index that finds each sample in them.

A data set is a folder of `shard-000000.tar` and so on, and `index.npz`, written last. Sample i is two members of a
shard: `0000000012.json` with what an LMDB's record says of the image, and `0000000012.jpg`, the encoded image exactly
as it came, with the suffix of its format. The index holds the shard of each sample, where it begins and ends there, and
the CRC-32 of these bytes, so that one request for a range of bytes reads one sample: any order is possible, and it is
the same as with an LMDB.
"""

import hashlib
import io
import os
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from textspot.data.lmdb_records import (
    DamagedRecordError,
    Meta,
    Reader,
    Record,
    meta_from_json,
    pack_header,
    unpack_header,
)
from textspot.image_decoding import open_image
from textspot.progress import Track, untracked
from textspot.ranges import NonNegative, check_ranges
from textspot.stores import DeniedError, StoreError, is_remote, join, list_files, read_file, write_file

INDEX_FILE = "index.npz"
SHARD_BYTES = 256 << 20  # of images, after which the next shard begins
COLUMNS = {"shard": np.int32, "offset": np.int64, "size": np.int32, "crc32": np.uint32}
SUFFIXES = {
    "JPEG": "jpg",
    "MPO": "jpg",
    "TIFF": "tif",
    "JPEG2000": "jp2",
}  # of others, the format itself


@dataclass(frozen=True)
class CacheConfig:
    """Samples of shards that are kept on this machine.

    Training shows each sample once before any comes again, so that a cache which exchanges its samples would find
    none of them: this one keeps the first ones of the data set, as many as there is room for.

    Args:
        path: folder of this machine that receives the samples.
        max_gb: maximum size of the kept samples in gigabytes; 0 keeps none.
    """

    path: str
    max_gb: NonNegative = 10.0

    def __post_init__(self) -> None:
        check_ranges(self, "cache.")


def shard_name(number: int) -> str:
    """The file of a shard."""
    return f"shard-{number:06d}.tar"


def write_shards(
    reader: Reader, folder: str, overwrite: bool = False, shard_bytes: int = SHARD_BYTES, track: Track = untracked
) -> int:
    """Write the samples of a data set into shards below a folder or prefix, in their order; the number of shards.

    A folder that holds shards is a FileExistsError unless it is to `overwrite`. The index is written last, so that what
    a kill leaves behind is no data set.
    """
    present = [file.name for file in list_files(folder)]
    if present and not overwrite:
        raise FileExistsError(f"{folder}: holds {present[0]}; give --overwrite true to write shards over what is there")
    index: dict[str, list[int]] = {name: [] for name in COLUMNS}
    buffer, number = io.BytesIO(), 0
    for position in track(range(len(reader)), "shards"):
        if buffer.tell() >= shard_bytes:
            write_file(join(folder, shard_name(number)), _finish(buffer))
            buffer, number = io.BytesIO(), number + 1
        start = buffer.tell()
        buffer.write(_pack_sample(position, reader[position]))
        found = (number, start, buffer.tell() - start, zlib.crc32(buffer.getbuffer()[start:]))
        for name, value in zip(COLUMNS, found, strict=True):
            index[name].append(value)
    write_file(join(folder, shard_name(number)), _finish(buffer))
    write_file(join(folder, INDEX_FILE), _pack_index(index, reader.meta))
    return number + 1


def _pack_sample(position: int, record: Record) -> bytes:
    """Two members of a tar, without the end of a tar."""
    kind = open_image(record.image_bytes, record.name).format or ""
    members = {
        "json": pack_header(record.name, record.instances),
        SUFFIXES.get(kind, kind.lower()): record.image_bytes,
    }
    packed = b""
    for suffix, data in members.items():
        member = tarfile.TarInfo(f"{position:010d}.{suffix}")
        member.size = len(data)
        padding = -len(data) % tarfile.BLOCKSIZE
        packed += member.tobuf(tarfile.USTAR_FORMAT) + data + bytes(padding)
    return packed


def _unpack_sample(data: bytes) -> Record:
    """The record of the bytes of its members; ValueError if they are no members of a tar."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data + bytes(2 * tarfile.BLOCKSIZE))) as members:
            header, image = (members.extractfile(member) for member in members)
            return unpack_header(header.read(), image.read())  # type: ignore[union-attr]  # files, as they were written
    except (tarfile.TarError, AttributeError) as error:
        raise ValueError(f"it is no sample of a tar ({error})") from error


def _finish(buffer: io.BytesIO) -> bytes:
    """The bytes of a tar with its end."""
    return buffer.getvalue() + bytes(2 * tarfile.BLOCKSIZE)


def _pack_index(index: dict[str, list[int]], meta: Meta) -> bytes:
    buffer = io.BytesIO()
    columns: dict[str, Any] = {name: np.array(index[name], kind) for name, kind in COLUMNS.items()}
    np.savez(buffer, meta=np.frombuffer(meta.to_json(), np.uint8), **columns)
    return buffer.getvalue()


def are_shards(path: str | os.PathLike) -> bool:
    """Whether a path or URL is that of shards, and not of an LMDB."""
    return is_remote(os.fspath(path)) or (Path(path) / INDEX_FILE).is_file()


def open_records(path: str | os.PathLike, least_score: float = 0.0, cache: CacheConfig | None = None) -> Reader:
    """The reader of a data set, an LMDB or shards."""
    if are_shards(path):
        return ShardReader(os.fspath(path), least_score, cache)
    if cache:
        raise ValueError(f"{path}: is no data set of shards, so that cache has no effect: leave it out")
    return Reader(path, least_score)


class ShardReader(Reader):
    """A `Reader` of shards: each sample is one range of bytes of a shard, from the cache if it is there.

    A folder without an index is a FileNotFoundError, an index that is none a ValueError. A shard that is missing, cut
    short or changed since the index was written makes each of its samples a `DamagedRecordError`. A store that does not
    answer is a `StoreError`: it says nothing about the samples.
    """

    def __init__(self, address: str, least_score: float = 0.0, cache: CacheConfig | None = None):
        self.address = address if is_remote(address) else os.path.abspath(address)
        self.path, self.least_score = Path(address), least_score
        data = read_file(join(self.address, INDEX_FILE))
        self._identity = hashlib.sha256(data).hexdigest()
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as index:
                self._index = {name: index[name] for name in COLUMNS}
                self.meta = meta_from_json(index["meta"].tobytes())
        except Exception as error:  # NumPy raises by what is wrong with the file
            raise ValueError(f"{address}: {INDEX_FILE} cannot be read ({error}): write the shards again") from error
        self._cache = SampleCache(cache, self._identity, self._index["size"]) if cache else None

    @property
    def identity(self) -> str:
        """The SHA-256 of the index, which holds the checksums of all samples."""
        return self._identity

    def __getitem__(self, index: int) -> Record:
        """Record `index`, an IndexError unless 0 <= index < len. A damaged one is a `DamagedRecordError`."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.address}: record {index} of {len(self)}")
        shard, start, size, checksum = (int(self._index[name][index]) for name in COLUMNS)
        if self._cache and (kept := self._cache.read(index)) is not None and zlib.crc32(kept) == checksum:
            return _unpack_sample(kept)
        address = join(self.address, shard_name(shard))
        try:
            data = read_file(address, start, start + size)
            self._check(data, size, checksum, address)
            record = _unpack_sample(data)
        except (FileNotFoundError, DeniedError, ValueError) as error:
            raise DamagedRecordError(f"{self.address}: record {index} is damaged: {error}") from error
        if self._cache:
            self._cache.keep(index, data)
        return record

    def _check(self, data: bytes, size: int, checksum: int, address: str) -> None:
        """A ValueError if bytes of a shard are not those that were written."""
        if len(data) > size:
            raise StoreError(f"{address}: its server ignores the range of a request: use one that serves ranges")
        if len(data) < size:
            raise ValueError(f"{address} is cut short, or changed since {INDEX_FILE} was written")
        if zlib.crc32(data) != checksum:
            raise ValueError(f"{address} changed since {INDEX_FILE} was written: its checksum does not match")


class SampleCache:
    """The first samples of a data set as files, each there in full or not at all; processes may share it."""

    def __init__(self, config: CacheConfig, identity: str, sizes: np.ndarray):
        self.folder = Path(config.path) / identity[:16]
        room = np.searchsorted(np.cumsum(sizes, dtype=np.int64), config.max_gb * 1e9, side="right")
        self.num_kept = int(room)

    def read(self, index: int) -> bytes | None:
        """The bytes of a sample, None if they are not here."""
        if index >= self.num_kept:
            return None
        try:
            return self._file(index).read_bytes()
        except FileNotFoundError:
            return None

    def keep(self, index: int, data: bytes) -> None:
        """Keep the bytes of a sample if it is one of those that are kept."""
        if index >= self.num_kept:
            return
        file = self._file(index)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary.write_bytes(data)
            os.replace(temporary, file)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise OSError(f"{file}: cannot be kept ({error}): make room, or lower max_gb of the cache") from error

    def _file(self, index: int) -> Path:
        return self.folder / f"{index:010d}"
