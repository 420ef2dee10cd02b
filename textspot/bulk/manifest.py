"""Which images a run reads, fixed before it reads any: one row each in a Parquet file, one row group for each part."""

import hashlib
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import PurePosixPath
from typing import Any

from textspot.image_files import IMAGE_SUFFIXES
from textspot.stores import list_files, open_file

LIST_SUFFIX = ".parquet"
UNKNOWN = -1  # bytes of an image that a list names


@dataclass(frozen=True)
class Entry:
    """An image to read: what results call it, where it lies, how many bytes it has, `UNKNOWN` for those of a list."""

    id: str
    address: str
    num_bytes: int = UNKNOWN


@dataclass(frozen=True)
class Source:
    """The images of a folder, of a prefix in a store, or of a Parquet file of addresses in the column `column`.

    What else lies in a folder is counted in `passed_over`, by suffix, while it is gone through.
    """

    address: str
    column: str
    passed_over: Counter[str] = field(default_factory=Counter)

    def entries(self) -> Iterator[Entry]:
        """In order: of a folder by name, of a list as it has them. A source without an image is a ValueError."""
        found = self._listed() if self.address.endswith(LIST_SUFFIX) else self._in_folder()
        first = next(found, None)
        if first is None:
            raise ValueError(f"{self.address}: no image there. Expected a folder, a prefix or a {LIST_SUFFIX} list")
        return chain([first], found)

    def _in_folder(self) -> Iterator[Entry]:
        if self.address.startswith(("http://", "https://")):
            raise ValueError(f"{self.address}: the web has no folders: list its addresses in a {LIST_SUFFIX} file")
        for file in list_files(self.address):
            suffix = PurePosixPath(file.name).suffix.lower()
            if suffix in IMAGE_SUFFIXES:
                yield Entry(file.name, file.address, file.num_bytes)
            else:
                self.passed_over[suffix or "without a suffix"] += 1

    def _listed(self) -> Iterator[Entry]:
        import pyarrow.parquet as parquet

        with open_file(self.address) as file:
            table = parquet.ParquetFile(file)
            if self.column not in table.schema_arrow.names:
                raise ValueError(
                    f"{self.address}: has no column {self.column!r}, only {', '.join(table.schema_arrow.names)}: "
                    "name the one of the addresses with --column"
                )
            for batch in table.iter_batches(columns=[self.column]):
                yield from (Entry(address, address) for address in batch.column(0).to_pylist() if address)


@dataclass(frozen=True)
class Manifest:
    """A manifest as it is written: its bytes, their SHA-256, and how many images and parts it has."""

    data: bytes
    num_images: int
    num_parts: int

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


def build_manifest(entries: Iterator[Entry], images_per_part: int) -> Manifest:
    """The manifest of these images, `images_per_part` in each part but the last."""
    import pyarrow
    import pyarrow.parquet as parquet

    schema = pyarrow.schema([("id", "string"), ("address", "string"), ("num_bytes", "int64")])
    buffer, num_images, num_parts = io.BytesIO(), 0, 0
    with parquet.ParquetWriter(buffer, schema) as writer:
        while part := list(islice(entries, images_per_part)):
            columns = [[getattr(entry, name) for entry in part] for name in schema.names]
            writer.write_table(pyarrow.table(columns, schema=schema), row_group_size=images_per_part)
            num_images, num_parts = num_images + len(part), num_parts + 1
    return Manifest(buffer.getvalue(), num_images, num_parts)


def read_part_entries(manifest: Any, number: int) -> list[Entry]:
    """The images of a part, of an open `pyarrow.parquet.ParquetFile`."""
    return [Entry(**row) for row in manifest.read_row_group(number).to_pylist()]
