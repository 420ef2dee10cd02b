"""From the bytes of a file to the answer, within limits. What cannot be read is an HTTP status and a sentence."""

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from threading import Event
from typing import Any, Literal, NotRequired

from fastapi import HTTPException, Response
from typing_extensions import TypedDict  # of Python 3.11, pydantic takes no other

from textspot.extras import MissingExtraError
from textspot.image_decoding import ImageError, ImageTooLargeError, upright_size
from textspot.image_pages import Page, count_frames, each_page, read_pages
from textspot.inference.spotter import Spotter
from textspot.outputs import FORMATS, DocumentName, ReadPage, encode_jpeg
from textspot.pdf_process import is_pdf
from textspot.service.limits import ServiceLimits

PAGE_ERRORS = "Textspot-Page-Errors"  # a JSON list of sentences
MEDIA_TYPES = {
    "json": "application/json",
    "text": "text/plain",
    "markdown": "text/markdown",
    "hocr": "application/xhtml+xml",
    "alto": "application/xml",
    "csv": "text/csv",
    "coco_text": "application/json",
    "pdf": "application/pdf",
}


@dataclass(frozen=True)
class Wanted:
    """How a file is to be read: the least score, by default that of the spotter, and the format of the answer."""

    threshold: float | None = None
    format: Literal["json", DocumentName] = "json"


class WordAnswer(TypedDict):
    """A piece of text: polygon in pixels, clockwise from where reading starts; scores in [0, 1]."""

    polygon: list[list[float]]
    text: str
    score: float
    text_score: float


class LineAnswer(TypedDict):
    """A line: its words with spaces between them, and its outline in pixels."""

    text: str
    polygon: list[list[float]]


class PageAnswer(TypedDict):
    """What was read on a page: in reading order as `text` and `lines`, best score first as `instances`. `page` is its
    number, from 1, where a file holds several."""

    image: str
    page: NotRequired[int]
    width: int
    height: int
    text: str
    lines: list[LineAnswer]
    instances: list[WordAnswer]


class FailedPage(TypedDict):
    """A page that could not be read, and why; the others were."""

    image: str
    page: int
    error: str


class Answer(TypedDict):
    """What was read, page by page."""

    pages: list[PageAnswer | FailedPage]


def read_file(spotter: Spotter, data: bytes, name: str, wanted: Wanted, limits: ServiceLimits, stop: Event) -> Response:
    """The answer to an upload; between two pages the work ends once `stop` is set.

    A page that cannot be read costs the others nothing: it is named in its place, or in the header `PAGE_ERRORS` of a
    format that has no place for it. If no page can be read, the first error is the answer.
    """
    spotter = copy.copy(spotter)  # the network is shared, the threshold is not
    if wanted.threshold is not None:
        spotter.threshold = wanted.threshold
    try:
        check_file(data, name, limits)
        pages = list(_read_pages(spotter, data, name, wanted, limits, stop))
        errors = [page for page in pages if isinstance(page, Exception)]
        if errors and len(errors) == len(pages):
            raise errors[0]
        headers = {PAGE_ERRORS: json.dumps(list(map(str, errors)))} if errors and wanted.format != "json" else {}
        return Response(encode(pages, name, wanted), headers=headers, media_type=MEDIA_TYPES[wanted.format])
    except ImageError as error:
        raise HTTPException(413 if isinstance(error, ImageTooLargeError) else 422, str(error)) from error
    except MissingExtraError as error:
        raise HTTPException(501, str(error)) from error


def check_file(data: bytes, name: str, limits: ServiceLimits) -> None:
    """Refuse, by its header, what is no image (415) or too large (an `ImageTooLargeError`)."""
    if not data:
        raise HTTPException(422, f"{name}: the file is empty")
    try:
        count = count_frames(data, name)
        height, width = upright_size(data, name) if count == 1 and not is_pdf(data) else (0, 0)
    except ImageTooLargeError:
        raise
    except ImageError as error:
        raise HTTPException(422 if is_pdf(data) else 415, str(error)) from error
    if count > limits.max_pages:
        raise ImageTooLargeError(f"{name}: has more than {limits.max_pages} pages")
    check_size(height, width, name, limits)


def check_size(height: int, width: int, name: str, limits: ServiceLimits) -> None:
    """Refuse an image of too many pixels."""
    if height * width > limits.max_pixels:
        raise ImageTooLargeError(f"{name}: {width} x {height} pixels, at most {limits.max_pixels} are read")


def _read_pages(
    spotter: Spotter, data: bytes, name: str, wanted: Wanted, limits: ServiceLimits, stop: Event
) -> Iterator[ReadPage | Exception]:
    """What was read of each page, or its error."""
    with_pictures = wanted.format != "json" and FORMATS[wanted.format].pictures

    def read_page(page: Page) -> ReadPage:
        height, width = page.image.shape[:2]
        check_size(height, width, name if page.number is None else f"{name}, page {page.number}", limits)
        prediction = replace(spotter(page.image), name=name, page=page.number)
        return ReadPage(prediction, encode_jpeg(page.image) if with_pictures else b"")

    for page in each_page(map(read_page, read_pages(data, name)), (ImageError,)):
        yield page
        if stop.is_set():
            return


def encode(pages: list[ReadPage | Exception], name: str, wanted: Wanted) -> bytes:
    """The pages of a file in the format that is wanted."""
    if wanted.format != "json":
        return FORMATS[wanted.format].write([page for page in pages if isinstance(page, ReadPage)])
    answer: Answer = {"pages": [to_answer(page, name, number) for number, page in enumerate(pages, start=1)]}
    return json.dumps(answer, ensure_ascii=False).encode()


def to_answer(page: ReadPage | Exception, name: str, number: int) -> PageAnswer | FailedPage:
    """A page as JSON, the one of this number in a file."""
    if isinstance(page, Exception):
        return {"image": name, "page": number, "error": str(page)}
    prediction = page.prediction
    lines: list[LineAnswer] = [
        {"text": line.text, "polygon": [[round(float(x), 2), round(float(y), 2)] for x, y in line.polygon]}
        for line in prediction.lines()
    ]
    values: dict[str, Any] = {**prediction.to_dict(), "text": prediction.text, "lines": lines}
    return values  # type: ignore[return-value]  # to_dict says no more than dict
