"""The service: `POST /read` an image, and what was read comes back. `/docs` shows how."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import ClientDisconnect

import textspot
from textspot.downloads import DownloadLimits, download
from textspot.inference.spotter import Spotter
from textspot.outputs import DocumentName
from textspot.service.limits import ServiceLimits
from textspot.service.metrics import Metrics
from textspot.service.reading import Answer, Wanted, read_file
from textspot.service.turns import FullError, Turns
from textspot.service.upload import FIELD, BoundedBody, Upload, receive_upload

T = TypeVar("T")
GONE = 499  # a client that hung up: nobody hears it, but the log and the metrics do
NUM_DOWNLOADS = 4  # at a time
RETRY_AFTER_S = 1

FILE: dict[str, Any] = {"type": "string", "format": "binary"}
FORM = {"type": "object", "required": [FIELD], "properties": {FIELD: FILE}}
URL = {"type": "object", "required": ["url"], "properties": {"url": {"type": "string", "format": "uri"}}}
BODY = {
    "multipart/form-data": {"schema": FORM},
    "application/octet-stream": {"schema": FILE},
    "application/json": {"schema": URL},
}
REFUSALS = {
    403: "reading URLs is off",
    408: "the upload took too long",
    413: "too many bytes, pixels or pages",
    415: "no image",
    422: "the file is damaged or has a password, a URL gave nothing, or the request makes no sense",
    501: "a package that the format needs is not installed",
    503: "too many requests wait",
    504: "reading took too long",
}


@dataclass
class Service:
    """A spotter, its limits, and who waits for it."""

    spotter: Spotter
    limits: ServiceLimits

    def __post_init__(self) -> None:
        self.turns = Turns(self.limits.concurrency, self.limits.queue, "read")
        self.downloads = Turns(NUM_DOWNLOADS, 0, "download")

    async def answer(self, request: Request, wanted: Wanted) -> Response:
        """The answer to a request, or an HTTPException with a sentence."""
        body = BoundedBody(request.receive, self.limits.max_bytes)
        deadline = asyncio.get_running_loop().time() + self.limits.timeout_s
        try:
            with self.turns.place():
                return await self._answer(request, body, wanted, deadline)
        except FullError:
            await body.discard()
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            raise HTTPException(503, "too many requests wait: try again later", headers) from None
        except HTTPException:
            await body.discard()
            raise
        except ClientDisconnect:
            return Response(status_code=GONE)

    async def _answer(self, request: Request, body: BoundedBody, wanted: Wanted, deadline: float) -> Response:
        seconds = f"{self.limits.timeout_s:g} s"
        async with until(deadline, HTTPException(408, f"the upload is not complete after {seconds}")):
            upload = await receive_upload(request, body)
        async with until(deadline, HTTPException(504, f"not read after {seconds}: send a smaller file or fewer pages")):
            return await unless_gone(request, self._read(upload, wanted))

    async def _read(self, upload: Upload, wanted: Wanted) -> Response:
        data = await self._download(upload.name) if upload.data is None else upload.data
        work = partial(read_file, self.spotter, data, upload.name, wanted, self.limits)
        return await self.turns.take(work)

    async def _download(self, url: str) -> bytes:
        limits = self.limits
        if not limits.urls:
            raise HTTPException(403, "reading URLs is off: start the service with --limits.urls true")
        bounds = DownloadLimits(limits.max_bytes, limits.url_timeout_s, private=limits.private_urls)
        try:
            return await self.downloads.take(lambda _: download(url, bounds))
        except OSError as error:
            raise HTTPException(422, str(error)) from error

    async def close(self) -> None:
        """Wait until all work has ended."""
        await self.turns.close()
        await self.downloads.close()


@asynccontextmanager
async def until(deadline: float, late: HTTPException) -> AsyncIterator[None]:
    """Raises `late` when the block is not done in time."""
    try:
        async with asyncio.timeout_at(deadline):
            yield
    except TimeoutError:
        raise late from None


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """The result of the work; a ClientDisconnect, and the work cancelled, when the client hangs up before."""
    tasks = asyncio.ensure_future(work), asyncio.ensure_future(_hung_up(request))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[0].done():
            raise ClientDisconnect
        return tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def build_app(spotter: Spotter, limits: ServiceLimits) -> FastAPI:
    """The application; it asks for nothing from the internet, but for URLs where they are allowed."""
    service = Service(spotter, limits)
    metrics = Metrics(service.turns)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await service.close()

    app = FastAPIOffline(title="textspot", version=textspot.__version__, lifespan=lifespan, redoc_url=None)
    app.add_middleware(metrics.count)
    app.add_exception_handler(RequestValidationError, explain_invalid)
    refusals: dict[int | str, dict[str, Any]] = {status: {"description": words} for status, words in REFUSALS.items()}

    @app.post("/read", response_model=Answer, responses=refusals, openapi_extra={"requestBody": {"content": BODY}})
    async def read(
        request: Request,
        threshold: Annotated[float | None, Query(ge=0, le=1)] = None,
        format: Literal["json", DocumentName] = "json",
    ) -> Response:
        """Read the text in an image, or in each page of a PDF, TIFF, GIF or WebP."""
        return await service.answer(request, Wanted(threshold, format))

    @app.get("/health")
    async def health() -> dict[str, str]:
        """Answers while the service is up, also while it reads."""
        return {"status": "ok", "spotter": repr(spotter)}

    @app.get("/metrics", response_class=Response)
    async def show_metrics() -> Response:
        """Counters in the format of Prometheus."""
        return Response(metrics.render(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/", include_in_schema=False)
    async def root() -> RedirectResponse:
        return RedirectResponse("docs")

    return app


async def explain_invalid(_: Request, error: Exception) -> JSONResponse:
    """A query that makes no sense, in a sentence."""
    assert isinstance(error, RequestValidationError)
    words = "; ".join(f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg']}" for one in error.errors())
    return JSONResponse({"detail": words}, 422)
