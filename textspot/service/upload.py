"""From the body of a request to the bytes of a file, or to the URL it names."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from fastapi import HTTPException, Request
from starlette.datastructures import UploadFile
from starlette.types import Message, Receive

from textspot.downloads import is_url

FORM_BYTES = 1 << 16  # what a form may hold besides the file
LINGER_S = 2.0
FIELD = "file"


@dataclass(frozen=True)
class Upload:
    """The bytes of a file and its name, or a URL and no bytes."""

    name: str
    data: bytes | None = None


class BoundedBody:
    """The body of a request, of which no more than `max_bytes` are taken, and what a form holds besides: more is status
    413."""

    def __init__(self, receive: Receive, max_bytes: int):
        self._receive, self._max_bytes, self._taken = receive, max_bytes, 0
        self.ended = self.is_form = False

    async def receive(self) -> Message:
        """As ASGI's `receive`."""
        message = await self._receive()
        self.ended = not message.get("more_body", False)
        self._taken += len(message.get("body", b""))
        self.check(self._taken)
        return message

    def check(self, num_bytes: int) -> None:
        """Refuse what is too large."""
        if num_bytes > self._max_bytes + (FORM_BYTES if self.is_form else 0):
            raise HTTPException(413, f"the upload is larger than {self._max_bytes} bytes")

    async def discard(self) -> None:
        """Take what is left for a moment: a client that cannot send all of it would not hear why."""
        try:
            async with asyncio.timeout(LINGER_S):
                while not self.ended:
                    self.ended = not (await self._receive()).get("more_body", False)
        except TimeoutError:
            self.ended = True


async def receive_upload(request: Request, body: BoundedBody) -> Upload:
    """What a request asks to be read: a form with a file, JSON with a URL, or else the body itself."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body.is_form = kind == "multipart/form-data"
    if (length := request.headers.get("content-length", "")).isdigit():
        body.check(int(length))
    bounded = Request(request.scope, body.receive)
    if body.is_form:
        return await _of_form(bounded)
    data = await bounded.body()
    return _of_json(data) if kind == "application/json" else Upload("image", data)


async def _of_form(request: Request) -> Upload:
    async with request.form(max_files=1, max_fields=8) as form:
        file = form.get(FIELD)
        if not isinstance(file, UploadFile):
            raise HTTPException(422, f"the form has no file named {FIELD!r}")
        return Upload(file.filename or "image", await file.read())


def _of_json(data: bytes) -> Upload:
    try:
        value: Any = json.loads(data)
    except ValueError as error:
        raise HTTPException(422, f"the body is no JSON ({error})") from None
    url = value.get("url") if isinstance(value, dict) else None
    if not is_url(url):
        raise HTTPException(422, 'expected JSON such as {"url": "https://example.org/photo.jpg"}')
    return Upload(str(url).encode("utf-8", "replace").decode())
