"""What the network sees of an image: at one size or at several, in tiles if it is very large, turned if asked; and how
what was found in all of that becomes one reading."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

import numpy as np

from textspot.inference.tiling import Tile, cut_tiles, merge_tiles
from textspot.postprocess import suppress
from textspot.preprocess import PreprocessConfig, preprocess
from textspot.structures import TextInstance

QualityName = Literal["fast", "default", "best"]
QUALITIES: dict[QualityName, tuple[float, ...]] = {"fast": (0.75,), "default": (1.0,), "best": (1.0, 1.5)}
ALL_TURNS = (0, 1, 2, 3)
PARTIAL, COMPLETE = "lexicon", "complete lexicon"  # kinds of lexicon that a threshold may be chosen for


@dataclass(frozen=True)
class Looks:
    """How an image is looked at.

    Args:
        quality: size of the network's input, as a share of `preprocess.max_side`: `fast` takes 0.75, `default` 1;
            `best` takes 1 and 1.5, merges what it reads, and for the latter enlarges smaller images up to 1.5 times.
        turns: quarter turns, counterclockwise, after which the image is read too; 0 is upright.
        tiling: cut an image into tiles if it would be shrunk to less than half.
    """

    quality: QualityName = "default"
    turns: tuple[int, ...] = (0,)
    tiling: bool = True

    def __post_init__(self) -> None:
        if self.quality not in QUALITIES:
            raise ValueError(f"quality is {self.quality!r}, expected one of {', '.join(QUALITIES)}")
        if not self.turns or not set(self.turns) <= set(ALL_TURNS):
            raise ValueError(f"turns are {self.turns}, expected some of 0, 1, 2 and 3")


@dataclass(frozen=True)
class View:
    """A copy of an image, or a tile of one, as the network sees it.

    Args:
        pixels: network's input (H', W', 3) uint8.
        scale: input pixels per pixel of the copy (x, y).
        tile: part of the copy.
        turn: quarter turns, counterclockwise, from the image to the copy.
        share: size of the input, as a share of `preprocess.max_side`.
    """

    pixels: np.ndarray
    scale: np.ndarray
    tile: Tile
    turn: int = 0
    share: float = 1.0


def look_at(image: np.ndarray, config: PreprocessConfig, looks: Looks) -> list[View]:
    """The views of an RGB image (H, W, 3) uint8."""
    views = []
    for turn in looks.turns:
        copy = np.ascontiguousarray(np.rot90(image, turn))
        for share in QUALITIES[looks.quality]:
            sized = replace(config, max_side=round(config.max_side * share))
            whole = Tile(0, 0, copy.shape[1], copy.shape[0])
            tiles = cut_tiles(copy.shape[:2], sized.max_side) if looks.tiling else [whole]
            views += [View(*preprocess(tile.of(copy), sized, max(1.0, share)), tile, turn, share) for tile in tiles]
    return views


def merge_views(found: Sequence[tuple[View, list[TextInstance]]], max_overlap: float) -> list[TextInstance]:
    """One reading, best score first, in pixels of the image, of what was found in each of its views, in pixels of the
    view's copy. Of two that overlap, in whichever views, the one with the higher score stays."""
    groups = [list(group) for _, group in groupby(found, key=lambda pair: (pair[0].turn, pair[0].share))]
    merged = [_merge_copy(group, max_overlap) for group in groups]
    return merged[0] if len(merged) == 1 else suppress([one for instances in merged for one in instances], max_overlap)


def _merge_copy(found: list[tuple[View, list[TextInstance]]], max_overlap: float) -> list[TextInstance]:
    """What was found in the tiles of one copy, in pixels of the image."""
    instances = found[0][1]
    if len(found) > 1:
        instances = merge_tiles([(view.tile, of_tile) for view, of_tile in found], max_overlap)
    turn, size = found[0][0].turn, size_of_copy([view for view, _ in found])
    return [replace(one, polygon=turn_back(one.polygon, turn, size)) for one in instances] if turn else instances


def size_of_copy(views: Sequence[View]) -> tuple[int, int]:
    """(height, width) of the copy of which these are all views."""
    return max(view.tile.bottom for view in views), max(view.tile.right for view in views)


def views_of_first_copy(views: Sequence[View]) -> list[View]:
    """Those of an image's views that show the first of its copies."""
    return [view for view in views if (view.turn, view.share) == (views[0].turn, views[0].share)]


def size_of_image(views: Sequence[View]) -> tuple[int, int]:
    """(height, width) of the image of which these are all views."""
    height, width = size_of_copy(views_of_first_copy(views))
    return (width, height) if views[0].turn % 2 else (height, width)


def turn_back(points: np.ndarray, turn: int, size: tuple[int, int]) -> np.ndarray:
    """Points (K, 2) of a copy of `size` (height, width) in pixels of the image, of which it was made by quarter turns
    counterclockwise."""
    for _ in range(turn):
        x, y = points[:, 0], points[:, 1]
        points = np.stack([size[0] - y, x], axis=1)
        size = size[1], size[0]
    return points
