"""The pages of a PDF, drawn by PDFium in a process of its own, since PDFs come from strangers.

PDFium serves one thread at a time; those of this process take turns.
"""

import math
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from textspot.bounded_process import BoundedProcess, Limits, ProcessError
from textspot.extras import name_extras
from textspot.image_decoding import MAX_PIXELS, ImageError

if TYPE_CHECKING:
    from pypdfium2 import PdfPage

LIMITS = Limits("textspot.pdf_process:answer", seconds=20, num_bytes=1 << 30)
PDF_SCALE = 200 / 72  # pixels per point: 200 per inch, at which letters of 8 points are 22 pixels high

PAGE = struct.Struct("<QQ")  # goes before the PDF: the page to draw, from 1, or 0 to have them counted; most pixels

_process = BoundedProcess(LIMITS)


def is_pdf(data: bytes) -> bool:
    """Whether a file's bytes are a PDF, by how they begin."""
    return data.lstrip()[:4] == b"%PDF"


def count_pdf_pages(data: bytes, name: str) -> int:
    """How many pages a PDF has; an `ImageError` if it has a password or is damaged. Needs the extra `pdf`."""
    return _ask(data, name, 0)[0]["pages"]


def draw_pdf_page(data: bytes, name: str, number: int) -> np.ndarray:
    """A page, from 1, as (H, W, 3) uint8 RGB at `PDF_SCALE`, or at less if that would be more than `MAX_PIXELS`.

    What takes too much time or memory, or cannot be drawn, is an `ImageError`.
    """
    header, pixels = _ask(data, f"{name}, page {number}", number)
    return np.frombuffer(pixels, dtype=np.uint8).reshape(*header["size"], 3)


def _ask(data: bytes, name: str, page: int) -> tuple[dict[str, Any], memoryview]:
    with name_extras():
        import pypdfium2  # noqa: F401  # missed here, where it can be said
    try:
        header, payload = _process.ask(PAGE.pack(page, MAX_PIXELS) + data)
    except ProcessError as error:
        raise ImageError(f"{name}: {error}: print it to a simpler PDF") from None
    if complaint := header.get("complaint"):
        raise ImageError(f"{name}: {complaint}")
    return header, payload


def answer(request: bytes) -> tuple[dict[str, Any], memoryview]:
    """In the process: the number of pages, or size and pixels of one, or a complaint."""
    import pypdfium2

    (page, max_pixels), data = PAGE.unpack(request[: PAGE.size]), request[PAGE.size :]
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        kind = "has a password, which is not asked for" if "password" in str(error).lower() else f"is damaged ({error})"
        return {"complaint": f"this PDF {kind}"}, memoryview(b"")
    with document:
        if page == 0:
            return {"pages": len(document)}, memoryview(b"")
        try:
            pixels = _render(document[page - 1], max_pixels)
        except (pypdfium2.PdfiumError, MemoryError) as error:
            return {"complaint": f"cannot be drawn ({error or 'too little memory'})"}, memoryview(b"")
    return {"size": pixels.shape[:2]}, pixels.data.cast("B")


def _render(page: "PdfPage", max_pixels: int) -> np.ndarray:
    width, height = page.get_size()
    largest = math.sqrt(max_pixels / (width * height)) - 1 / min(width, height)  # sides are rounded up
    scale = min(PDF_SCALE, largest)
    bitmap = page.render(scale=scale, rev_byteorder=True, prefer_bgrx=False)
    pixels = bitmap.to_numpy()
    return np.ascontiguousarray(pixels[..., :3] if pixels.shape[2] > 1 else np.repeat(pixels, 3, axis=2))
