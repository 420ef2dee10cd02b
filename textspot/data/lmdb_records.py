"""One LMDB of whole images: the record format, its Writer and its Reader.

A data set is a folder with one LMDB file. Record i, under the key `i` as ten digits, is

    bytes 0-3   crc32 of all that follows
    bytes 4-7   length of the header, little endian as the checksum
    header      JSON `{"name": ..., "instances": [{"polygon", "transcript", "ignore", "language"}, ...]}`
    image       the encoded image exactly as it came

and the record `meta`, written last, is a crc32 and the JSON of `Meta`. Quads, ribbons and maps are derived at load.
"""

import contextlib
import dataclasses
import json
import os
import shutil
import struct
import threading
import weakref
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb
import numpy as np

from textspot.data.annotation import Instance
from textspot.image_files import ImageError, decode_image
from textspot.structures import Sample
from textspot.text.charset import normalize

FORMAT_VERSION = 1
DATA_FILE = "data.mdb"
_INITIAL_MAP_BYTES = 64 << 20  # doubled whenever it is full: a huge map from the start fails on Windows
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
    values = {"name": name, "instances": [instance.to_dict() for instance in instances]}
    header = json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode()
    return _seal(_UINT32.pack(len(header)) + header + image_bytes)


def _unpack_record(value: memoryview) -> Record:
    """The record of its bytes; ValueError when they are not what was written."""
    body = _unseal(value)
    (header_length,) = _UINT32.unpack_from(body)
    header_end = _UINT32.size + header_length
    values = json.loads(bytes(body[_UINT32.size : header_end]))
    instances = tuple(Instance.from_dict(instance) for instance in values["instances"])
    return Record(values["name"], bytes(body[header_end:]), instances)


def _pack_meta(meta: Meta) -> bytes:
    return _seal(json.dumps(dataclasses.asdict(meta), ensure_ascii=False).encode())


def _unpack_meta(value: memoryview) -> Meta:
    values = json.loads(bytes(_unseal(value)))
    if values["version"] != FORMAT_VERSION:
        raise ValueError(
            f"it has format version {values['version']}, this version of the program reads {FORMAT_VERSION}"
        )
    return Meta(**values)


class Writer:
    """Write a data set: `with Writer(path, card) as writer: writer.add(name, image_bytes, instances)`.

    Everything goes into a folder `<path>.building` beside the target. Leaving the `with` block reads every record back
    and moves the file into place in one step. After an exception nothing remains, and what a killed build left behind
    is removed by the next one. A data set that is there already is a FileExistsError, unless it is to `overwrite`; so
    is a folder that holds anything else. `card` is stored as it is: `dataclasses.asdict(card)`, or any JSON object.
    Needs a POSIX system, for the lock on the folder.
    """

    def __init__(self, path: str | os.PathLike, card: Mapping[str, Any], overwrite: bool = False):
        self.path = Path(path)
        self.card = dict(card)
        self._building = self.path.with_name(self.path.name + ".building")
        self._names: set[str] = set()
        self._instances = self._readable = self._ignored = 0
        self._characters: Counter[str] = Counter()
        if (self.path / DATA_FILE).exists() and not overwrite:
            raise FileExistsError(f"{self.path}: exists already; give --overwrite true to build it again")
        _refuse_foreign(self.path)

    def __enter__(self) -> "Writer":
        _refuse_foreign(self._building)
        with contextlib.ExitStack() as undo:
            self._building.mkdir(parents=True, exist_ok=True)
            undo.callback(os.close, _lock_folder(self._building))
            undo.callback(shutil.rmtree, self._building)
            for left_over in self._building.iterdir():
                left_over.unlink()
            with self._explained():
                self._environment = lmdb.open(
                    os.fspath(self._building), map_size=_INITIAL_MAP_BYTES, sync=False, metasync=False, lock=False
                )
            undo.callback(self._environment.close)
            self._undo = undo.pop_all()
        return self

    def add(self, name: str, image_bytes: bytes, instances: Sequence[Instance]) -> None:
        """Append one image. A name that came before is a ValueError, a full disk an OSError."""
        if name in self._names:
            raise ValueError(f"{name}: added twice to {self.path}; names tell the images of a data set apart")
        self._put(_key(len(self._names)), _pack_record(name, image_bytes, instances))
        self._names.add(name)
        self._instances += len(instances)
        for instance in instances:
            self._ignored += instance.ignore
            self._readable += instance.readable
            if instance.readable:
                self._characters.update(normalize(instance.transcript))

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._undo:
            if kind is None:
                self._write_meta()
                self._environment.close()
                self._check()
                self._move_into_place()

    def _put(self, key: bytes, value: bytes) -> None:
        while True:
            try:
                with self._explained(), self._environment.begin(write=True) as transaction:
                    transaction.put(key, value)
                return
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns what LMDB says about a disk that takes no more into an OSError with a remedy."""
        try:
            yield
        except lmdb.MapFullError:
            raise
        except lmdb.Error as error:
            free_mb = shutil.disk_usage(self._building).free / 1e6
            raise OSError(
                f"{self.path}: cannot be written ({error}), {free_mb:.0f} MB are free there: "
                "make room or choose another disk"
            ) from error

    def _write_meta(self) -> None:
        meta = Meta(
            version=FORMAT_VERSION,
            count=len(self._names),
            instances=self._instances,
            readable=self._readable,
            ignored=self._ignored,
            characters=dict(self._characters.most_common()),
            card=self.card,
        )
        self._put(_META_KEY, _pack_meta(meta))
        with self._explained():
            self._environment.sync(True)

    def _check(self) -> None:
        reader = Reader(self._building)
        for index in range(len(reader)):
            reader[index]

    def _move_into_place(self) -> None:
        self.path.mkdir(exist_ok=True)
        os.replace(self._building / DATA_FILE, self.path / DATA_FILE)
        for folder in (self.path, self.path.parent):
            _sync_folder(folder)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or set(os.listdir(folder)) - {DATA_FILE, "lock.mdb"}):
        raise FileExistsError(f"{folder}: holds something else than a data set: choose another place")


def _lock_folder(folder: Path) -> int:
    """Hold a folder until the descriptor is closed or the process dies; BlockingIOError when another one holds it."""
    import fcntl  # POSIX only, and only writing needs it

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise BlockingIOError(f"{folder}: another process is building this data set") from error
    return descriptor


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@dataclass(frozen=True, eq=False)
class _Opened:
    """An environment and the process that opened it."""

    environment: lmdb.Environment
    process: int


# LMDB refuses to open a file twice in a process, so its readers share one environment; it closes with the last of them.
_opened: "weakref.WeakValueDictionary[tuple[int, int], _Opened]" = weakref.WeakValueDictionary()
_opened_lock = threading.Lock()


def _open(path: Path) -> _Opened:
    """This process's environment of the data set at `path`, checked for what would fail later."""
    file = path / DATA_FILE
    if not file.is_file():
        raise FileNotFoundError(_explain_missing(path))
    status = file.stat()
    key = status.st_dev, status.st_ino
    with _opened_lock:
        held = _opened.get(key)
        if held is not None and held.process == os.getpid():
            return held
        if held is not None:  # inherited by a fork: LMDB forbids its use here, and still counts it as open
            held.environment.close()
        try:
            environment = lmdb.open(os.fspath(path), readonly=True, lock=False, create=False)
        except lmdb.Error as error:
            raise ValueError(f"{path}: cannot be opened as a data set ({error}): build it again") from error
        expected = (environment.info()["last_pgno"] + 1) * environment.stat()["psize"]
        if status.st_size < expected:  # reading past the end would kill the process with SIGBUS
            environment.close()
            raise ValueError(
                f"{path}: cut short, {status.st_size} of {expected} bytes are there: copy or build it again"
            )
        _opened[key] = held = _Opened(environment, os.getpid())
        return held


