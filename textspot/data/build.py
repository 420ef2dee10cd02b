"""From a data set's files to LMDBs, one per split, with an account of everything that was left out or repaired."""

import dataclasses
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from textspot.data.annotation import AnnotationError, Instance, repair_polygons
from textspot.data.card import Card, Counts, Split
from textspot.data.formats import PER_DATASET, PER_IMAGE
from textspot.data.lmdb_records import DamagedRecordError, Meta, Reader, Writer
from textspot.data.synthetic.draw import draw_dataset
from textspot.image_files import ImageError, decode_image
from textspot.progress import Track, untracked


@dataclass(frozen=True)
class BuildReport:
    """What became of one split: the `meta` of its LMDB, how often each remedy was applied, and what looks wrong."""

    split: str
    path: Path
    meta: Meta
    remedies: dict[str, int]
    warnings: list[str]

    def __str__(self) -> str:
        lines = [f"{self.path}: {self.meta}"]
        lines += [f"  {reason}: {count}" for reason, count in self.remedies.items()]
        lines += [f"  warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Annotated:
    """An image file, its name below the source folder, and what its annotation says."""

    file: Path
    name: str
    instances: list[Instance]


def build_dataset(
    card: Card,
    source: str | os.PathLike | None,
    out: str | os.PathLike,
    overwrite: bool = False,
    track: Track = untracked,
) -> list[BuildReport]:
    """Write `<out>/<split>` for each split of the card: drawn, or from the files below `source`.

    All annotations are read before anything is written. Missing files, bad lines and undecodable images are collected
    and raised as one `AnnotationError`; a target that exists is a FileExistsError unless it is to `overwrite`.
    """
    out = Path(out)
    if card.draw:
        if source is not None:
            raise ValueError(f"{card.name} is drawn, not read from files: leave --source out")
        return [
            BuildReport(split, out / split, draw_dataset(out / split, config, overwrite, track), {}, [])
            for split, config in card.draw.items()
        ]
    if source is None:
        raise ValueError(f"{card.name} is built from files: give --source, their folder. {card.access}")
    return _build_from_files(card, Path(source), out, overwrite, track)


def _build_from_files(card: Card, source: Path, out: Path, overwrite: bool, track: Track) -> list[BuildReport]:
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder. {card.name}: {card.access}")
    present = {name: split for name, split in card.splits.items() if not split.optional or _has_files(split, source)}
    if not present:
        raise FileNotFoundError(f"{source}: has no files of {card.name}: {card.access}")
    writers = {name: Writer(out / name, dataclasses.asdict(card), overwrite) for name in present}
    complaints: list[str] = []
    annotated = {name: _read_split(card, split, source, complaints) for name, split in present.items()}
    if complaints:
        raise AnnotationError(complaints)
    return [
        _write_split(name, writer, annotated[name], present[name].counts, track) for name, writer in writers.items()
    ]


def _has_files(split: Split, source: Path) -> bool:
    return any(source.glob(split.images or split.annotations))


def _read_split(card: Card, split: Split, source: Path, complaints: list[str]) -> list[_Annotated]:
    """The images of a split with their instances, in order; what cannot be read is added to the complaints."""
    if card.format in PER_DATASET:
        return _read_one_file(card.format, split, source, complaints)
    images = sorted(source.glob(split.images))
    if not images:
        complaints.append(f"{source}: no image matches {split.images}; {card.name}: {card.access}")
    annotated = []
    for image in images:
        file = source / split.annotations.replace("{stem}", image.stem)
        name = image.relative_to(source).as_posix()
        try:
            annotated.append(_Annotated(image, name, PER_IMAGE[card.format](_read_text(file), file.name)))
        except FileNotFoundError:
            complaints.append(f"{name}: has no annotation file {file}")
        except AnnotationError as error:
            complaints += error.complaints
    return annotated


def _read_one_file(format_name: str, split: Split, source: Path, complaints: list[str]) -> list[_Annotated]:
    """The same for a format with one annotation file for all images; in the order of that file."""
    file = source / split.annotations
    try:
        parsed = PER_DATASET[format_name](_read_text(file), file.name)
    except FileNotFoundError:
        complaints.append(f"{file}: no such annotation file")
        return []
    except AnnotationError as error:
        complaints += error.complaints
        return []
    complaints += [
        f"{file.name}: names the image {name}, which is not in {source}"
        for name in parsed
        if not (source / name).is_file()
    ]
    return [_Annotated(source / name, name, instances) for name, instances in parsed.items()]


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise AnnotationError(
            [f"{file.name}: not UTF-8 (byte {error.start}): convert it, with iconv -f latin1 -t utf-8 for example"]
        ) from error


def _write_split(
    split: str, writer: Writer, annotated: Sequence[_Annotated], expected: Counts | None, track: Track
) -> BuildReport:
    remedies: Counter[str] = Counter()
    complaints = []
    with writer:
        for image in track(annotated, split):
            encoded = image.file.read_bytes()
            try:
                height, width, _ = decode_image(encoded, image.name).shape
            except ImageError as error:
                complaints.append(str(error))
                continue
            instances, applied = repair_polygons(image.instances, (height, width))
            remedies += applied
            writer.add(image.name, encoded, instances)
        if complaints:
            raise AnnotationError(complaints)
    warnings = _compare_counts(annotated, expected) if expected else []
    return BuildReport(split, writer.path, Reader(writer.path).meta, dict(remedies), warnings)


def _compare_counts(annotated: Sequence[_Annotated], expected: Counts) -> list[str]:
    instances = [instance for image in annotated for instance in image.instances]
    found = Counts(len(annotated), len(instances), sum(instance.ignore for instance in instances))
    return [] if found == expected else [f"the card expects {expected}, found {found}: is the source complete?"]


def damaged_records(reader: Reader, track: Track = untracked) -> list[str]:
    """Read and decode every record; what is wrong with those that fail, in words."""
    complaints = []
    for index in track(range(len(reader)), "verify"):
        try:
            reader.sample(index)
        except DamagedRecordError as error:
            complaints.append(str(error))
    return complaints
