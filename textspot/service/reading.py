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
from textspot.image_pages import count_frames, read_pages
from textspot.inference.spotter import Spotter
from textspot.outputs import FORMATS, DocumentName, ReadPage, encode_jpeg
from textspot.pdf_process import is_pdf
from textspot.service.limits import ServiceLimits
from textspot.structures import Prediction

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


class Answer(TypedDict):
    """What was read, page by page."""

    pages: list[PageAnswer]


def read_file(spotter: Spotter, data: bytes, name: str, wanted: Wanted, limits: ServiceLimits, stop: Event) -> Response:
    """The answer to an upload; between two pages the work ends once `stop` is set."""
    spotter = copy.copy(spotter)  # the network is shared, the threshold is not
    if wanted.threshold is not None:
        spotter.threshold = wanted.threshold
    try:
        check_file(data, name, limits)
        pages = list(_read_pages(spotter, data, name, wanted, limits, stop))
        return Response(encode(pages, wanted), media_type=MEDIA_TYPES[wanted.format])
    except ImageTooLargeError as error:
        raise HTTPException(413, str(error)) from error
    except ImageError as error:
        raise HTTPException(422, str(error)) from error
    except MissingExtraError as error:
        raise HTTPException(501, str(error)) from error


def check_file(data: bytes, name: str, limits: ServiceLimits) -> None:
    """Refuse, by its header, what is no image (415) or too large (413)."""
    if not data:
        raise HTTPException(422, f"{name}: the file is empty")
    try:
        count = count_frames(data, name)
        height, width = (0, 0) if is_pdf(data) else upright_size(data, name)
    except ImageTooLargeError:
        raise
    except ImageError as error:
        raise HTTPException(422 if is_pdf(data) else 415, str(error)) from error
    if count > limits.max_pages:
        raise HTTPException(413, f"{name}: has more than {limits.max_pages} pages")
    check_size(height, width, name, limits)


def check_size(height: int, width: int, name: str, limits: ServiceLimits) -> None:
    """Refuse an image of too many pixels."""
    if height * width > limits.max_pixels:
        raise HTTPException(413, f"{name}: {width} x {height} pixels, at most {limits.max_pixels} are read")


def _read_pages(
    spotter: Spotter, data: bytes, name: str, wanted: Wanted, limits: ServiceLimits, stop: Event
) -> Iterator[ReadPage]:
    with_pictures = wanted.format != "json" and FORMATS[wanted.format].pictures
    for page in read_pages(data, name):
        if stop.is_set():
            return
        height, width = page.image.shape[:2]
        check_size(height, width, name if page.number is None else f"{name}, page {page.number}", limits)
        prediction = replace(spotter(page.image), name=name, page=page.number)
        yield ReadPage(prediction, encode_jpeg(page.image) if with_pictures else b"")


def encode(pages: list[ReadPage], wanted: Wanted) -> bytes:
    """The pages in the format that is wanted."""
    if wanted.format != "json":
        return FORMATS[wanted.format].write(pages)
    answer: Answer = {"pages": [to_answer(page.prediction) for page in pages]}
    return json.dumps(answer, ensure_ascii=False).encode()


def to_answer(prediction: Prediction) -> PageAnswer:
    """A page as JSON."""
    lines: list[LineAnswer] = [
        {"text": line.text, "polygon": [[round(float(x), 2), round(float(y), 2)] for x, y in line.polygon]}
        for line in prediction.lines()
    ]
    values: dict[str, Any] = {**prediction.to_dict(), "text": prediction.text, "lines": lines}
    return values  # type: ignore[return-value]  # to_dict says no more than dict