def _explain_missing(path: Path) -> str:
    if not path.exists():
        return f"{path}: no such data set; datasets/prepare.py builds one"
    inside = sorted(str(file.parent) for file in path.glob(f"*/{DATA_FILE}"))
    hint = f"did you mean {' or '.join(inside)}?" if inside else "datasets/prepare.py builds one"
    return f"{path}: not a data set, it holds no {DATA_FILE}; {hint}"


class Reader:
    """Read a data set: `reader[i]` is a `Record`, `reader.sample(i)` the decoded `Sample`, `reader.meta` its `Meta`.

    A file is opened once per process, whatever the number of readers. A reader may be pickled and handed to processes
    started by fork, spawn or forkserver, which open the file themselves. A missing path is a FileNotFoundError; what is
    not a data set, is cut short or has another format version is a ValueError here, not at the first record. An empty
    data set is legal.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).resolve()
        self._opened: _Opened | None = None
        environment = self._environment()
        try:
            with environment.begin(buffers=True) as transaction:
                value = transaction.get(_META_KEY)
                if value is None:
                    raise ValueError("it has no meta record, so it is unfinished or another program's")
                self.meta = _unpack_meta(value)
        except (lmdb.Error, ValueError) as error:
            raise ValueError(f"{self.path}: not a data set that can be read: {error}; build it again") from error

    def __len__(self) -> int:
        return self.meta.count

    def __getitem__(self, index: int) -> Record:
        """Record `index`, an IndexError unless 0 <= index < len. A damaged one is a `DamagedRecordError`."""
        if not 0 <= index < len(self):
            raise IndexError(f"{self.path}: record {index} of {len(self)}")
        environment = self._environment()
        try:
            with environment.begin(buffers=True) as transaction:
                value = transaction.get(_key(index))
                if value is None:
                    raise ValueError("it is missing")
                return _unpack_record(value)
        except (lmdb.Error, ValueError) as error:
            raise DamagedRecordError(f"{self.path}: record {index} is damaged: {error}") from error

    def sample(self, index: int) -> Sample:
        """Record `index` decoded: image (H, W, 3) uint8 RGB, polygons (K, 2) float32, transcripts as annotated."""
        record = self[index]
        try:
            image = decode_image(record.image_bytes, record.name)
        except ImageError as error:
            raise DamagedRecordError(f"{self.path}: record {index} is damaged: {error}") from error
        return Sample(
            image,
            polygons=[np.array(instance.polygon, dtype=np.float32) for instance in record.instances],
            transcripts=[instance.transcript for instance in record.instances],
            ignore=np.array([instance.ignore for instance in record.instances], dtype=bool),
            name=record.name,
        )

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def _environment(self) -> lmdb.Environment:
        if self._opened is None or self._opened.process != os.getpid():
            self._opened = _open(self.path)
        return self._opened.environment
