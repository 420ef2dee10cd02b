"""Polygons of Total-Text as text: coordinates by axis, orientation and transcript, one file per image.

    x: [[259 313 389 427 354 302]], y: [[542 462 417 459 507 582]], ornt: [u'c'], transcriptions: [u'PAUL']
    x: [[400 478 494
      436]], y: [[398 380 448 465]], ornt: [u'#'], transcriptions: [u'#']

An entry may go on in the next line. A transcript or an orientation of `#` marks text to ignore; some of that has a
single point, and becomes a polygon without area that the builder drops and counts. A byte order mark and CRLF are fine.

Source: Groundtruth/Text/README.md of cs-chan/Total-Text-Dataset; the layout of long entries from
mmocr/datasets/preparers/parsers/totaltext_parser.py of open-mmlab/mmocr.
"""

import ast
import re
from collections.abc import Iterator

from textspot.data.annotation import Instance
from textspot.data.parsing import decode_text, parse_each, parse_points

DONT_CARE = "#"

_ENTRY = re.compile(
    r"\s*x:\s*\[\[([^]]*)\]\],\s*y:\s*\[\[([^]]*)\]\],"
    r"\s*ornt:\s*(\[[^]]*\]),\s*transcriptions:\s*(\[.*\])\s*",
    re.DOTALL,
)


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad entries are an `AnnotationError`."""
    entries = _split_entries(decode_text(raw, source))
    return parse_each(((f"{source}: line {number}", entry) for number, entry in entries), _parse_entry)


def _split_entries(text: str) -> Iterator[tuple[int, str]]:
    """The entries, each with the number of its first line."""
    start, lines = 1, [""]
    for number, line in enumerate(text.split("\n"), start=1):
        if line.lstrip().startswith("x:") or not any(map(str.strip, lines[-1:])):
            if any(map(str.strip, lines)):
                yield start, "\n".join(lines)
            start, lines = number, []
        lines.append(line)
    if any(map(str.strip, lines)):
        yield start, "\n".join(lines)


def _parse_entry(entry: str) -> Instance:
    fields = _ENTRY.fullmatch(entry)
    if fields is None:
        raise ValueError(
            "expected x: [[...]], y: [[...]], ornt: [u'...'], transcriptions: [u'...'], found "
            f"{entry.strip()!r}; is this a .mat file? set format: totaltext_mat in the card"
        )
    x, y = fields[1].split(), fields[2].split()
    return build_instance(x, y, _read_literal(fields[4]), _read_literal(fields[3]))


def _read_literal(text: str) -> str:
    """The one string of a Python list, `[u'PAUL']`; an empty list gives an empty string."""
    try:
        values = ast.literal_eval(text)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):  # all of them what deep brackets give
        raise ValueError(f"expected one text in brackets and quotes, found {text}") from None
    if len(values) > 1 or not all(isinstance(value, str) for value in values):
        raise ValueError(f"expected one text in brackets and quotes, found {text}")
    return values[0] if values else ""


def build_instance(x: list, y: list, transcript: str, orientation: str) -> Instance:
    """One instance of Total-Text, of either of its layouts; a ValueError says what is wrong with it."""
    if len(x) != len(y):
        raise ValueError(f"found {len(x)} x and {len(y)} y coordinates, expected as many of each")
    ignore = DONT_CARE in (transcript, orientation)
    polygon = parse_points([value for point in zip(x, y, strict=True) for value in point])
    if ignore and 0 < len(polygon) < 3:
        polygon += polygon[-1:] * (3 - len(polygon))
    return Instance(polygon, transcript, ignore)
