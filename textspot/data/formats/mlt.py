"""Quads of ICDAR 2017 and 2019 MLT: `x1,y1,x2,y2,x3,y3,x4,y4,script,transcript`, one file per image.

    1050,301,1195,320,1190,370,1046,352,Latin,Bäckerei
    220,110,380,114,379,160,219,155,Korean,###
    90,10,140,10,140,40,90,40,None,###

Corners run clockwise from the start of reading. The transcript is everything after the ninth comma; it may hold commas,
and quotes belong to it. `###` marks text to ignore. The script becomes the language, `None` an empty one. A byte order
mark and CRLF are fine.

Source: https://rrc.cvc.uab.es/?ch=8&com=tasks and https://rrc.cvc.uab.es/?ch=15&com=tasks, "Ground Truth Format".
"""

from textspot.data.annotation import Instance, is_dont_care
from textspot.data.parsing import parse_lines, parse_points

SCRIPTS = ("Arabic", "Latin", "Chinese", "Japanese", "Korean", "Bangla", "Hindi", "Symbols", "Mixed", "None")


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    return parse_lines(raw, source, _parse_line)


def _parse_line(line: str) -> Instance:
    fields = line.split(",", 9)
    if len(fields) < 10 or fields[8] not in SCRIPTS:
        raise ValueError(
            f"expected 8 coordinates, a script ({', '.join(SCRIPTS)}) and a transcript, found {line!r}; "
            "is this a file without scripts? set format: icdar_quad in the card"
        )
    script, transcript = fields[8:]
    return Instance(
        polygon=parse_points(fields[:8]),
        transcript=transcript,
        ignore=is_dont_care(transcript),
        language="" if script == "None" else script,
    )
