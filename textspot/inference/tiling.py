"""Very large images, read piece by piece: where the pieces lie, and how what is in them becomes one reading."""

import math
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

from textspot.postprocess import suppress
from textspot.structures import TextInstance

LEAST_SCALE = 0.5  # an image that would be shrunk further is cut: its small words would be lost
OVERLAP = 0.25  # of a tile's side: words up to this length, less their height, are whole in one tile
CLEARANCE = 0.5  # of its height: a word that ends nearer to a cut may go on behind it


class Tile(NamedTuple):
    """A rectangle of an image, in its pixels, `right` and `bottom` exclusive."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.bottom - self.top, self.right - self.left

    def of(self, image: np.ndarray) -> np.ndarray:
        """That part of an image (H, W, ...)."""
        return image[self.top : self.bottom, self.left : self.right]


def cut_tiles(size: tuple[int, int], side: int) -> list[Tile]:
    """The pieces in which an image of `size` (height, width) is read when the network takes `side` pixels: the image
    alone, or if it would be shrunk to less than `LEAST_SCALE`, overlapping tiles of that side and at last the image
    again, whose words may be too long for a tile."""
    height, width = size
    whole = Tile(0, 0, width, height)
    if max(size) * LEAST_SCALE <= side:
        return [whole]
    tops, lefts = _starts(height, side), _starts(width, side)
    tiles = [Tile(x, y, min(x + side, width), min(y + side, height)) for y, x in product(tops, lefts)]
    return [*tiles, whole]


def _starts(length: int, side: int) -> list[int]:
    """Where tiles begin along one side of the image: evenly spaced, the last one at its end."""
    if length <= side:
        return [0]
    step = round(side * (1 - OVERLAP))
    num_steps = -(-(length - side) // step)
    return [round(start) for start in np.linspace(0, length - side, num_steps + 1)]


def merge_tiles(found: Sequence[tuple[Tile, list[TextInstance]]], max_overlap: float) -> list[TextInstance]:
    """One reading, best score first, of what was found in each of the tiles of `cut_tiles`, in pixels of the image.

    A word across a cut is taken from a tile that shows it whole. The reading of the whole image counts for words that
    are too long for that.
    """
    *parts, (image, of_image) = sorted(found, key=lambda pair: math.prod(pair[0].size))
    longest = OVERLAP * max(max(tile.size) for tile, _ in parts)
    kept = [one for tile, instances in parts for one in instances if not _is_cut(one.polygon, tile, image)]
    kept += [one for one in of_image if _length(one.polygon) + 2 * CLEARANCE * _height(one.polygon) > longest]
    return suppress(kept, max_overlap)


def _is_cut(polygon: np.ndarray, tile: Tile, image: Tile) -> bool:
    """Whether the polygon comes so near to a border of the tile inside the image that it may go on behind it."""
    clearance = CLEARANCE * _height(polygon)
    (left, top), (right, bottom) = polygon.min(axis=0), polygon.max(axis=0)
    return bool(
        (tile.left > image.left and left - tile.left < clearance)
        or (tile.top > image.top and top - tile.top < clearance)
        or (tile.right < image.right and tile.right - right < clearance)
        or (tile.bottom < image.bottom and tile.bottom - bottom < clearance)
    )


def _length(polygon: np.ndarray) -> float:
    """The longer one of the polygon's edges in reading direction."""
    upper, lower = np.split(polygon, 2)
    return max(float(np.linalg.norm(np.diff(edge, axis=0), axis=1).sum()) for edge in (upper, lower))


def _height(polygon: np.ndarray) -> float:
    """The mean distance of the edges' ends."""
    upper, lower = np.split(polygon, 2)
    return float(np.linalg.norm(upper - lower[::-1], axis=1).mean())
