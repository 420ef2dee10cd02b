"""Quads of ICDAR 2015: `x1,y1,x2,y2,x3,y3,x4,y4,transcript`, one file per image.

    377,117,463,117,465,130,378,130,Genaxis Theatre
    374,155,409,155,409,170,374,170,###
    1051,651,1111,674,1106,694,1046,672,Sale, today

Corners run clockwise from the start of reading. The transcript is everything after the eighth comma and may hold
commas; double quotes around all of it are taken off, as the official scripts do. `###` marks text to ignore; an empty
or missing transcript is a box without a reading. A byte order mark and CRLF are fine.

Source: https://rrc.cvc.uab.es/?ch=4&com=tasks and rrc_evaluation_funcs.py of that competition.
"""

from textspot.data.annotation import Instance, is_dont_care
from textspot.data.parsing import parse_lines, parse_points, unquote


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    return parse_lines(raw, source, _parse_line)


def _parse_line(line: str) -> Instance:
    fields = line.split(",", 8)
    if len(fields) < 8:
        raise ValueError(
            f"expected 8 coordinates and a transcript, found {len(fields)} fields; "
            "is this a rectangle file? set format: icdar_box in the card"
        )
    try:
        polygon = parse_points(fields[:8])
    except ValueError as error:
        raise ValueError(f"{error}; is this a rectangle file? set format: icdar_box in the card") from None
    transcript = unquote(fields[8]) if len(fields) == 9 else ""
    return Instance(polygon, transcript, ignore=is_dont_care(transcript))
