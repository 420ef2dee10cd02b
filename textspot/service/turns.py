"""Whose turn it is: so many are served at a time, so many wait, and the others are sent away at once."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class FullError(RuntimeError):
    """As many are served and waiting as may be."""


class Turns:
    """`concurrency` threads, and places for `queue` more that wait. To be used from one event loop.

    `admitted` is how many have a place, `working` how many threads are at work.
    """

    def __init__(self, concurrency: int, queue: int, name: str):
        self.admitted = self.working = 0
        self._places = concurrency + queue
        self._free = asyncio.Semaphore(concurrency)
        self._threads = ThreadPoolExecutor(concurrency, name)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place while the block runs; a `FullError` if there is none."""
        if self.admitted >= self._places:
            raise FullError
        self.admitted += 1
        try:
            yield
        finally:
            self.admitted -= 1

    async def take(self, work: Callable[[threading.Event], T]) -> T:
        """What the work returns, done in a thread when it is its turn.

        Whoever is cancelled before costs no work. Later the work is told to stop by the event; until it does, its
        thread serves nobody else.
        """
        await self._free.acquire()
        stop, loop = threading.Event(), asyncio.get_running_loop()
        self.working += 1
        future = self._threads.submit(work, stop)
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._release))
        try:
            return await asyncio.wrap_future(future)
        finally:
            stop.set()

    def _release(self) -> None:
        self.working -= 1
        self._free.release()

    async def close(self) -> None:
        """Wait until the threads have ended."""
        await asyncio.to_thread(self._threads.shutdown)
