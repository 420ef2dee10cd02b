"""CSV (RFC 4180, with a header, lines end in CRLF): a row for each word in reading order; polygons as `x,y x,y ...`."""

import csv
import io
from collections.abc import Sequence

from textspot.outputs.page import ReadPage
from textspot.structures import COLUMNS


def write(pages: Sequence[ReadPage]) -> bytes:
    """UTF-8 text of the columns of `Prediction.to_dataframe`."""
    buffer = io.StringIO(newline="")
    table = csv.DictWriter(buffer, COLUMNS)
    table.writeheader()
    for page in pages:
        for row in page.prediction.to_rows():
            table.writerow(row | {"polygon": " ".join(f"{x:g},{y:g}" for x, y in row["polygon"])})
    return buffer.getvalue().encode("utf-8", "backslashreplace")
