"""A searchable PDF: the picture of each page, and over it what was read, as text that is there and not seen.

The text is set in a typeface that is made here: it has every character that occurs, blank and half as wide as high.
So whatever was read can be found and copied, in any script, and no typeface has to be found for it.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from textspot.extras import name_extras
from textspot.outputs.page import ReadPage
from textspot.structures import Line

if TYPE_CHECKING:
    from fpdf import FPDF

UNITS = 1000  # of the typeface, per size
ADVANCE = 500
ASCENT = 0.8  # part of a word's height above its baseline
POINTS_PER_PIXEL = 72 / 200  # as files of PDF are read: textspot.pdf_process.PDF_SCALE


def write(pages: Sequence[ReadPage]) -> bytes:
    """A PDF of pages, each as large as its image at 200 pixels per inch; each needs its `jpeg`. Without the extra `pdf`
    a `MissingExtraError`."""
    with name_extras():
        from fpdf import FPDF
    document = FPDF(unit="pt")
    document.set_auto_page_break(False)
    document.set_creator("textspot")
    characters = {character for page in pages for word in page.prediction for character in word.text}
    with TemporaryDirectory() as folder:  # fpdf2 takes a typeface by the name of its file, and reads it until the end
        file = Path(folder, "blank.ttf")
        file.write_bytes(build_blank_typeface({*characters, " "}))
        document.add_font("blank", fname=file)
        for page in pages:
            _add_page(document, page)
        return bytes(document.output())


def _add_page(document: "FPDF", page: ReadPage) -> None:
    height, width = (side * POINTS_PER_PIXEL for side in page.prediction.size)
    document.add_page(format=(width, height))
    document.image(io.BytesIO(page.jpeg), 0, 0, width, height)
    for line in page.prediction.lines():
        _write_line(document, line)


def _write_line(document: "FPDF", line: Line) -> None:
    """Each word as wide as its lower edge, with a space behind it but for the last."""
    with document.local_context(text_mode="INVISIBLE"):
        for number, (word, place) in enumerate(zip(line, place_words(line), strict=True), start=1):
            start, end, height = (
                place.start * POINTS_PER_PIXEL,
                place.end * POINTS_PER_PIXEL,
                place.height * POINTS_PER_PIXEL,
            )
            document.set_font("blank", size=height)
            document.set_stretching(100 * math.dist(start, end) / (ADVANCE / UNITS * height * len(word.text)))
            angle = math.degrees(math.atan2(end[1] - start[1], end[0] - start[0]))
            with document.rotation(-angle, *start):
                document.text(start[0], start[1], word.text + (" " if number < len(line) else ""))
    document.set_stretching(100)


@dataclass(frozen=True, eq=False)
class Place:
    """Where a word is set: the ends (2,) of its baseline, and its height, in pixels."""

    start: np.ndarray
    end: np.ndarray
    height: float


def place_words(line: Line) -> list[Place]:
    """The places of the words of a line. On a straight line they share baseline, angle and height, so that programs
    that read the file see one line; on a curved one each has its own."""
    places = [_place(word.polygon.astype(float)) for word in line]
    first, last = places[0].start, places[-1].end
    along = (last - first) / max(math.dist(first, last), 1e-6)
    down = np.array([-along[1], along[0]])
    offsets = np.array([[(place.start - first) @ down, (place.end - first) @ down] for place in places])
    height = float(np.median([place.height for place in places]))
    if np.abs(offsets).max() > 0.5 * height or len(line) == 1:
        return places
    base = first + np.median(offsets) * down
    spans = [((place.start - first) @ along, (place.end - first) @ along) for place in places]
    return [Place(base + left * along, base + max(right, left + 1) * along, height) for left, right in spans]


def _place(polygon: np.ndarray) -> Place:
    """The place of one word: a little above its lower edge, where its letters stand."""
    half = len(polygon) // 2
    height = max(1.0, math.dist(polygon[0], polygon[-1]))
    start, end = (
        low + (1 - ASCENT) * (high - low)
        for low, high in ((polygon[-1], polygon[0]), (polygon[half], polygon[half - 1]))
    )
    return Place(start, end if math.dist(start, end) >= 1 else start + np.array([1.0, 0.0]), height)


def build_blank_typeface(characters: set[str]) -> bytes:
    """A TrueType font in which each of the characters is a blank glyph of its own."""
    with name_extras():
        from fontTools.fontBuilder import FontBuilder
        from fontTools.ttLib.tables._g_l_y_f import Glyph
    names = {ord(character): f"u{ord(character):06x}" for character in sorted(characters)}
    order = [".notdef", *names.values()]
    builder = FontBuilder(UNITS, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(names)
    builder.setupGlyf({name: Glyph() for name in order})
    builder.setupHorizontalMetrics(dict.fromkeys(order, (ADVANCE, 0)))
    ascent = round(ASCENT * UNITS)
    builder.setupHorizontalHeader(ascent=ascent, descent=ascent - UNITS)
    builder.setupNameTable({"familyName": "Blank", "styleName": "Regular", "psName": "Blank"})
    builder.setupOS2(
        sTypoAscender=ascent, sTypoDescender=ascent - UNITS, usWinAscent=ascent, usWinDescent=UNITS - ascent
    )
    builder.setupPost()
    buffer = io.BytesIO()
    builder.save(buffer)
    return buffer.getvalue()
