"""Word crops: a table of image files that show one word each, TSV with a header line.

    image	label	word_score
    beer_1.webp	KINGFISHER	0.9958

`image` is a path below the split's folder, `label` the transcript. Other columns are read where they are there:

- `label_with_punctuation` takes the place of `label`, which in IIIT 5K-Word holds letters and digits only;
- `word_score` is how sure the program was that read the label;
- `status`, `rapidocr` and `score` tell what a recogniser read where the label was written by hand, and how sure it
  was. From a score of `CONFIDENT` on, a reading that differs in case only (`case`) takes the label's place, and a label
  that the reading contradicts (`differs`) is most likely a slip, and left out.

Nothing is quoted: a label may hold `"`. The outline is all of the image; what it leaves free around the letters is the
card's `margin`.
"""

import csv
import io
import math
from collections.abc import Mapping

from textspot.data.annotation import MOST_SURE, AnnotatedImage, Instance
from textspot.data.parsing import AnnotationError, Point, decode_text, number_items, parse_each

CONFIDENT = 0.98  # of the labels of IIIT 5K-Word that such a reading contradicts, most are slips
WHOLE_IMAGE: tuple[Point, ...] = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    table = csv.DictReader(io.StringIO(decode_text(raw, source)), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        columns, rows = table.fieldnames or (), list(table)
    except csv.Error as error:  # a carriage return within a line, a field of more than 131,072 characters
        raise AnnotationError([f"{source}: line {table.line_num + 1}: no table with tabs ({error})"]) from error
    if missing := {"image", "label"} - set(columns):
        raise AnnotationError([f"{source}: its first line names no column {', '.join(sorted(missing))}"])
    return parse_each(number_items(f"{source}: crop", rows), _parse_row)


def _parse_row(row: Mapping[str, str | None]) -> AnnotatedImage:
    if None in row or None in row.values():
        raise ValueError("expected as many fields as the first line names")
    label = row.get("label_with_punctuation") or row["label"] or ""
    status = row.get("status") if _read_score(row, "score") >= CONFIDENT else ""
    if status == "case":
        label = row.get("rapidocr") or label
    score = min(_read_score(row, "word_score"), MOST_SURE) if row.get("word_score") else 1.0
    word = Instance(WHOLE_IMAGE, label, score=score)
    left_out = "a recogniser contradicts the label with confidence" if status == "differs" else ""
    return AnnotatedImage((row["image"] or "",), (word,), relative=True, left_out=left_out)


def _read_score(row: Mapping[str, str | None], column: str) -> float:
    value = row.get(column) or "1"
    try:
        score = float(value)
    except ValueError:
        score = math.nan
    if not 0 <= score <= 1:
        raise ValueError(f"{column} is {value!r}, expected a number in [0, 1]")
    return score
