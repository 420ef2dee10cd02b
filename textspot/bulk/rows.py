"""What is written about an image: one row, whether it could be read or not."""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from textspot.structures import Prediction

if TYPE_CHECKING:
    import pyarrow

RUN_KEY, ERRORS_KEY = b"textspot.run", b"textspot.errors"  # in a file's metadata: its run, and rows with an error


@dataclass(frozen=True)
class Row:
    """A row: `error` says why an image was not read, and is empty if it was.

    `sha256` is that of the encoded image, empty if it could not be fetched. `height` and `width` are in pixels, 0 if
    unknown. An instance holds `polygon` as a flat list x, y, x, y ... in pixels, `text`, `score` and `text_score`.
    `lines` are in reading order. `limited` says that the greatest number of regions was reached.
    """

    id: str
    sha256: str = ""
    height: int = 0
    width: int = 0
    instances: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    limited: bool = False
    error: str = ""


def row_of(id: str, sha256: str, prediction: Prediction, limited: bool) -> Row:
    """The row of what was found in an image."""
    instances = [
        {
            "polygon": one.polygon.flatten().tolist(),
            "text": one.text,
            "score": float(one.score),
            "text_score": float(one.text_score),
        }
        for one in prediction
    ]
    lines = [line.text for line in prediction.lines()]
    return Row(id, sha256, *prediction.size, instances, lines, limited)


def schema() -> "pyarrow.Schema":
    """The columns, their types in Parquet."""
    import pyarrow

    instance = [("polygon", pyarrow.list_(pyarrow.float32())), ("text", "string"), ("score", "double")]
    return pyarrow.schema(
        [
            *(("id", "string"), ("sha256", "string"), ("height", "int32"), ("width", "int32")),
            ("instances", pyarrow.list_(pyarrow.struct([*instance, ("text_score", "double")]))),
            *(("lines", pyarrow.list_(pyarrow.string())), ("limited", "bool"), ("error", "string")),
        ]
    )


@dataclass(frozen=True)
class PartLabel:
    """What the file of a part says about itself: the run that wrote it, and how many rows have an error."""

    run: str
    num_errors: int


def count_errors(rows: Sequence[Row]) -> int:
    """How many images could not be read."""
    return sum(bool(row.error) for row in rows)


def encode_part(rows: Sequence[Row], run: str) -> bytes:
    """The Parquet file of a part, with its label."""
    import pyarrow
    import pyarrow.parquet as parquet

    label = {RUN_KEY: run.encode(), ERRORS_KEY: str(count_errors(rows)).encode()}
    table = pyarrow.Table.from_pylist([asdict(row) for row in rows], schema().with_metadata(label))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()


def read_label(file: Any) -> PartLabel:
    """The label of an open Parquet file; without a run if it bears none. What is no Parquet file is a ValueError."""
    import pyarrow.parquet as parquet

    metadata = parquet.ParquetFile(file).schema_arrow.metadata or {}
    return PartLabel(metadata.get(RUN_KEY, b"").decode(), int(metadata.get(ERRORS_KEY, 0)))
