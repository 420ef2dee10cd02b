"""The folder of a run: its manifest, what it is, and the parts that are done.

`manifest.parquet` is written first, `run.json` second, then `part-000000.parquet` and so on in any order. Each is there
in full or not at all, and a part is a function of the run: whoever writes it, and however often, writes the same rows.
"""

import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from textspot.bulk.manifest import Manifest
from textspot.bulk.rows import PartLabel, read_label
from textspot.stores import join, list_files, open_file, read_file, write_file

MANIFEST, RUN_FILE = "manifest.parquet", "run.json"
FOOTERS_AT_ONCE = 16


class OtherRunError(ValueError):
    """A folder that holds the results of another run."""


@dataclass(frozen=True)
class Run:
    """A run that has begun: its folder, what decides its rows, and how much it has to read."""

    out: str
    settings: dict[str, Any]
    num_images: int
    num_parts: int
    images_per_part: int
    manifest_sha256: str

    @property
    def key(self) -> str:
        """What its parts bear: equal for runs whose rows are equal."""
        values = json.dumps([self.settings, self.images_per_part, self.manifest_sha256], sort_keys=True)
        return hashlib.sha256(values.encode()).hexdigest()

    def part(self, number: int) -> str:
        """The address of a part."""
        return join(self.out, part_name(number))

    def size_of(self, number: int) -> int:
        """The number of images in a part: the last one may have fewer."""
        return min(self.images_per_part, self.num_images - number * self.images_per_part)


def part_name(number: int) -> str:
    return f"part-{number:06d}.parquet"


def find_run(out: str) -> Run | None:
    """The run that has begun in a folder. None if there is none; a folder of parts without a run is an error."""
    address = join(out, RUN_FILE)
    try:
        return Run(out, **json.loads(read_file(address)))
    except FileNotFoundError:
        if strangers := [file.name for file in list_files(out) if file.name != MANIFEST]:
            raise OtherRunError(
                f"{out}: holds {strangers[0]} and no {RUN_FILE}: choose an empty folder with --out"
            ) from None
        return None
    except (ValueError, TypeError) as error:
        raise OtherRunError(f"{address}: not the file of a run ({error}): choose another folder with --out") from error


def begin_run(out: str, settings: dict[str, Any], manifest: Manifest, images_per_part: int) -> Run:
    """Write what a run is into its folder, and give it."""
    run = Run(out, settings, manifest.num_images, manifest.num_parts, images_per_part, manifest.checksum)
    write_file(join(out, MANIFEST), manifest.data)
    values = {name: value for name, value in vars(run).items() if name != "out"}
    write_file(join(out, RUN_FILE), json.dumps(values, indent=1).encode())
    return run


def refuse_other(run: Run, settings: dict[str, Any], images_per_part: int) -> None:
    """An `OtherRunError` that names each setting which the run in a folder began with another value of."""
    wanted = settings | {"images_per_part": images_per_part}
    begun = run.settings | {"images_per_part": run.images_per_part}
    names = sorted(name for name in wanted.keys() | begun.keys() if wanted.get(name) != begun.get(name))
    if names:
        changes = "; ".join(f"{name} was {begun.get(name)}, is {wanted.get(name)}" for name in names)
        raise OtherRunError(
            f"{run.out}: was begun with other settings: {changes}. Use those, or choose another folder with --out"
        )


@dataclass(frozen=True)
class Done:
    """How far the run in a folder is: the numbers of the parts that are missing, in order, and the images without a
    result in the others."""

    missing: list[int]
    num_errors: int


def look_at_parts(run: Run) -> Done:
    """How far a run is. A part of another run is an `OtherRunError`; one that is damaged is missing."""
    if hashlib.sha256(read_file(join(run.out, MANIFEST))).hexdigest() != run.manifest_sha256:
        raise OtherRunError(f"{run.out}: {MANIFEST} changed since the run began: choose another folder with --out")
    present = {file.name for file in list_files(run.out)}
    written = [number for number in range(run.num_parts) if part_name(number) in present]
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        found = list(pool.map(lambda number: _label_of(run.part(number)), written))
    labels = {number: label for number, label in zip(written, found, strict=True) if label}
    others = [part_name(number) for number, label in labels.items() if label.run != run.key]
    if others:
        more = f" and {len(others) - 1} more" if len(others) > 1 else ""
        raise OtherRunError(
            f"{run.out}: {others[0]}{more} was written by another run: remove it, or choose another folder with --out"
        )
    missing = [number for number in range(run.num_parts) if number not in labels]
    return Done(missing, sum(label.num_errors for label in labels.values()))


def _label_of(address: str) -> PartLabel | None:
    """The label of a part; None if the file is damaged."""
    try:
        with open_file(address) as file:
            return read_label(file)
    except ValueError:  # pyarrow's errors are ValueErrors
        return None


def read_rows(out: str) -> Iterator[dict[str, Any]]:
    """All rows of a folder, part by part."""
    import pyarrow.parquet as parquet

    for file in list_files(out):
        if file.name.startswith("part-"):
            with open_file(file.address) as opened:
                yield from parquet.read_table(opened).to_pylist()
