"""Markdown (CommonMark) in reading order: large lines are headings, line breaks stay, a rule stands between pages."""

import re
from collections.abc import Sequence

import numpy as np

from textspot.geometry import polygon_to_ribbon, ribbon_size
from textspot.outputs.page import ReadPage
from textspot.structures import Line, Paragraph

HEADINGS = ((1.8, "# "), (1.35, "## "))  # from this ratio to the usual height of the page on
_MARKS = re.compile(r"([\\`*_{}\[\]<>|~])|^(\s*)([#+=-]|\d+(?=[.)]))(?=\s|[.)=-]|$)")


def write(pages: Sequence[ReadPage]) -> bytes:
    """UTF-8 text, in which characters that Markdown would take for marks are escaped."""
    written = (_write_page(page) for page in pages)
    return "\n---\n\n".join(f"{text}\n" if text else "" for text in written).encode("utf-8", "backslashreplace")


def _write_page(page: ReadPage) -> str:
    heights = [_height(line) for line in page.prediction.lines()]
    usual = float(np.median(heights)) if heights else 1.0
    return "\n\n".join(_write_paragraph(paragraph, usual) for paragraph in page.prediction.paragraphs())


def _write_paragraph(paragraph: Paragraph, usual: float) -> str:
    ratio = _height(paragraph[0]) / usual
    mark = next((mark for least, mark in HEADINGS if ratio >= least), "")
    if mark:
        return mark + " ".join(escape(line.text) for line in paragraph)
    return "  \n".join(escape(line.text) for line in paragraph)


def _height(line: Line) -> float:
    """The height of the highest word."""
    return max(ribbon_size(polygon_to_ribbon(word.polygon)[0])[0] for word in line)


def escape(text: str) -> str:
    """A line of text as Markdown shows it: `#1*` becomes `#1\\*`."""
    return _MARKS.sub(lambda found: f"\\{found[1]}" if found[1] else _escape_start(found), text)


def _escape_start(found: re.Match) -> str:
    """A mark at the start of a line; of a number of a list it is the point behind it that is one."""
    return f"{found[2]}{found[3]}\\" if found[3].isdigit() else f"{found[2]}\\{found[3]}"
