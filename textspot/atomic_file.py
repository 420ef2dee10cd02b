"""Files that are written whole or not at all."""

import glob
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


class WriteError(OSError):
    """A file that could not be written; the message names it and the remedy."""


def write_atomically(path: Path, write: Callable[[Path], Any]) -> None:
    """Let `write` fill a file beside `path`, bring it to the disk and rename it: a kill leaves the old file or the
    new one. What a kill left unfinished is removed by the next write. Any failure is a `WriteError`.

    The folder is made if it is missing. Whatever `write` uses, the file has the permissions of an ordinary new one.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in path.parent.glob(f"{glob.escape(path.name)}.*.tmp"):
            left_over.unlink()
        try:
            temporary.touch()
            ordinary = temporary.stat().st_mode
            write(temporary)
            temporary.chmod(ordinary)
            with open(temporary, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except Exception as error:
        raise WriteError(
            f"{path}: could not be written ({error}). What stood there before is untouched: make room or choose "
            "another folder, then run the same command again to continue"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Write a text in UTF-8; see `write_atomically`."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
