"""One LMDB file: written in full or not at all, and opened once per process.

Knows nothing of what is in it; `lmdb_records` and `crop_lmdb` do.
"""

import contextlib
import os
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lmdb

from textspot.data.lmdb_pages import check_pages
from textspot.file_checksum import hash_file

DATA_FILE = "data.mdb"
CHECKSUM_FILE = "data.sha256"  # of the data file as it was built, as sha256sum writes and checks it
_INITIAL_MAP_BYTES = 64 << 20  # doubled whenever it is full: a huge map from the start fails on Windows


class NewLmdb:
    """An LMDB under construction: `with NewLmdb(path, check) as file: file.put(key, value)`.

    Everything goes into a folder `<path>.building` beside the target. Leaving the `with` block syncs it, gives that
    folder to `check`, which raises when what it reads back is wrong, and moves the file into place in one step. After
    an exception nothing remains, and what a killed build left behind is removed by the next one. A target that is
    there already is a FileExistsError, unless it is to `overwrite`; so is a folder that holds anything else. Needs a
    POSIX system, for the lock on the folder.
    """

    def __init__(self, path: str | os.PathLike, check: Callable[[Path], None], overwrite: bool = False):
        self.path = Path(path)
        self._check = check
        self._building = self.path.with_name(self.path.name + ".building")
        if (self.path / DATA_FILE).exists() and not overwrite:
            raise FileExistsError(f"{self.path}: exists already; give --overwrite true to build it again")
        _refuse_foreign(self.path)

    def __enter__(self) -> "NewLmdb":
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

    def put(self, key: bytes, value: bytes) -> None:
        """Write a value. A full disk is an OSError."""
        while True:
            try:
                with self._explained(), self._environment.begin(write=True) as transaction:
                    transaction.put(key, value)
                return
            except lmdb.MapFullError:
                self._environment.set_mapsize(2 * self._environment.info()["map_size"])

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._undo:
            if kind is None:
                with self._explained():
                    self._environment.sync(True)
                self._environment.close()
                self._check(self._building)
                self._move_into_place()

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

    def _move_into_place(self) -> None:
        checksum = f"{hash_file(self._building / DATA_FILE)}  {DATA_FILE}\n"
        self.path.mkdir(exist_ok=True)
        (self.path / CHECKSUM_FILE).unlink(missing_ok=True)  # a kill from here on leaves none rather than another's
        os.replace(self._building / DATA_FILE, self.path / DATA_FILE)
        (self.path / CHECKSUM_FILE).write_text(checksum, encoding="ascii")
        for folder in (self.path, self.path.parent):
            _sync_folder(folder)


def _refuse_foreign(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or set(os.listdir(folder)) - {DATA_FILE, CHECKSUM_FILE, "lock.mdb"}):
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


class OpenLmdb:
    """An LMDB open for reading: `with file.begin() as transaction: transaction.get(key)`.

    A file is opened once per process, whatever the number of objects that stand for it, and again in each process that
    one is pickled to, by fork, spawn or forkserver. A missing path is a FileNotFoundError; what cannot be opened or is
    cut short is a ValueError here, not when it is read.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path).resolve()
        self._opened: _Opened | None = None
        self._environment()

    def begin(self) -> lmdb.Transaction:
        """A transaction whose values are buffers, valid until it ends."""
        return self._environment().begin(buffers=True)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def _environment(self) -> lmdb.Environment:
        if self._opened is None or self._opened.process != os.getpid():
            self._opened = _open(self.path)
        return self._opened.environment


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
        raise FileNotFoundError(explain_missing(path))
    status = file.stat()
    key = status.st_dev, status.st_ino
    with _opened_lock:
        held = _opened.get(key)
        if held is not None and held.process == os.getpid():
            return held
        if held is not None:  # inherited by a fork: LMDB forbids its use here, and still counts it as open
            held.environment.close()
        try:
            check_pages(file)  # reading past the end would kill the process with SIGBUS
            environment = lmdb.open(os.fspath(path), readonly=True, lock=False, create=False)
        except ValueError as error:
            raise ValueError(f"{path}: cannot be opened as a data set ({error}): copy or build it again") from error
        except lmdb.Error as error:
            raise ValueError(f"{path}: cannot be opened as a data set ({error}): build it again") from error
        _opened[key] = held = _Opened(environment, os.getpid())
        return held


def explain_missing(path: Path) -> str:
    """Why there is no data set in a folder, and what may be meant, in words."""
    if not path.exists():
        return f"{path}: no such data set; textspot prepare build makes one"
    inside = sorted(str(file.parent) for file in path.glob(f"*/{DATA_FILE}"))
    hint = f"did you mean {' or '.join(inside)}?" if inside else "textspot prepare build makes one"
    return f"{path}: not a data set, it holds no {DATA_FILE}; {hint}"
