"""Many clients at once on a real service: times, errors, answers compared with those to a single client, memory."""

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import quantiles

from textspot.benchmark.machine import memory_bytes
from textspot.benchmark.soak import Soak

START_S = 120.0
ANSWER_S = 120.0
Answer = tuple[int, bytes]  # status and body


class RunningService:
    """A `textspot serve` of its own process on a free port of this machine; ends with the block."""

    def __init__(self, arguments: Sequence[str]):
        self.arguments, self.port = list(arguments), free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RunningService":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Of the process that runs."""
        if self._process is None:
            raise RuntimeError("the service does not run")
        return self._process.pid

    def start(self) -> None:
        """Start it, and wait until it answers; a RuntimeError if it ends before, or does not."""
        command = [sys.executable, "-m", "textspot", "serve", "--port", str(self.port), *self.arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException):
                ask(self.port, "GET", "/health")
                return
            time.sleep(0.1)
        self.kill()
        raise RuntimeError(f"the service did not start: {' '.join(command)}")

    def stop(self) -> int:
        """Ask it to stop with SIGTERM, and wait; its exit status."""
        assert self._process
        self._process.terminate()
        return self._process.wait(START_S)

    def kill(self) -> None:
        """End it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def cpu_s(self) -> float:
        """Seconds of processor time that it has taken."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")  # in user code and in the kernel

    def open_files(self) -> int:
        """How many descriptors it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))


def free_port() -> int:
    """A port of this machine on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(port: int, method: str, path: str, body: bytes = b"") -> Answer:
    """Status and body of one answer, over a connection of its own."""
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=ANSWER_S)) as connection:
        connection.request(method, path, body)
        answer = connection.getresponse()
        return answer.status, answer.read()


@dataclass
class Load:
    """What clients met: seconds of each answer, memory of the service in bytes after it, and the numbers of the
    requests that got another answer than expected, that failed, and that the kill cut off. `wall_s` and `cpu_s` are the
    time that passed and the processor time of the service; `open_files` how many it had open before and after."""

    seconds: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    cut_off: list[int] = field(default_factory=list)
    wall_s: float = 0.0
    cpu_s: float = 0.0
    open_files: tuple[int, int] = (0, 0)

    def percentile_ms(self, percent: int) -> float:
        """The time within which so many percent of the answers came."""
        return 1000 * quantiles(self.seconds, n=100, method="inclusive")[percent - 1]

    def rows(self) -> list[tuple[str, str]]:
        """Names and values, to print."""
        soak = Soak.of(self.memory)
        mib = [f"{value / 2**20:.0f}" for value in (soak.start_bytes, soak.middle_bytes, soak.end_bytes)]
        return [
            ("requests", f"{len(self.seconds)} in {self.wall_s:.0f} s"),
            ("requests per second", f"{len(self.seconds) / self.wall_s:.1f}"),
            ("median, p99", f"{self.percentile_ms(50):.0f}, {self.percentile_ms(99):.0f} ms"),
            ("processor time per request", f"{1000 * self.cpu_s / len(self.seconds):.0f} ms"),
            ("failed", str(len(self.failed))),
            ("answers that differ from those to a single client", str(len(self.different))),
            ("cut off by the kill", str(len(self.cut_off))),
            ("memory at the start, in the middle, at the end", f"{', '.join(mib)} MiB"),
            ("open files before, after", f"{self.open_files[0]}, {self.open_files[1]}"),
        ]


@dataclass
class Clients:
    """`num_clients` that send `bodies` in turn, each as soon as it has its answer, and compare it with the expected."""

    service: RunningService
    bodies: Sequence[bytes]
    expected: Sequence[Answer]
    num_clients: int

    def run(self, seconds: float, max_requests: int | None = None, kill: bool = False) -> Load:
        """Send for so many seconds, or so many requests; with `kill` the service is killed at their end, while it
        works."""
        load, over, numbers = Load(), threading.Event(), count()
        work = load, numbers, max_requests, over
        threads = [threading.Thread(target=self._send, args=work) for _ in range(self.num_clients)]
        files, cpu_s, began = self.service.open_files(), self.service.cpu_s(), time.monotonic()
        for thread in threads:
            thread.start()
        while time.monotonic() - began < seconds and any(thread.is_alive() for thread in threads):
            time.sleep(0.05)
        over.set()
        if not kill:
            _join(threads)
        load.wall_s, load.cpu_s = time.monotonic() - began, self.service.cpu_s() - cpu_s
        load.open_files = files, self.service.open_files()
        if kill:
            self.service.kill()
        _join(threads)
        return load

    def _send(self, load: Load, numbers: Iterator[int], max_requests: int | None, over: threading.Event) -> None:
        for number in numbers:  # next() of a count is atomic
            if over.is_set() or (max_requests is not None and number >= max_requests):
                return
            which, began = number % len(self.bodies), time.monotonic()
            try:
                answer = ask(self.service.port, "POST", "/read", self.bodies[which])
            except (OSError, http.client.HTTPException):
                (load.cut_off if over.is_set() else load.failed).append(number)
                continue
            load.seconds.append(time.monotonic() - began)
            if answer != self.expected[which]:
                load.different.append(number)
            load.memory.append(memory_bytes("VmRSS", self.service.pid) or 0)


def _join(threads: Sequence[threading.Thread]) -> None:
    for thread in threads:
        thread.join()


def read_bodies(images: Sequence[Path]) -> list[bytes]:
    """The files, and two uploads that are refused: the first cut short, and what is no image."""
    bodies = [image.read_bytes() for image in images]
    return [*bodies, bodies[0][: len(bodies[0]) // 2], b"no image"]
