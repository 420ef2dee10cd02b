"""The card of a data set: what it is, who may use it, and where its files lie."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentError, ArgumentParser

from textspot.data.formats import PER_DATASET, PER_IMAGE
from textspot.data.synthetic.draw import DrawConfig


@dataclass(frozen=True)
class Counts:
    """What a complete split holds.

    Args:
        images: number of images.
        instances: number of annotated instances, ignored ones included.
        ignored: how many of them are marked as to be ignored.
    """

    images: int
    instances: int
    ignored: int

    def __str__(self) -> str:
        return f"{self.images} images, {self.instances} instances, {self.ignored} ignored"


@dataclass(frozen=True)
class Split:
    """Where the files of one split lie, below the source folder.

    Args:
        annotations: the annotation file; in a format with one file per image, `{stem}` in it stands for the name of the
            image without suffix: `train_gts/gt_{stem}.txt`.
        images: pattern of the images, `train_images/img_*.jpg` or, for every tenth one, `train_images/img_*0.jpg`; only
            in a format with one annotation file per image, the others name their images.
        optional: whether the split is left out, with a notice, when none of its files is there.
        counts: what a complete split holds; other numbers give a warning.
    """

    annotations: str
    images: str = ""
    optional: bool = False
    counts: Counts | None = None


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
        draw: instead of format and splits, the parts of a data set that is drawn, not read from files.
        quirks: what surprises in its files.
    """

    name: str
    licence: str
    access: str
    geometry: Literal["box", "quad", "polygon"]
    format: str = ""
    splits: dict[str, Split] = field(default_factory=dict)
    draw: dict[str, DrawConfig] = field(default_factory=dict)
    quirks: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if bool(self.splits) == bool(self.draw):
            raise ValueError("expected parts under one of `splits` (read from files) and `draw` (drawn)")
        if self.draw:
            return
        choices = [*PER_IMAGE, *PER_DATASET]
        if self.format not in choices:
            raise ValueError(f"format is {self.format!r}, expected one of {', '.join(choices)}")
        for name, split in self.splits.items():
            if self.format in PER_IMAGE and (not split.images or "{stem}" not in split.annotations):
                raise ValueError(
                    f"splits.{name}: {self.format} keeps one annotation file per image: "
                    "expected a pattern under `images` and an `annotations` path that holds {stem}"
                )
            if self.format in PER_DATASET and split.images:
                raise ValueError(f"splits.{name}: a {self.format} file names its images: leave `images` out")


def load_card(path: str | os.PathLike) -> Card:
    """Read a card from YAML; an unknown key, a wrong type or a value outside its choices is a ValueError."""
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such card; the ones that come with the project are datasets/*/card.yaml")
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Card)
    try:
        return Card(**vars(parser.instantiate(parser.parse_path(path))))
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error
