"""Polygons of Total-Text in MATLAB files: a cell array `polygt` of six columns, one file per image.

    'x:'  [259 313 389 427 354 302]  'y:'  [542 462 417 459 507 582]  'PAUL'  'c'

A transcript or an orientation of `#` marks text to ignore, as in the text files (`totaltext_txt`).

Source: Groundtruth/Text/README.md and Evaluation_Protocol/Python_scripts/Deteval.py of cs-chan/Total-Text-Dataset.
"""

import numpy as np

from textspot.data.annotation import Instance
from textspot.data.formats.totaltext_txt import build_instance
from textspot.data.parsing import load_mat, number_items, parse_each


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad rows are an `AnnotationError`."""
    rows = load_mat(raw, source, ["polygt"])["polygt"]
    return parse_each(number_items(f"{source}: row", rows), _parse_row)


def _parse_row(row: np.ndarray) -> Instance:
    if row.shape != (6,):
        raise ValueError(f"expected x:, numbers, y:, numbers, transcript and orientation, found {row.size} columns")
    _, x, _, y, *texts = (np.ravel(cell).tolist() for cell in row)
    transcript, orientation = ("".join(map(str, text)) for text in texts)
    return build_instance(x, y, transcript, orientation)
