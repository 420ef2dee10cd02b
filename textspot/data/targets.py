"""What the detection heads learn, drawn from outlines. Legend: N instances, h w map, u v ribbon coordinates."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from textspot.batch import BoxTargets, RibbonTargets, Targets
from textspot.geometry import (
    box_to_quad,
    polygon_to_box,
    polygon_to_ribbon,
    quad_to_ribbon,
    ribbon_points,
    ribbon_sizes,
)

STRIDE = 4  # pixels per cell: the finest map of the neck
OFFSET_UNIT = 16.0  # pixels: brings the offsets of ordinary words to the order of 1
HILL_WIDTH = 0.2  # of the ribbon's extent: the hill is 0.04 in the middle of a side, so neighbours stay apart
GEOMETRY_CORE = 0.3  # cells on the hill above this value learn the geometry


def draw_targets(ribbons: Sequence[np.ndarray], ignore: np.ndarray, size: tuple[int, int]) -> RibbonTargets[np.ndarray]:
    """Score, mask and geometry of an image of `size` (height, width) in pixels; both divisible by the stride.

    Each word is a hill that is 1 in the cell of its centre point and falls with the distance from it in ribbon
    coordinates: falling from the centre line instead would be a ridge full of ties. Where hills overlap the higher one
    owns the cell. The cells of ignored words count neither way, except where a word that counts has its core. The
    weight of the geometry is the hill divided by the word's height, so that an error is felt relative to the size of
    the characters.
    """
    h, w = size[0] // STRIDE, size[1] // STRIDE
    score = np.zeros((h, w), dtype=np.float32)
    mask = np.ones((h, w), dtype=np.float32)
    owner = np.zeros((h, w), dtype=np.intp)
    sizes = ribbon_sizes(np.array(ribbons))
    for number, (ribbon, extent, is_ignored) in enumerate(zip(ribbons, sizes, ignore, strict=True)):
        row, column, hill = _cover(ribbon, extent, h, w)
        if is_ignored:
            mask[row, column] = 0
            continue
        higher = hill > score[row, column]
        row, column = row[higher], column[higher]
        score[row, column], owner[row, column] = hill[higher], number
    row, column = np.nonzero(score > GEOMETRY_CORE)
    mask[row, column] = 1
    owners = owner[row, column]
    centres = np.stack([column + 0.5, row + 0.5], axis=1) * STRIDE
    control_points = np.reshape(ribbons, (-1, 8, 2))[owners]
    heights = np.maximum(sizes[:, 0], STRIDE)[owners]
    return RibbonTargets(
        score,
        mask,
        cells=row * w + column,
        offsets=((control_points - centres[:, None]) / OFFSET_UNIT).reshape(-1, 16).astype(np.float32),
        weights=(score[row, column] * OFFSET_UNIT / heights).astype(np.float32),
    )


def draw_nothing(size: tuple[int, int]) -> RibbonTargets[np.ndarray]:
    """Targets of an image of `size` (height, width) in pixels of which nothing counts."""
    score = np.zeros((size[0] // STRIDE, size[1] // STRIDE), dtype=np.float32)
    no_cell = np.zeros(0, dtype=np.float32)
    return RibbonTargets(score, score, np.zeros(0, dtype=np.int64), no_cell.reshape(0, 16), no_cell)


def _cover(ribbon: np.ndarray, size: np.ndarray, h: int, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells (row, column) a ribbon of `size` (height, width) covers and the hill's height there, by sampling it at
    twice the cells' density."""
    height, width = size
    u = np.linspace(0, 1, 2 * int(width / STRIDE) + 3)
    v = np.linspace(0, 1, 2 * int(height / STRIDE) + 3)
    cells = np.floor(ribbon_points(ribbon, u, v) / STRIDE).astype(np.int64)
    hill = np.exp(-0.5 * ((u[None] - 0.5) ** 2 + (v[:, None] - 0.5) ** 2) / HILL_WIDTH**2)
    inside = (cells >= 0).all(axis=2) & (cells[..., 0] < w) & (cells[..., 1] < h)
    flat = cells[..., 1][inside] * w + cells[..., 0][inside]
    covered, position = np.unique(flat, return_inverse=True)
    height_there = np.zeros(len(covered), dtype=np.float32)
    np.maximum.at(height_there, position, hill[inside].astype(np.float32))
    return covered // w, covered % w, height_there


def draw_box_targets(
    ribbons: Sequence[np.ndarray], ignore: np.ndarray, size: tuple[int, int]
) -> BoxTargets[np.ndarray]:
    """The boxes around the ribbons, as far as they lie in the image of `size` (height, width) in pixels.

    Without ribbons there is one box, of no size and of kind 0; so has what lies outside the image.
    """
    boxes = np.zeros((max(1, len(ribbons)), 4), dtype=np.float32)
    kind = np.zeros(len(boxes), dtype=np.int64)
    for row, (ribbon, is_ignored) in enumerate(zip(ribbons, ignore, strict=True)):
        boxes[row] = polygon_to_box(ribbon.reshape(-1, 2)).clip(0, [*size[::-1], *size[::-1]])
        extent = boxes[row, 2:] - boxes[row, :2]
        kind[row] = 0 if extent.min() <= 0 else -1 if is_ignored else 1
    return BoxTargets(boxes, kind)


def draw_no_boxes(size: tuple[int, int]) -> BoxTargets[np.ndarray]:
    """Targets of an image of `size` (height, width) in pixels of which nothing counts: an ignored box that reaches far
    over the image, as anchors do."""
    height, width = size
    return BoxTargets(np.array([[-width, -height, 2 * width, 2 * height]], dtype=np.float32), np.array([-1]))


@dataclass(frozen=True)
class Labeler:
    """What an annotation means to a detector: `outline` makes of a polygon the ribbon that is found and read, `draw`
    of all ribbons, their ignore flags and the image's size what the detector learns, `draw_nothing` of the size what
    it learns nothing from."""

    outline: Callable[[np.ndarray], np.ndarray]
    draw: Callable[[Sequence[np.ndarray], np.ndarray, tuple[int, int]], Targets]
    draw_nothing: Callable[[tuple[int, int]], Targets]


def _fit_ribbon(polygon: np.ndarray) -> np.ndarray:
    return polygon_to_ribbon(polygon)[0]


def _fit_box(polygon: np.ndarray) -> np.ndarray:
    return quad_to_ribbon(box_to_quad(polygon_to_box(polygon)))


LABELERS = {
    "ribbon": Labeler(_fit_ribbon, draw_targets, draw_nothing),
    "rfcn": Labeler(_fit_box, draw_box_targets, draw_no_boxes),
}
