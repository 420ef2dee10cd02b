"""A process that runs code in C on bytes from strangers: what takes all time or memory, or crashes, ends it alone.

It bounds itself: the kernel ends it when it has computed for so many seconds on one request, and grants it so many
bytes. It ends with its owner, also when that is killed, since its input ends then.
"""

import contextlib
import importlib
import json
import os
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

_LENGTHS = struct.Struct("<QQ")  # bytes of the header, and of the payload behind it
_START = "import sys; sys.path[:] = {path!r}; from textspot.bounded_process import serve; serve({limits!r})"


class ProcessError(RuntimeError):
    """The process died over a request; says why."""


@dataclass(frozen=True)
class Limits:
    """What is run, and within what bounds.

    Args:
        handler: `module:function`, from the bytes of a request to a dict that JSON holds, and bytes.
        seconds: of processor time, for one request; it may wait ten times as long.
        num_bytes: memory beyond what the process has when it starts.
    """

    handler: str
    seconds: int
    num_bytes: int


class BoundedProcess:
    """The process, started at the first request; threads take turns, and a fork starts its own."""

    def __init__(self, limits: Limits):
        self.limits = limits
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._leave_to_parent)

    def ask(self, data: bytes) -> tuple[dict[str, Any], memoryview]:
        """What the handler makes of these bytes, in memory that may be written to; a `ProcessError` when it died."""
        with self._lock:
            try:
                process = self._started()
                assert process.stdin
                assert process.stdout
                _write(process.stdin, _LENGTHS.pack(0, len(data)))
                _write(process.stdin, data)
                return _read_message(process.stdout)
            except (OSError, EOFError):
                raise ProcessError(self._bury()) from None
            except BaseException:  # Ctrl-C: what it would answer is no answer to the next question
                self._bury()
                raise

    def end(self) -> None:
        """Have the process end, as its input does."""
        if self._process:
            self._close_pipes()
            self._process.wait()
            self._process = None

    def __del__(self) -> None:
        self.end()

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            limits = self.limits.handler, self.limits.seconds, self.limits.num_bytes
            self._process = subprocess.Popen(
                [sys.executable, "-c", _START.format(path=sys.path, limits=limits)],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for its owner
                env=os.environ | {"PYTHONWARNINGS": "ignore", "MALLOC_ARENA_MAX": "1"},  # arenas take room, not memory
            )
        return self._process

    def _bury(self) -> str:
        """Forget a process that died, and see to it that it has; why, in words."""
        if self._process is None:
            return "no process could be started to read it"
        self._process.kill()
        status = self._process.wait()
        self._close_pipes()
        self._process = None
        if status in (-signal.SIGPROF, -signal.SIGALRM):
            return f"to read it takes more than {self.limits.seconds} s"
        return f"what reads it crashed (exit status {status})"

    def _leave_to_parent(self) -> None:
        """After a fork: the process is that of who forked."""
        self._close_pipes()
        self._lock, self._process = threading.Lock(), None

    def _close_pipes(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout) if self._process else ():
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()


def serve(values: tuple[str, int, int]) -> None:
    """The process: requests come in, replies go out, until the input ends."""
    limits = Limits(*values)
    requests, replies = open(0, "rb", buffering=0), os.fdopen(os.dup(1), "wb", buffering=0)  # noqa: SIM115
    module, _, function = limits.handler.partition(":")
    handler = getattr(importlib.import_module(module), function)
    _bound_memory(limits.num_bytes)
    while True:
        try:
            _, data = _read_message(requests)
        except EOFError:
            return
        _end_after(limits.seconds)
        header, payload = handler(bytes(data))
        _end_after(0)
        del data
        encoded = json.dumps(header).encode()
        _write(replies, _LENGTHS.pack(len(encoded), len(payload)) + encoded)
        _write(replies, payload)
        del payload


def _end_after(seconds: int) -> None:
    """Have the kernel end this process after so many seconds of work, or ten times as many of waiting; 0 for never."""
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(10 * seconds)


def _bound_memory(num_bytes: int) -> None:
    """Let the kernel refuse what goes beyond, where it can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # POSIX only

        limit = _mapped_bytes() + num_bytes
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


def _read_message(pipe: IO[Any]) -> tuple[dict[str, Any], memoryview]:
    header_bytes, payload_bytes = _LENGTHS.unpack(_read(pipe, _LENGTHS.size))
    header = json.loads(bytes(_read(pipe, header_bytes))) if header_bytes else {}
    return header, _read(pipe, payload_bytes)


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
