"""The card of a data set: what it is, who may use it, and where its files lie."""

import hashlib
import os
from contextvars import Context
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from typing import Literal

from jsonargparse import ArgumentError, ArgumentParser

from textspot.data.formats import PER_DATASET, PER_IMAGE
from textspot.data.synthetic.draw import DrawConfig
from textspot.given_settings import refuse_given
from textspot.regular_file import refuse_other_kinds


@dataclass(frozen=True)
class Counts:
    """What a complete split holds; what is not known for certain is left out.

    Args:
        images: number of images.
        instances: number of annotated instances, ignored ones included.
        ignored: number of instances that are marked as to be ignored.
    """

    images: int
    instances: int | None = None
    ignored: int | None = None

    def agrees_with(self, found: "Counts") -> bool:
        """Whether everything that is stated here is so there."""
        stated = ((getattr(self, field.name), getattr(found, field.name)) for field in fields(self))
        return all(value in (None, other) for value, other in stated)

    def __str__(self) -> str:
        stated = ((getattr(self, field.name), field.name) for field in fields(self))
        return ", ".join(f"{value} {name}" for value, name in stated if value is not None)


@dataclass(frozen=True)
class Split:
    """Where the files of one split lie, below the source folder.

    Args:
        annotations: the annotation file; in a format with one file per image, `{stem}` in it stands for the name of the
            image without suffix, `train_gts/gt_{stem}.txt`, and `{folder}` for the folder in which the image lies below
            the source folder, `{folder}/{stem}.json`.
        images: pattern of the images, `train_images/img_*.jpg` or, for every tenth one, `train_images/img_*0.jpg`; an
            image's suffix in it stands for those of all images, in any case. In a
            format with one annotation file for all images it may be left out; otherwise it chooses among those the file
            names, by their whole path below the source folder, where `*` stands for any characters.
        folder: in a format with one annotation file for all images, the folder in which the paths it names begin.
        part: in such a format, what it calls this split, where it tells several apart (`set` in COCO-Text).
        format: the annotation format, where it differs from that of the card.
        share: the range of the images that it takes, of all from 0 to 1 in an order that depends on their names alone:
            [0, 0.9] for training and [0.9, 1] for validation divide one export at random, and the same way every time.
        optional: whether the split is left out, with a notice, when none of its files is there.
        counts: what a complete split holds; other numbers give a warning.
        scale: whether outlines are scaled where the annotation states another size than the image has. Otherwise a
            warning says so, and they stay.
    """

    annotations: str
    images: str = ""
    folder: str = ""
    part: str = ""
    format: str = ""
    share: tuple[float, float] = (0.0, 1.0)
    optional: bool = False
    counts: Counts | None = None
    scale: bool = False

    def __post_init__(self) -> None:
        for key in ("annotations", "images", "folder"):
            path = PurePosixPath(getattr(self, key))
            if path.is_absolute() or ".." in path.parts:
                raise ValueError(f"{key} is {getattr(self, key)!r}, expected a place below the source folder")
        if not 0 <= self.share[0] < self.share[1] <= 1:
            raise ValueError(
                f"share is {list(self.share)}, expected two rising numbers from 0 to 1, [0.9, 1] for example"
            )

    def takes(self, name: str) -> bool:
        """Whether the image of this name falls into the share."""
        place = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) / 2**32
        return self.share[0] <= place < self.share[1]


@dataclass(frozen=True)
class Card:
    """A data set.

    Args:
        name: its short name, as in configurations and results.
        licence: what its owner allows.
        access: where and how a user gets the files, and into which folders they go.
        geometry: what outlines each piece of text.
        format: the annotation format of its files, one of `textspot.data.formats`.
        splits: its parts, each of which becomes one LMDB.
        draw: instead of format and splits, the parts of a data set that is rendered, not read from files.
        quirks: what surprises in its files.
        dont_care: further transcripts that mark text to ignore, besides `###` and what else is in
            `textspot.data.annotation.PLACEHOLDERS`.
        margin: what its quads leave free around the letters, above and below and at both ends, in shares of their
            height; it is taken off, or added if below 0, so that those of all data sets fit alike.
    """

    name: str
    licence: str
    access: str
    geometry: Literal["box", "quad", "polygon"]
    format: str = ""
    splits: dict[str, Split] = field(default_factory=dict)
    draw: dict[str, DrawConfig] = field(default_factory=dict)
    quirks: list[str] = field(default_factory=list)
    dont_care: list[str] = field(default_factory=list)
    margin: tuple[float, float] = (0.0, 0.0)

    def __post_init__(self) -> None:
        if bool(self.splits) == bool(self.draw):
            raise ValueError("expected parts under one of `splits` (read from files) and `draw` (rendered)")
        if any(self.margin) and (self.draw or self.geometry == "polygon"):
            raise ValueError("a margin can be taken off boxes and quads that are read from files only")
        if not all(-0.5 < share < 0.5 for share in self.margin):
            raise ValueError(f"margin is {list(self.margin)}, expected two shares between -0.5 and 0.5")
        if self.draw:
            return
        for name, split in self.splits.items():
            self._check_split(name, split)

    def format_of(self, split: Split) -> str:
        """The annotation format of one of the splits."""
        return split.format or self.format

    def _check_split(self, name: str, split: Split) -> None:
        choices = [*PER_IMAGE, *PER_DATASET]
        chosen = self.format_of(split)
        if chosen not in choices:
            raise ValueError(f"format is {chosen!r}, expected one of {', '.join(choices)}")
        if chosen in PER_IMAGE and (not split.images or "{stem}" not in split.annotations):
            raise ValueError(
                f"splits.{name}: {chosen} keeps one annotation file per image: "
                "expected a pattern under `images` and an `annotations` path that holds {stem}"
            )
        if chosen in PER_IMAGE and (split.folder or split.part):
            raise ValueError(f"splits.{name}: {chosen} keeps one annotation file per image: leave `folder`, `part` out")


def load_card(path: str | os.PathLike) -> Card:
    """Read a card from YAML; an unknown key, a wrong type or a value outside its choices is a ValueError."""
    refuse_other_kinds(path, "a card")
    if not Path(path).exists():
        raise FileNotFoundError(f"{path}: no such card; the ones that come with the project are datasets/*/card.yaml")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Card)
    try:
        card = Card(**vars(parser.instantiate(parser.parse_path(path))))
        # In a context of its own: jsonargparse parses what lies deeper as the last command line was parsed.
        refuse_given(card, Context().run(parser.parse_path, path, defaults=False))
        return card
    except (ArgumentError, ValueError, TypeError) as error:  # null where a number is expected
        raise ValueError(f"{path}: {error}") from error
