"""What stands in front of the text: poles, wires, leaves."""

import cv2
import numpy as np

from textspot.data.synthetic.chance import choose, log_uniform

MOST_COVERED = 0.2  # of a word's area: more than this cannot be read


def occlude(rng: np.random.Generator, canvas: np.ndarray) -> np.ndarray:
    """Draw one to three things in front of the scene (H, W, 3) uint8 RGB, in place; what they cover, (H, W) of 0
    and 1."""
    covered = np.zeros(canvas.shape[:2], np.uint8)
    for _ in range(rng.integers(1, 4)):
        mask = choose(rng, (_draw_bar, _draw_bar, _draw_leaf))(rng, *canvas.shape[:2])
        colour = rng.uniform(10, 200) + rng.normal(0, 15, 3)
        shading = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), 3)[..., None]  # round: darker towards the edges
        coloured = np.clip(colour * (0.5 + 0.5 * shading), 0, 255).astype(np.uint8)
        np.copyto(canvas, coloured, where=mask[..., None] > 0)
        covered |= mask
    return covered


def covered_shares(covered: np.ndarray, polygons: list[np.ndarray]) -> np.ndarray:
    """The share (N,) of each polygon (K, 2) that is covered."""
    shares = np.zeros(len(polygons))
    for number, polygon in enumerate(polygons):
        left, top = np.clip(np.floor(polygon.min(axis=0)).astype(int), 0, None)
        right, bottom = np.ceil(polygon.max(axis=0)).astype(int)
        window = covered[top:bottom, left:right]
        inside = np.zeros_like(window)
        cv2.fillPoly(inside, [np.rint(polygon - (left, top)).astype(np.int32)], 1)
        shares[number] = (window & inside).sum() / max(1, int(inside.sum()))
    return shares


def _draw_bar(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A pole, a wire or the edge of something, across the image."""
    mask = np.zeros((height, width), np.uint8)
    angle = choose(rng, (0, np.pi / 2, np.pi / 2)) + rng.normal(0, 0.2)
    centre, reach = rng.uniform(0, 1, 2) * (width, height), height + width
    step = reach * np.array([np.cos(angle), np.sin(angle)])
    start, end = np.rint(centre - step).astype(int).tolist(), np.rint(centre + step).astype(int).tolist()
    cv2.line(mask, start, end, 1, int(log_uniform(rng, 1, max(2, 0.06 * min(height, width)))))
    return mask


def _draw_leaf(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    size = log_uniform(rng, 3, max(4, 0.12 * min(height, width)))
    centre = int(rng.integers(width)), int(rng.integers(height))
    cv2.ellipse(mask, centre, (int(size), int(size * rng.uniform(0.3, 1))), float(rng.uniform(0, 180)), 0, 360, 1, -1)
    return mask
