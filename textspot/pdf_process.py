"""Pages of a PDF, drawn in a process that is bounded: what draws them is C++, and the bytes come from strangers."""

import json
import math
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from textspot.bounded_process import BoundedProcess, Limits, ProcessError
from textspot.extras import name_extras
from textspot.image_decoding import ImageError

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

LIMITS = Limits("textspot.pdf_process:answer", seconds=30, num_bytes=2 << 30)  # for each page
PDF_SCALE = 200 / 72  # pixels per point: 200 per inch, at which letters of 8 points are 22 pixels high

_process = BoundedProcess(LIMITS)


def is_pdf(data: bytes) -> bool:
    """Whether a file's bytes are a PDF, by how they begin."""
    return data.lstrip()[:4] == b"%PDF"


def count_pdf_pages(data: bytes, name: str) -> int:
    """How many pages a PDF has; an `ImageError` if it is damaged or has a password. Needs the extra `pdf`."""
    return int(_ask(data, {}, f"{name}: this PDF")[0]["pages"])


def draw_pdf_page(data: bytes, name: str, number: int, most_pixels: int) -> np.ndarray:
    """A page of a PDF, counted from 1, as (H, W, 3) uint8 RGB at `PDF_SCALE`, or at less if that would be more than
    `most_pixels`; an `ImageError` if it cannot be drawn."""
    question = {"page": number, "most_pixels": most_pixels}
    header, payload = _ask(data, question, f"{name}, page {number}:")
    return np.frombuffer(payload, dtype=np.uint8).reshape(*header["size"], 3)


def _ask(data: bytes, question: dict[str, int], name: str) -> tuple[dict[str, Any], memoryview]:
    with name_extras():
        import pypdfium2  # noqa: F401  (complains here, where a package is missing)
    try:
        header, payload = _process.ask(json.dumps(question).encode() + b"\n" + data)
    except ProcessError as error:
        raise ImageError(f"{name} cannot be drawn: {error}") from None
    if complaint := header.get("complaint"):
        raise ImageError(f"{name} {complaint}")
    return header, payload


def answer(request: bytes) -> tuple[dict[str, Any], memoryview]:
    """In the process: the number of pages, or size and pixels of one, or a complaint."""
    import pypdfium2

    words, _, data = request.partition(b"\n")
    question, nothing = json.loads(words), memoryview(b"")
    try:
        with closing(pypdfium2.PdfDocument(data)) as document:  # a context of its own since pypdfium2 5
            if "page" not in question:
                return {"pages": len(document)}, nothing
            pixels = _draw(document[question["page"] - 1], question["most_pixels"])
            return {"size": pixels.shape[:2]}, pixels.data.cast("B")
    except MemoryError:
        return {"complaint": f"takes more than {LIMITS.num_bytes >> 20} MiB to draw"}, nothing
    except Exception as error:  # on damaged bytes, whatever comes of it
        if "password" in str(error).lower():
            return {"complaint": "has a password, which is not asked for"}, nothing
        return {"complaint": f"is damaged ({error})"}, nothing


def _draw(page: "PdfPage", most_pixels: int) -> np.ndarray:
    width, height = page.get_size()
    largest = math.sqrt(most_pixels / (width * height)) - 1 / min(width, height)  # sides are rounded up
    bitmap = page.render(scale=min(PDF_SCALE, largest), rev_byteorder=True, prefer_bgrx=False)
    pixels = bitmap.to_numpy()
    return np.ascontiguousarray(pixels[..., :3] if pixels.shape[2] > 1 else np.repeat(pixels, 3, axis=2))
