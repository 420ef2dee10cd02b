"""Polygons with the transcript after four hashes: `x1,y1,...,xn,yn,####transcript`, one file per image.

    695,885,866,888,867,1146,696,1143,####Latin 9
    12,40,60,22,110,18,112,44,64,48,20,64,####Bar, open
    5,5,40,5,40,20,5,20,#######

The test files of SCUT-CTW1500 (14 points, whole lines of text), and of other sets that were converted to their layout.
The transcript is everything after the first `,####`; `###` (so seven hashes) marks text to ignore, an empty one is a
box without a reading. A byte order mark and CRLF are fine.

Source: mmocr/datasets/preparers/parsers/ctw1500_parser.py of open-mmlab/mmocr, and the test annotations
`gt_ctw1500.zip` it describes.
"""

from textspot.data.annotation import Instance, is_dont_care
from textspot.data.parsing import parse_lines, parse_points


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    return parse_lines(raw, source, _parse_line)


def _parse_line(line: str) -> Instance:
    coordinates, found, transcript = line.partition(",####")
    if not found:
        raise ValueError(f"expected coordinates, four hashes and a transcript, found {line!r}")
    return Instance(parse_points(coordinates.split(",")), transcript, ignore=is_dont_care(transcript))
