"""PPOCRLabel and PaddleOCR: `Label.txt`, one line per image: its path, a tab, and a JSON list.

    photos/door.jpg\t[{"transcription": "OPEN", "points": [[12, 8], [90, 8], [90, 31], [12, 31]], "difficult": false}]

The path begins with the name of the folder that was annotated, which is the folder of `Label.txt`. What is difficult or
says `###` is to be ignored. PPOCRLabel writes only the images that were confirmed and have at least one box. A byte
order mark and CRLF are fine.

Source: savePPlabel in PPOCRLabel.py of PFCCLab/PPOCRLabel; tools/dataset_converters/README.md of
mindspore-lab/mindocr for the training lists of PaddleOCR.
"""

import json
from typing import Any

from textspot.data.annotation import AnnotatedImage, Instance, is_dont_care
from textspot.data.pairing import path_tails
from textspot.data.parsing import number_items, parse_each, parse_json, parse_lines, parse_point_pairs, read_key


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    return parse_lines(raw, source, _parse_line)


def _parse_line(line: str) -> AnnotatedImage:
    path, found, listed = line.partition("\t")
    if not found:
        raise ValueError(f"expected a path, a tab and a JSON list, found {line!r}")
    try:
        values = parse_json(listed)
    except json.JSONDecodeError as error:
        raise ValueError(f"after the tab: not JSON ({error})") from error
    if not isinstance(values, list):
        raise ValueError("after the tab: expected a list of boxes")
    return AnnotatedImage(path_tails(path) or (path,), tuple(parse_each(number_items("box", values), _parse_box)))


def _parse_box(value: Any) -> Instance:
    transcript = read_key(value, "transcription", str)
    return Instance(
        polygon=parse_point_pairs(read_key(value, "points", list)),
        transcript=transcript,
        ignore=read_key(value, "difficult", bool, default=False) or is_dont_care(transcript),
    )
