"""A service without a network: how long it reads is up to the test."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from textspot.structures import Prediction

UPLOAD = {"type": "http.request", "body": b"", "more_body": False}


class HeldSpotter:
    """Finds nothing, once `gate` is open; `started` counts the images it was given."""

    threshold = 0.5

    def __init__(self):
        self.gate, self.begun, self.started = threading.Event(), threading.Event(), 0

    def __call__(self, image: np.ndarray) -> Prediction:
        self.started += 1
        self.begun.set()
        assert self.gate.wait(10)
        return Prediction((), image.shape[:2])

    def __copy__(self):
        return self

    @contextmanager
    def held(self) -> Iterator[None]:
        """The gate opens at the end of the block, whatever happens in it."""
        try:
            yield
        finally:
            self.gate.set()


class Client:
    """One that sends `messages` and then stays, until it hangs up; `status` and `headers` are what it was answered."""

    def __init__(self, app, body: bytes, messages=None):
        self.messages = [UPLOAD | {"body": body}] if messages is None else list(messages)
        self.status, self.headers, self.body = None, {}, b""
        self._gone = asyncio.Event()
        scope = {"type": "http", "method": "POST", "path": "/read", "raw_path": b"/read", "query_string": b""}
        scope |= {"headers": [], "http_version": "1.1", "scheme": "http", "root_path": "", "server": ("x", 80)}
        self.task = asyncio.ensure_future(app(scope, self.receive, self.send))

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        self.body += message.get("body", b"")

    def hang_up(self) -> None:
        self._gone.set()


async def until(condition) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)
