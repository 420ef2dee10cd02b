"""Files in any store that fsspec knows, such as a local folder, S3 or HTTP, with errors that name file and remedy.

Credentials, end points and time-outs come from the environment, as each store's client and fsspec read them:
AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, FSSPEC_S3_ENDPOINT_URL and so on. They never stand in an address.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from textspot.atomic_file import write_atomically
from textspot.extras import MissingExtraError

PAUSES_S = (1.0, 4.0)  # before a store that failed is asked again
PAST_THE_END = (416, "InvalidRange")  # what HTTP and S3 say to a range behind the end of a file
OF_ONE_FILE = {"AccessDenied", "InvalidObjectState"}  # codes of S3 that say nothing about the credentials


class StoreError(OSError):
    """A store that does not answer, or refuses the credentials. It says nothing about the file that was asked for."""


class CredentialsError(StoreError):
    """A store that refuses the credentials."""


class DeniedError(OSError):
    """A file that these credentials may not read; others may be readable."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a store: its name below the folder that was listed, its full address, its size in bytes."""

    name: str
    address: str
    num_bytes: int


def is_remote(address: str) -> bool:
    """Whether an address is a URL rather than a path of this machine."""
    return "://" in address and not address.startswith("file://")


def join(folder: str, name: str) -> str:
    """The address of a file in a folder."""
    return f"{folder.rstrip('/')}/{name}"


def list_files(folder: str) -> list[StoredFile]:
    """All files below a folder or prefix, at any depth, by name; none if there is no such folder."""
    with _named(folder):
        files, root = _open_store(folder)
        found = files.find(root, detail=True)
    top = root.rstrip("/") + "/"
    listed = ((path, int(found[path].get("size") or 0)) for path in sorted(found))
    return [StoredFile(path.removeprefix(top), _address(files, path, folder), size) for path, size in listed]


def read_file(address: str, start: int | None = None, end: int | None = None) -> bytes:
    """The bytes of a file, or those from `start` to before `end`, as far as it goes; a store that fails is asked again
    twice. A file that is missing is a FileNotFoundError."""
    for pause in PAUSES_S:
        try:
            return _read_once(address, start, end)
        except CredentialsError:
            raise
        except StoreError:
            time.sleep(pause)
    return _read_once(address, start, end)


def _read_once(address: str, start: int | None, end: int | None) -> bytes:
    with _named(address):
        files, path = _open_store(address)
        try:
            return files.cat_file(path, start=start, end=end)
        except Exception as error:
            if {getattr(error, "status", None), _code(error)}.isdisjoint(PAST_THE_END):
                raise
            return b""


@contextmanager
def open_file(address: str) -> Iterator[Any]:
    """A file of a store, open for reading bytes anywhere in it."""
    with _named(address):
        files, path = _open_store(address)
        file = files.open(path, "rb")
    with file:
        yield file


def write_file(address: str, data: bytes) -> None:
    """Write a file that is there in full or not at all: on this machine by a rename, elsewhere as one upload, which
    object stores show when it is complete."""
    if not is_remote(address):
        write_atomically(Path(address.removeprefix("file://")), lambda temporary: temporary.write_bytes(data))
        return
    with _named(address):
        files, path = _open_store(address)
        files.pipe_file(path, data)


def _open_store(address: str) -> tuple[Any, str]:
    """The client of an address, one for each process and store, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtraError("fsspec is not installed: pip install 'textspot[stores]'") from error
    files, path = url_to_fs(address)
    files.invalidate_cache()  # of listings: another process may have written since
    return files, path


def _address(files: Any, path: str, folder: str) -> str:
    return str(files.unstrip_protocol(path)) if is_remote(folder) else path


@contextmanager
def _named(address: str) -> Iterator[None]:
    """What the clients of stores raise, sorted by what it means; their classes differ from store to store."""
    try:
        yield
    except (MissingExtraError, NotADirectoryError, IsADirectoryError):
        raise
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{address}: no such file") from error
    except ImportError as error:
        raise MissingExtraError(f"{address}: {error}: pip install 'textspot[stores]'") from error
    except Exception as error:
        if _is_about_one_file(error):
            raise DeniedError(f"{address}: may not be read ({error})") from error
        raise _sort(address, error) from error


def _is_about_one_file(error: Exception) -> bool:
    if not isinstance(error, PermissionError):
        return False
    return error.filename is not None or _code(error) in OF_ONE_FILE  # a path of this machine has its own rights


def _code(error: BaseException) -> str:
    """The code of S3 behind an error; empty if there is none."""
    response = getattr(error.__cause__ or error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, dict) else ""


def _sort(address: str, error: Exception) -> StoreError:
    kind = type(error).__name__
    said = f"{_code(error) or kind}: {error}" if str(error) else kind
    if isinstance(error, PermissionError) or "Credential" in kind:
        remedy = "set those of this store in the environment"
        return CredentialsError(f"{address}: the store refuses the credentials ({said}): {remedy}")
    if isinstance(error, TimeoutError | ConnectionError) or any(part in kind for part in ("Timeout", "Connect")):
        remedy = "check address and network, then run the same command again"
        return StoreError(f"{address}: the store does not answer ({said}): {remedy}")
    return StoreError(f"{address}: the store fails ({said}): run the same command again")
