"""The files of a data set as their annotations describe them, before anything is decoded or repaired."""

from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from textspot.data.annotation import AnnotatedImage, Instance
from textspot.data.card import Card, Split
from textspot.data.formats import PER_DATASET, PER_IMAGE
from textspot.data.parsing import AnnotationError
from textspot.image_files import ImageError, upright_size


@dataclass(frozen=True)
class AnnotatedFile:
    """An image file, its name below the source folder, and what its annotation says.

    `size` is the (height, width) that the annotation states for the image, if it does.
    """

    file: Path
    name: str
    instances: tuple[Instance, ...]
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class SourceSplit:
    """The images of a split as its files annotate them, in order, and how many were left out for which reason."""

    images: list[AnnotatedFile]
    left_out: dict[str, int]


def find_splits(card: Card, source: Path) -> dict[str, Split]:
    """The splits whose files are there; optional ones may be missing, but not all of them. Else FileNotFoundError."""
    if not source.is_dir():
        raise FileNotFoundError(f"{source}: no such folder. {card.name}: {card.access}")
    present = {
        name: split for name, split in card.splits.items() if not split.optional or _has_files(card, split, source)
    }
    if not present:
        raise FileNotFoundError(f"{source}: has no files of {card.name}: {card.access}")
    return present


def _has_files(card: Card, split: Split, source: Path) -> bool:
    return any(source.glob(split.images if card.format_of(split) in PER_IMAGE else split.annotations))


def read_source(card: Card, source: Path) -> dict[str, SourceSplit]:
    """The annotations of each split whose files are there; all complaints about them are one `AnnotationError`."""
    complaints: list[str] = []
    annotated = {}
    parsed: _Parsed = {}
    for name, split in find_splits(card, source).items():
        if card.format_of(split) in PER_IMAGE:
            annotated[name] = _read_per_image(card, split, source, complaints)
        else:
            annotated[name] = _read_per_dataset(card, split, source, complaints, parsed)
        if not annotated[name].images and not complaints:
            complaints.append(f"{source}: none of its images belongs to the split {name}")
    if complaints:
        raise AnnotationError(complaints)
    return annotated


def _read_per_image(card: Card, split: Split, source: Path, complaints: list[str]) -> SourceSplit:
    """A split with one annotation file per image; what cannot be read is added to the complaints."""
    parse = PER_IMAGE[card.format_of(split)]
    images = sorted(source.glob(split.images))
    if not images:
        complaints.append(f"{source}: no image matches {split.images}; {card.name}: {card.access}")
    annotated = []
    for image in images:
        file = source / split.annotations.replace("{stem}", image.stem)
        name = image.relative_to(source).as_posix()
        if not split.takes(name):
            continue
        try:
            annotated.append(AnnotatedFile(image, name, tuple(parse(file.read_bytes(), file.name))))
        except FileNotFoundError:
            complaints.append(f"{name}: has no annotation file {file}")
        except AnnotationError as error:
            complaints += error.complaints
    return SourceSplit(annotated, {})


# Annotation files for all images, by path and format: several splits may be in one, which may take minutes to parse.
_Parsed = dict[tuple[Path, str], list[AnnotatedImage]]


def _read_per_dataset(
    card: Card, split: Split, source: Path, complaints: list[str], parsed_files: _Parsed
) -> SourceSplit:
    """A split with one annotation file for all images, in the order of that file."""
    file, chosen = source / split.annotations, card.format_of(split)
    if (file, chosen) not in parsed_files:
        parsed_files[file, chosen] = _parse_file(file, chosen, complaints)
    parsed = parsed_files[file, chosen]
    if parsed and split.part and not any(image.part == split.part for image in parsed):
        parts = ", ".join(sorted({image.part or "none" for image in parsed}))
        complaints.append(f"{file.name}: has no image of the part {split.part!r}, only of {parts}")
    annotated: dict[str, AnnotatedFile] = {}
    left_out: Counter[str] = Counter()
    for image in parsed:
        found = [path for path in image.names if (source / split.folder / path).is_file()]
        name = PurePosixPath(split.folder, *(found or image.names)[:1]).as_posix()
        if split.part not in ("", image.part) or not fnmatchcase(name, split.images or "*") or not split.takes(name):
            continue
        if image.left_out:
            left_out[f"left out: {image.left_out}"] += 1
        elif not found:
            complaints.append(f"{file.name}: names the image {image.names[0]}, which is not in {source / split.folder}")
        elif name in annotated:
            complaints.append(f"{file.name}: the image {name} has more than one entry")
        else:
            annotated[name] = _locate(image, source / name, name, complaints)
    return SourceSplit(list(annotated.values()), dict(left_out))


def _locate(image: AnnotatedImage, file: Path, name: str, complaints: list[str]) -> AnnotatedFile:
    """The image with its file; polygons in shares of its size become pixels."""
    instances = image.instances
    if image.relative:
        try:
            height, width = upright_size(file.read_bytes(), name)
            instances = tuple(
                replace(instance, polygon=tuple((x * width, y * height) for x, y in instance.polygon))
                for instance in instances
            )
        except ImageError as error:
            complaints.append(str(error))
    return AnnotatedFile(file, name, instances, image.size)


def _parse_file(file: Path, chosen: str, complaints: list[str]) -> list[AnnotatedImage]:
    try:
        return PER_DATASET[chosen](file.read_bytes(), file.name)
    except FileNotFoundError:
        complaints.append(f"{file}: no such annotation file")
    except AnnotationError as error:
        complaints += error.complaints
    return []


def explain_size(stated: tuple[int, int], found: tuple[int, int]) -> str:
    """What it means that an annotation states another size (height, width) than its image has."""
    reason = "its EXIF orientation was not heeded" if found == stated[::-1] else "it was scaled or replaced since"
    return f"annotated at {stated[1]} x {stated[0]} pixels, is {found[1]} x {found[0]}: {reason}"
