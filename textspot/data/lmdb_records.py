"""One LMDB of whole images: the record format, its Writer and its Reader.

A data set is a folder with one LMDB file. Record i, under the key `i` as ten digits, is

    bytes 0-3   crc32 of all that follows
    bytes 4-7   length of the header, little endian as the checksum
    header      JSON `{"name": ..., "instances": [{"polygon", "transcript", "ignore", "language", "score"}, ...]}`, as
                `Instance.to_dict` makes them
    image       the encoded image exactly as it came

and the record `meta`, written last, is a crc32 and the JSON of `Meta`. Quads, ribbons and maps are derived at load.
"""

import contextlib
import dataclasses
import hashlib
import json
import os
import struct
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from textspot.data.annotation import Instance
from textspot.data.lmdb_file import CHECKSUM_FILE, NewLmdb, OpenLmdb
from textspot.image_files import ImageError, decode_reduced
from textspot.structures import Sample
from textspot.text.charset import normalize

FORMAT_VERSION = 1
_META_KEY = b"meta"
_UINT32 = struct.Struct("<I")


class DamagedRecordError(ValueError):
    """One record cannot be used, the others may. The message names data set and record."""


@dataclass(frozen=True)
class Meta:
    """What a data set says about itself: written once, read without touching the records.

    `count` images hold `instances`, of which `ignored` count neither way and `readable` have a transcript the reader
    can learn. `characters` counts each character of those transcripts, normalised. `card` is the data set's card as a
    dict.
    """

    version: int
    count: int
    instances: int
    readable: int
    ignored: int
    characters: dict[str, int]
    card: dict[str, Any]

    def to_json(self) -> bytes:
        """As one JSON object."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False).encode()

    def __str__(self) -> str:
        unread = self.instances - self.readable - self.ignored
        return (
            f"{self.count} images, {self.instances} instances: {self.readable} readable, {self.ignored} ignored, "
            f"{unread} without transcript"
        )


@dataclass(frozen=True)
class Record:
    """One image as it came, and its annotation."""

    name: str
    image_bytes: bytes
    instances: tuple[Instance, ...]


def _key(index: int) -> bytes:
    return b"%010d" % index


def _seal(body: bytes) -> bytes:
    return _UINT32.pack(zlib.crc32(body)) + body


def _unseal(value: memoryview) -> memoryview:
    """The bytes that were sealed; ValueError when they changed since."""
    body = value[_UINT32.size :]
    if len(value) < _UINT32.size or _UINT32.unpack_from(value) != (zlib.crc32(body),):
        raise ValueError("its checksum does not match, so its bytes changed after they were written")
    return body


def _pack_record(name: str, image_bytes: bytes, instances: Sequence[Instance]) -> bytes:
    header = pack_header(name, instances)
    return _seal(_UINT32.pack(len(header)) + header + image_bytes)


def pack_header(name: str, instances: Sequence[Instance]) -> bytes:
    """The JSON of a record: all of it but the image."""
    values = {"name": name, "instances": [instance.to_dict() for instance in instances]}
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()


def unpack_header(header: bytes, image_bytes: bytes) -> Record:
    """The record of its JSON and its image; ValueError when the JSON is none."""
    values = json.loads(header)
    return Record(values["name"], image_bytes, tuple(Instance.from_dict(one) for one in values["instances"]))


def _unpack_record(value: memoryview) -> Record:
    """The record of its bytes; ValueError when they are not what was written."""
    body = _unseal(value)
    (header_length,) = _UINT32.unpack_from(body)
    header_end = _UINT32.size + header_length
    return unpack_header(bytes(body[_UINT32.size : header_end]), bytes(body[header_end:]))


def _pack_meta(meta: Meta) -> bytes:
    return _seal(meta.to_json())


def _unpack_meta(value: memoryview) -> Meta:
    return meta_from_json(bytes(_unseal(value)))


def meta_from_json(text: bytes) -> Meta:
    """What `Meta.to_json` wrote; another format version is a ValueError."""
    values = json.loads(text)
    if values["version"] != FORMAT_VERSION:
        raise ValueError(
            f"it has format version {values['version']}, this version of the program reads {FORMAT_VERSION}"
        )
    return Meta(**values)


class Writer:
    """Write a data set: `with Writer(path, card) as writer: writer.add(name, image_bytes, instances)`.

    It is a `NewLmdb`: leaving the `with` block reads every record back and moves the file into place; after an
    exception nothing remains; a target that exists is a FileExistsError unless it is to `overwrite`. `card` is stored
    as it is: `dataclasses.asdict(card)`, or any JSON object.
    """

    def __init__(self, path: str | os.PathLike, card: Mapping[str, Any], overwrite: bool = False):
        self.path = Path(path)
        self.card = dict(card)
        self._file = NewLmdb(path, _read_everything, overwrite)
        self._names: set[str] = set()
        self._instances = self._readable = self._ignored = 0
        self._characters: Counter[str] = Counter()

    def __enter__(self) -> "Writer":
        self._writing = self._write()
        return self._writing.__enter__()

    def __exit__(self, *raised: Any) -> bool | None:
        return self._writing.__exit__(*raised)

    @contextlib.contextmanager
    def _write(self) -> Iterator["Writer"]:
        with self._file:
            yield self
            self._file.put(_META_KEY, _pack_meta(self._meta()))

    def add(self, name: str, image_bytes: bytes, instances: Sequence[Instance]) -> None:
        """Append one image. A name that came before is a ValueError, a full disk an OSError."""
        if name in self._names:
            raise ValueError(f"{name}: added twice to {self.path}; names tell the images of a data set apart")
        self._file.put(_key(len(self._names)), _pack_record(name, image_bytes, instances))
        self._names.add(name)
        self._instances += len(instances)
        for instance in instances:
            self._ignored += instance.ignore
            self._readable += instance.readable
            if instance.readable:
                self._characters.update(normalize(instance.transcript))

    def _meta(self) -> Meta:
        return Meta(
            version=FORMAT_VERSION,
            count=len(self._names),
            instances=self._instances,
            readable=self._readable,
            ignored=self._ignored,
            characters=dict(self._characters.most_common()),
            card=self.card,
        )


def _read_everything(path: Path) -> None:
    reader = Reader(path)
    for index in range(len(reader)):
        reader[index]


class Reader:
    """Read a data set: `reader[i]` is a `Record`, `reader.sample(i)` the decoded `Sample`, `reader.meta` its `Meta`.

    A file is opened once per process, whatever the number of readers. A reader may be pickled and handed to processes
    started by fork, spawn or forkserver, which open the file themselves. A missing path is a FileNotFoundError; what is
    not a data set, is cut short or has another format version is a ValueError here, not at the first record. An empty
    data set is legal. Samples show no transcript whose score is below `least_score`.
    """

    def __init__(self, path: str | os.PathLike, least_score: float = 0.0):
        self.least_score = least_score
        self._file = OpenLmdb(path)
        self.path = self._file.path
        try:
            with self._file.begin() as transaction:
                value = transaction.get(_META_KEY)
                if value is None:
                    raise ValueError("it has no meta record, so it is unfinished or another program's")
                self.meta = _unpack_meta(memoryview(value))
        except (lmdb.Error, ValueError) as error:
            raise ValueError(f"{self.path}: not a data set that can be read: {error}; build it again") from error

    @property
    def identity(self) -> str:
        """What tells this data set from others, wherever it lies: the checksum from when it was built; without one, a
        checksum of what `meta` says."""
        checksum = self.path / CHECKSUM_FILE
        if checksum.is_file() and (stored := checksum.read_text(encoding="ascii", errors="replace").split()):
            return stored[0]
        return hashlib.sha256(_pack_meta(self.meta)).hexdigest()

    def __len__(self) -> int:
        return self.meta.count

    def __getitem__(self, index: int) -> Record:
        """Record `index`, an IndexError unless 0 <= index < len. A damaged one is a `DamagedRecordError`."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path}: record {index} of {len(self)}")
        try:
            with self._file.begin() as transaction:
                value = transaction.get(_key(index))
                if value is None:
                    raise ValueError("it is missing")
                return _unpack_record(memoryview(value))
        except (lmdb.Error, ValueError) as error:
            raise DamagedRecordError(f"{self.path}: record {index} is damaged: {error}") from error

    def sample(self, index: int, least_side: int | None = None) -> Sample:
        """Record `index` decoded: image (H, W, 3) uint8 RGB, polygons (K, 2) float32, transcripts as annotated.

        With `least_side` large photographs may come smaller, their polygons too: see `decode_reduced`.
        """
        record = self[index]
        try:
            image, divisor = decode_reduced(record.image_bytes, record.name, least_side)
        except ImageError as error:
            raise DamagedRecordError(f"{self.path}: record {index} is damaged: {error}") from error
        return Sample(
            image,
            polygons=[np.array(instance.polygon, dtype=np.float32) / divisor for instance in record.instances],
            transcripts=[item.transcript if item.score >= self.least_score else "" for item in record.instances],
            ignore=np.array([instance.ignore for instance in record.instances], dtype=bool),
            name=record.name,
        )
