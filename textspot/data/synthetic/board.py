"""What text stands on when it does not stand on the surface itself: plates, signs, posters, and pictograms on them."""

from dataclasses import dataclass

import cv2
import numpy as np

from textspot.data.synthetic.layers import Layers, moved

PICTOGRAMS = (  # polygons in a unit square: arrows to the right and up, a triangle, a house
    ((0, 0.35), (0.55, 0.35), (0.55, 0.1), (1, 0.5), (0.55, 0.9), (0.55, 0.65), (0, 0.65)),
    ((0.35, 1), (0.35, 0.45), (0.1, 0.45), (0.5, 0), (0.9, 0.45), (0.65, 0.45), (0.65, 1)),
    ((0, 1), (0.5, 0), (1, 1)),
    ((0.1, 1), (0.1, 0.5), (0, 0.5), (0.5, 0), (1, 0.5), (0.9, 0.5), (0.9, 1)),
)
CAST_SHADOW = 0.6  # opacity


@dataclass(frozen=True)
class Board:
    """Colours (3,) in [0, 255]. `shade` is how much lighter it is at its left end than in its middle, as a share;
    `corner` the radius of its corners as a share of half its smaller side; `raised` says that it casts a shadow.

    `trim` is the colour of a line around it, `line_width` capital heights wide, and of a `band` along its top, or if
    negative along its bottom, as a share of its height.
    """

    colour: np.ndarray
    shade: float = 0.0
    corner: float = 0.0
    raised: bool = False
    trim: np.ndarray | None = None
    line_width: float = 0.0
    band: float = 0.0


def cover_with_board(layers: Layers, frame: np.ndarray, board: Board, capital: float) -> None:
    """Lay a board over the box `xyxy` of a frame; `capital` is the height of a capital in pixels of the patch."""
    whole = _rounded(frame, board.corner, layers.shape)
    if board.raised:
        shadow = cv2.GaussianBlur(moved(whole, 2, 3), (0, 0), max(1.0, 0.1 * capital))
        layers.cover(np.zeros(3), CAST_SHADOW * shadow)
    layers.cover(board.colour, whole)
    layers.light(board.shade * np.linspace(1, -1, layers.shape[1], dtype=np.float32))
    if board.trim is None:
        return
    left, top, right, bottom = frame
    edge = board.band * (bottom - top)
    part = (left, top, right, top + edge) if edge > 0 else (left, bottom + edge, right, bottom)
    layers.cover(board.trim, whole * _rounded(np.array(part), 0, layers.shape))
    inset = board.line_width * capital
    inner = _rounded(frame + inset * np.array([1, 1, -1, -1]), board.corner, layers.shape)
    layers.cover(board.trim, np.clip(whole - inner, 0, 1))


def draw_pictogram(number: int, frame: np.ndarray, margin: float, shape: tuple[int, int]) -> np.ndarray:
    """Pictogram `number` in the left `margin` of a frame `xyxy`, as coverage (h, w) in [0, 1] of a patch."""
    left, top, _, bottom = frame
    side = 0.6 * min(margin, bottom - top)
    corner = np.array([left + (margin - side) / 2, (top + bottom - side) / 2])
    mask = np.zeros(shape, np.uint8)
    cv2.fillPoly(mask, [np.rint(corner + side * np.array(PICTOGRAMS[number])).astype(np.int32)], 255, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


def _rounded(box: np.ndarray, corner: float, shape: tuple[int, int]) -> np.ndarray:
    """A box `xyxy` with round corners, as coverage in [0, 1]."""
    left, top, right, bottom = box
    radius = corner * min(right - left, bottom - top) / 2
    x = np.abs(np.arange(shape[1]) + 0.5 - (left + right) / 2) - (right - left) / 2 + radius
    y = np.abs(np.arange(shape[0]) + 0.5 - (top + bottom) / 2) - (bottom - top) / 2 + radius
    if radius < 1:
        return np.outer(np.clip(0.5 - y, 0, 1), np.clip(0.5 - x, 0, 1)).astype(np.float32)
    distance = np.hypot(np.maximum(x, 0)[None], np.maximum(y, 0)[:, None])
    return np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32)
