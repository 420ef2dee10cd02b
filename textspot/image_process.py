"""A process that decodes the kinds of images whose decoders take time and memory that no header tells.

A decoder in C that runs for ever, takes all memory or crashes would do so to us. So it works in a child, which bounds
itself: the kernel ends it when it has computed for `MOST_SECONDS`, and grants it `MOST_BYTES`. Each process has one
child at most, started at the first such image; it ends with its owner, also when that is killed, since its input ends.
"""

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from textspot.image_decoding import LENGTH, SIZES, ImageError, count_pages, decode_by_pillow, open_image

MOST_SECONDS = 8  # of processor time, for one image
MOST_BYTES = 1 << 30  # for one image, encoded and decoded

_START = "import sys; sys.path[:] = {path!r}; from textspot.image_process import serve; serve()"


def decode_in_process(data: bytes, name: str, page: int = 0) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an image, decoded in a process of its own; an `ImageError` says what became of it.

    `page`, from 1, is that of a file that holds several; 0 is the first one, with a warning if that is of a TIFF that
    holds more.
    """
    with _child.lock:
        try:
            note, pixels = _child.ask(data, page)
        except (OSError, EOFError):
            raise ImageError(f"{name}: {_child.bury()}") from None
        except BaseException:  # Ctrl-C: what it would answer is no answer to the next question
            _child.bury()
            raise
    if not pixels.size:
        raise ImageError(f"{name}: {note}")
    if note:
        warnings.warn(f"{name}: {note}", stacklevel=2)
    return pixels


class _Child:
    """The child of this process, if it was started."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, data: bytes, page: int) -> tuple[str, np.ndarray]:
        """A text, and the pixels or none; EOFError or BrokenPipeError when the child died."""
        process = self._started()
        assert process.stdin
        assert process.stdout
        _write(process.stdin, LENGTH.pack(len(data)) + LENGTH.pack(page))
        _write(process.stdin, data)
        height, width, length = SIZES.unpack(_read(process.stdout, SIZES.size))
        text = bytes(_read(process.stdout, length)).decode()
        pixels = np.frombuffer(_read(process.stdout, height * width * 3), dtype=np.uint8)
        return text, pixels.reshape(height, width, 3)

    def bury(self) -> str:
        """Forget a child that died, and see to it that it has; why, in words."""
        if self._process is None:
            return "no process could be started to decode it"
        self._process.kill()
        status = self._process.wait()
        self._forget_pipes()
        self._process = None
        if status in (-signal.SIGPROF, -signal.SIGALRM):
            return f"decoding took more than {MOST_SECONDS} s: convert it to JPEG or PNG"
        return f"its decoder crashed (exit status {status}): convert it to JPEG or PNG"

    def end(self) -> None:
        """Have the child end, as its input does."""
        if self._process:
            self._forget_pipes()
            self._process.wait()
            self._process = None

    def leave_to_parent(self) -> None:
        """After a fork: the child is that of the process that forked."""
        self._forget_pipes()
        self.__init__()  # type: ignore[misc]

    def _forget_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout) if self._process else ():
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for its owner
                env=os.environ | {"PYTHONWARNINGS": "ignore", "MALLOC_ARENA_MAX": "1"},  # arenas take room, not memory
            )
        return self._process


_child = _Child()
atexit.register(_child.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_child.leave_to_parent)


def serve() -> None:
    """The child: images come in, pixels go out, until the input ends."""
    requests, replies = open(0, "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)  # noqa: SIM115
    _bound_memory()
    while True:
        try:
            (length,) = LENGTH.unpack(_read(requests, LENGTH.size))
            (page,) = LENGTH.unpack(_read(requests, LENGTH.size))
            data = bytes(_read(requests, length))
        except EOFError:
            return
        _end_after(MOST_SECONDS)
        text, pixels = _decode(data, page)
        _end_after(0)
        del data
        encoded = text.encode("utf-8", "replace")
        _write(replies, SIZES.pack(*pixels.shape[:2], len(encoded)) + encoded)
        _write(replies, pixels.data.cast("B") if pixels.size else b"")
        del pixels


def _decode(data: bytes, page: int) -> tuple[str, np.ndarray]:
    """A remark and the pixels; a complaint and none."""
    nothing = np.empty((0, 0, 3), dtype=np.uint8)
    try:
        with open_image(data, "") as image:
            pages = count_pages(image)
            image.seek(max(0, page - 1))
            pixels = decode_by_pillow(image, "")
        return (f"page 1 of {pages} is read" if pages > 1 and not page else ""), pixels
    except ImageError as error:
        return str(error).removeprefix(": "), nothing
    except MemoryError:
        return f"takes more than {MOST_BYTES >> 20} MiB to decode: scale it down or cut it into pieces", nothing
    except Exception as error:  # on damaged bytes Pillow's decoders raise anything, and some hide a want of memory
        return f"cannot be decoded as an image ({error}), or not within {MOST_BYTES >> 20} MiB", nothing


def _end_after(seconds: int) -> None:
    """Have the kernel end this process after so many seconds of work, or ten times as many of waiting; 0 for never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(10 * seconds)


def _bound_memory() -> None:
    """Let the kernel refuse what goes beyond, where it can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # POSIX only

        limit = _mapped_bytes() + MOST_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _mapped_bytes() -> int:
    """What the process has mapped already; 0 where nobody says."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii").splitlines() if status.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmSize:")), 0)


def _write(pipe: IO[Any], data: bytes | memoryview) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[pipe.write(rest) :]


def _read(pipe: IO[Any], length: int) -> memoryview:
    """So many bytes, which may be written to; EOFError when the pipe ends before."""
    buffer = memoryview(bytearray(length))
    got = 0
    while got < length:
        count = pipe.readinto(buffer[got:])  # type: ignore[attr-defined]
        if not count:
            raise EOFError
        got += count
    return buffer
