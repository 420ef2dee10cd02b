"""The files of a data set as their annotations describe them, before anything is decoded or repaired."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from textspot.data.annotation import PLACEHOLDERS, AnnotatedImage, Instance, scale_polygons
from textspot.data.card import Card, Split
from textspot.data.formats import PER_DATASET, PER_IMAGE, choose_parser
from textspot.data.pairing import OutsideError, SourceFolder, Template, compose, fixed_part, name_some
from textspot.data.parsing import AnnotationError
from textspot.image_files import ImageError, read_file, upright_size


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
    """The images of a split as its files annotate them, in order, how many were left out for which reason, and what
    looks wrong with the files."""

    images: list[AnnotatedFile]
    left_out: dict[str, int]
    warnings: list[str] = field(default_factory=list)


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
    return _SourceReader(card, source, find_splits(card, source)).read()


class _SourceReader:
    """Reads splits one by one, and keeps account of the files that they use."""

    def __init__(self, card: Card, source: Path, splits: Mapping[str, Split]):
        self.card, self.splits, self.folder = card, splits, SourceFolder(source)
        self.complaints: list[str] = []
        self.matched: set[Path] = set()  # images that a split knows of, whether or not it takes them
        self.user_of: dict[Path, str] = {}  # annotation files of one image each, and the name of that image
        # Files that annotate many images, by path and format: several splits may be in one, which takes minutes.
        self.parsed: dict[tuple[str, str], list[AnnotatedImage]] = {}

    def read(self) -> dict[str, SourceSplit]:
        annotated = {}
        for name, split in self.splits.items():
            of_each = self.card.format_of(split) in PER_IMAGE
            try:
                annotated[name] = self._read_per_image(split) if of_each else self._read_per_dataset(split)
            except OutsideError as error:
                self.complaints.append(f"splits.{name}: {error}")
                continue
            if not annotated[name].images and not self.complaints:
                self.complaints.append(f"{self.folder.path}: none of its images belongs to the split {name}")
        self._complain_of_unused_annotations()
        if self.complaints:
            raise AnnotationError(self.complaints)
        return {name: self._mark_dont_care(self._name_unused_images(name, split)) for name, split in annotated.items()}

    def _read_per_image(self, split: Split) -> SourceSplit:
        """A split with one annotation file per image; what cannot be read is added to the complaints."""
        images = self.folder.matching(split.images)
        if not images:
            self.complaints.append(
                f"{self.folder.path}: no image matches {split.images}; {self.card.name}: {self.card.access}"
            )
        self.matched.update(images)
        pairs = [pair for image in images if (pair := self._pair(image, Template(split.annotations)))]
        chosen = self.card.format_of(split)
        parse, remark = choose_parser(chosen, (file.read_bytes() for _, file in pairs))
        annotated, warnings = [], [remark] if remark else []
        for image, file in pairs:
            name = self.folder.name(image)
            if not split.takes(compose(name)):
                continue
            try:
                found = parse(file.read_bytes(), file.name)
            except AnnotationError as error:
                self.complaints += error.complaints
                continue
            if found.names and PurePosixPath(compose(found.names[0])).stem != PurePosixPath(compose(name)).stem:
                warnings.append(f"{self.folder.name(file)}: says that it is about {found.names[0]}, not {name}")
            annotated.append(AnnotatedFile(image, name, found.instances, found.size))
        return SourceSplit(annotated, {}, warnings)

    def _pair(self, image: Path, template: Template) -> tuple[Path, Path] | None:
        """An image with its annotation file, which is no other image's."""
        name = self.folder.name(image)
        wanted = template.of(compose(name))
        file = self.folder.find(wanted)
        if file is None:
            missing = self.folder.path / wanted
            self.complaints.append(f"{name}: has no annotation file {missing}{self.folder.guess(wanted)}")
            return None
        other = self.user_of.setdefault(file, name)
        if other != name:
            self.complaints.append(
                f"{self.folder.name(file)}: would be the annotation of {other} and of {name}: tell them apart in the "
                "card, with {folder} in `annotations`"
            )
            return None
        return image, file

    def _complain_of_unused_annotations(self) -> None:
        """Annotation files whose image is not there are complaints; those of an image that no split takes are not."""
        used = {*self.user_of, *(self.folder.path / file for file, _ in self.parsed)}
        for split in self.splits.values():
            chosen, template = self.card.format_of(split), Template(split.annotations)
            if chosen not in PER_IMAGE:
                continue
            images = map(self.folder.name, self.folder.images_below(fixed_part(split.images)))
            used |= {file for image in images if (file := self.folder.find(template.of(compose(image))))}
            unused = [file for file in self.folder.matching(template.pattern()) if file not in used]
            stray = [file for file in unused if _is_annotation(file, chosen)]
            used.update(unused)
            if stray:
                names = name_some(map(self.folder.name, stray))
                self.complaints.append(f"annotations without an image, {len(stray)}: {names}")

    def _name_unused_images(self, name: str, split: SourceSplit) -> SourceSplit:
        config = self.splits[name]
        pattern = config.images if self.card.format_of(config) in PER_IMAGE else f"{config.folder}/*".lstrip("/")
        unused = [image for image in self.folder.images_below(fixed_part(pattern)) if image not in self.matched]
        self.matched.update(unused)  # named once
        if not unused:
            return split
        names = name_some(map(self.folder.name, unused))
        return replace(split, warnings=[*split.warnings, f"images that are not used, {len(unused)}: {names}"])

    def _mark_dont_care(self, split: SourceSplit) -> SourceSplit:
        """With what says that nobody read it to be ignored, whatever the format."""
        placeholders = (*PLACEHOLDERS, *self.card.dont_care)
        images = [
            replace(image, instances=tuple(one.ignored_if(placeholders) for one in image.instances))
            for image in split.images
        ]
        return replace(split, images=images)

    def _read_per_dataset(self, split: Split) -> SourceSplit:
        """A split with one annotation file for all images, in the order of that file."""
        parsed = self._parse_file(split.annotations, self.card.format_of(split))
        source = PurePosixPath(split.annotations).name
        if parsed and split.part and not any(image.part == split.part for image in parsed):
            parts = ", ".join(sorted({image.part or "none" for image in parsed}))
            self.complaints.append(f"{source}: has no image of the part {split.part!r}, only of {parts}")
        annotated: dict[Path, AnnotatedFile] = {}
        left_out: Counter[str] = Counter()
        for image in parsed:
            if split.part not in ("", image.part):
                continue
            try:
                file = self._find_image(split, image)
            except OutsideError as error:
                self.complaints.append(f"{source}: the image {error}")
                continue
            name = self.folder.name(file) if file else PurePosixPath(split.folder, compose(image.names[0])).as_posix()
            if not fnmatchcase(compose(name), split.images or "*"):
                continue
            if file:
                self.matched.add(file)
            if not split.takes(compose(name)):
                continue
            if image.left_out:
                left_out[f"left out: {image.left_out}"] += 1
            elif file is None:
                guess = self.folder.guess(PurePosixPath(split.folder, image.names[0]).as_posix())
                self.complaints.append(
                    f"{source}: names the image {image.names[0]}, which is not in "
                    f"{self.folder.path / split.folder}{guess}"
                )
            elif file in annotated:
                self.complaints.append(f"{source}: the image {name} has more than one entry")
            else:
                annotated[file] = self._locate(image, file, name)
        return SourceSplit(list(annotated.values()), dict(left_out))

    def _find_image(self, split: Split, image: AnnotatedImage) -> Path | None:
        """The image's file, by the likeliest of its names that is there."""
        below = [PurePosixPath(split.folder, compose(name)).as_posix() for name in image.names]
        return next((file for name in below if (file := self.folder.find_image(name))), None)

    def _locate(self, image: AnnotatedImage, file: Path, name: str) -> AnnotatedFile:
        """The image with its file; polygons in shares of its size become pixels."""
        instances = image.instances
        if image.relative:
            try:
                height, width = upright_size(read_file(file), name)
                instances = tuple(scale_polygons(instances, (1, 1), (height, width)))
            except ImageError as error:
                self.complaints.append(str(error))
        return AnnotatedFile(file, name, instances, image.size)

    def _parse_file(self, name: str, chosen: str) -> list[AnnotatedImage]:
        if (name, chosen) in self.parsed:
            return self.parsed[name, chosen]
        self.parsed[name, chosen] = []
        file = self.folder.find(name)
        try:
            if file is None:
                raise AnnotationError([f"{self.folder.path / name}: no such annotation file{self.folder.guess(name)}"])
            self.parsed[name, chosen] = PER_DATASET[chosen](file.read_bytes(), file.name)
        except AnnotationError as error:
            self.complaints += error.complaints
        return self.parsed[name, chosen]


def _is_annotation(file: Path, chosen: str) -> bool:
    try:
        PER_IMAGE[chosen](file.read_bytes(), file.name)
    except AnnotationError:
        return False
    return True


def explain_size(stated: tuple[int, int], found: tuple[int, int]) -> str:
    """What it means that an annotation states another size (height, width) than its image has."""
    reason = "its EXIF orientation was not heeded" if found == stated[::-1] else "it was scaled or replaced since"
    return f"annotated at {stated[1]} x {stated[0]} pixels, is {found[1]} x {found[0]}: {reason}"
