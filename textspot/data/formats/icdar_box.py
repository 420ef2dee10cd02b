"""Rectangles of ICDAR 2013: `left top right bottom "transcript"`, one file per image.

    158 128 411 181 "Footpath"
    38, 43, 920, 215, "Tiredness"

Blanks or commas stand between the fields (training and test files differ). The transcript may come without quotes or
not at all; `###` marks text to ignore. A byte order mark and CRLF are fine.
"""

import re

from textspot.data.annotation import Instance, is_dont_care
from textspot.data.parsing import parse_lines, unquote

# Possessive quantifiers (++, *+): a line that does not match is given up at once, however long it is.
_NUMBER = r"-?\d++(?:\.\d++)?"
_BETWEEN = r"(?:\s*+,\s*+|\s++)"
_FOUR_NUMBERS = _BETWEEN.join([f"({_NUMBER})"] * 4)
_LINE = re.compile(rf"\s*+{_FOUR_NUMBERS}(?:{_BETWEEN}(.*))?", re.DOTALL)
_EIGHT_NUMBERS = re.compile(rf"{_FOUR_NUMBERS}(?:[,\s]|$)")


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    return parse_lines(raw, source, _parse_line)


def _parse_line(line: str) -> Instance:
    fields = _LINE.fullmatch(line)
    if fields is None:
        raise ValueError(f"expected left, top, right, bottom and a transcript in quotes, found {line!r}")
    rest = fields.group(5) or ""
    if _EIGHT_NUMBERS.match(rest):
        raise ValueError("found 8 coordinates, expected 4; is this a file of quads? set format: icdar_quad in the card")
    left, top, right, bottom = (float(value) for value in fields.groups()[:4])
    if right < left or bottom < top:
        raise ValueError(
            f"the right or bottom edge ({right:g}, {bottom:g}) lies before the left or top edge ({left:g}, {top:g}); "
            "expected left, top, right, bottom, not a width and a height"
        )
    transcript = unquote(rest)
    return Instance(
        polygon=((left, top), (right, top), (right, bottom), (left, bottom)),
        transcript=transcript,
        ignore=is_dont_care(transcript),
    )
