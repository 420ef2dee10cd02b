"""Plain text in reading order: a blank line between paragraphs, a form feed between pages, as pdftotext writes it."""

from collections.abc import Sequence

from textspot.outputs.page import ReadPage


def write(pages: Sequence[ReadPage]) -> bytes:
    """UTF-8 text; each page ends with a line feed unless it is empty."""
    texts = [page.prediction.text for page in pages]
    return "\f".join(f"{text}\n" if text else "" for text in texts).encode("utf-8", "backslashreplace")
