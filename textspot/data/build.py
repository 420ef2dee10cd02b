"""From a data set's files to LMDBs, one per split, with an account of everything that was left out or repaired."""

import dataclasses
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from textspot.data.annotation import (
    Instance,
    looks_like_placeholder,
    repair_polygons,
    scale_polygons,
    tighten_quads,
)
from textspot.data.card import Card, Counts, Split
from textspot.data.lmdb_records import DamagedRecordError, Meta, Reader, Writer
from textspot.data.parsing import MAX_COMPLAINTS_SHOWN, AnnotationError
from textspot.data.source import AnnotatedFile, SourceSplit, explain_size, find_splits, read_source
from textspot.data.synthetic.draw import draw_dataset
from textspot.image_files import ImageError, decode_image
from textspot.progress import Track, untracked
from textspot.text.charset import is_invisible


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
        lines += [f"  warning: {warning}" for warning in self.warnings[:MAX_COMPLAINTS_SHOWN]]
        if len(self.warnings) > MAX_COMPLAINTS_SHOWN:
            lines.append(f"  ... and {len(self.warnings) - MAX_COMPLAINTS_SHOWN} more warnings")
        return "\n".join(lines)


def build_dataset(
    card: Card,
    source: str | os.PathLike | None,
    out: str | os.PathLike,
    overwrite: bool = False,
    track: Track = untracked,
) -> list[BuildReport]:
    """Write `<out>/<split>` for each split of the card: rendered, or from the files below `source`.

    All annotations are read before anything is written. Missing files, bad lines and undecodable images are collected
    and raised as one `AnnotationError`; a target that exists is a FileExistsError unless it is to `overwrite`.
    """
    out = Path(out)
    if card.draw:
        if source is not None:
            raise ValueError(f"{card.name} is rendered, not read from files: leave --source out")
        return [
            BuildReport(split, out / split, draw_dataset(out / split, config, overwrite, track), {}, [])
            for split, config in card.draw.items()
        ]
    if source is None:
        raise ValueError(f"{card.name} is built from files: give --source, their folder. {card.access}")
    return _build_from_files(card, Path(source), out, overwrite, track)


def _build_from_files(card: Card, source: Path, out: Path, overwrite: bool, track: Track) -> list[BuildReport]:
    present = find_splits(card, source)
    writers = {name: Writer(out / name, dataclasses.asdict(card), overwrite) for name in present}
    annotated = read_source(card, source)
    return [
        _write_split(name, writer, annotated[name], present[name], card.margin, track)
        for name, writer in writers.items()
    ]


def _write_split(
    split: str, writer: Writer, source: SourceSplit, config: Split, margin: tuple[float, float], track: Track
) -> BuildReport:
    remedies: Counter[str] = Counter(source.left_out)
    complaints: list[str] = []
    warnings = [*source.warnings, *(_compare_counts(source.images, config.counts) if config.counts else [])]
    with writer:
        for image in track(source.images, split):
            encoded = image.file.read_bytes()
            try:
                height, width, _ = decode_image(encoded, image.name).shape
            except ImageError as error:
                complaints.append(str(error))
                continue
            found = list(image.instances)
            if image.size and image.size != (height, width):
                if config.scale and image.size != (width, height):
                    found = scale_polygons(found, image.size, (height, width))
                    remedies["scaled: annotated at another size"] += 1
                else:
                    warnings.append(f"{image.name}: {explain_size(image.size, (height, width))}")
            instances, applied = repair_polygons(found, (height, width))
            remedies += applied
            writer.add(image.name, encoded, tighten_quads(instances, margin) if any(margin) else instances)
        if complaints:
            raise AnnotationError(complaints)
    warnings += describe_odd_transcripts(instance for image in source.images for instance in image.instances)
    return BuildReport(split, writer.path, Reader(writer.path).meta, dict(remedies), warnings)


def describe_odd_transcripts(instances: Iterable[Instance]) -> list[str]:
    """What the recogniser would learn from transcripts that were perhaps not meant so, in words."""
    marks, hidden = Counter[str](), Counter[str]()
    for instance in instances:
        if instance.readable:
            marks.update([instance.transcript.strip()] if looks_like_placeholder(instance.transcript) else [])
            hidden.update(c for c in instance.transcript.strip() if is_invisible(c) or (c.isspace() and c != " "))
    warnings = []
    if marks:
        named = ", ".join(f"{mark!r} {count} times" for mark, count in marks.most_common())
        warnings.append(f"trained on as texts: {named}; if nobody read these, list them under dont_care in the card")
    if hidden:
        named = ", ".join(f"U+{ord(character):04X} {count} times" for character, count in hidden.most_common())
        warnings.append(f"characters that cannot be seen, read as blanks or as nothing: {named}")
    return warnings


def _compare_counts(annotated: Sequence[AnnotatedFile], expected: Counts) -> list[str]:
    instances = [instance for image in annotated for instance in image.instances]
    found = Counts(len(annotated), len(instances), sum(instance.ignore for instance in instances))
    if expected.agrees_with(found):
        return []
    return [f"the card expects {expected}, found {found}: is the source complete?"]


def damaged_records(reader: Reader, track: Track = untracked) -> list[str]:
    """Read and decode every record; what is wrong with those that fail, in words."""
    complaints = []
    for index in track(range(len(reader)), "verify"):
        try:
            reader.sample(index)
        except DamagedRecordError as error:
            complaints.append(str(error))
    return complaints
