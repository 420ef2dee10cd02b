"""Random words in random places: what the images of a spotter are to show. Legend: K words of an image."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from textspot.geometry import box_to_quad, polygon_to_box, quad_to_ribbon
from textspot.text.ctc import min_time_steps

ATTEMPTS = 30  # at a place for a word, before the image is full
CHARACTER_WIDTH = (0.45, 0.75)  # of a character, as a share of its height


@dataclass(frozen=True)
class LayoutConfig:
    """Random words in random places; all ours.

    Args:
        words: smallest and largest number of words of an image; an image with less room gets fewer.
        length: smallest and largest number of characters of a word.
        height: least and greatest height of a word in pixels: those the spotter was trained on; small ones are
            more frequent.
        rotation: greatest rotation, in radians.
    """

    words: tuple[int, int] = (2, 8)
    length: tuple[int, int] = (2, 8)
    height: tuple[float, float] = (14.0, 48.0)
    rotation: float = 0.2

    def __post_init__(self) -> None:
        for name in ("words", "length", "height"):
            low, high = getattr(self, name)
            if not 1 <= low <= high:
                raise ValueError(f"layout.{name} is {low} to {high}, expected 1 or more, the smaller number first")


@dataclass(frozen=True)
class Layout:
    """The words of one image: ribbons (K, 2, 4, 2) px, their tokens, and their angles (K,) in radians."""

    ribbons: np.ndarray
    tokens: list[list[int]]
    angles: np.ndarray


def draw_layout(
    size: tuple[int, int],
    num_classes: int,
    count_time_steps: Callable[[np.ndarray], int],
    config: LayoutConfig,
    rng: np.random.Generator,
) -> Layout:
    """Words in an image of `size` (height, width) that do not touch, of characters drawn evenly from classes
    1..C-1; none has more than its region can be read in. An image too small for any word is a `ValueError`."""
    height, width = size
    ribbons: list[np.ndarray] = []
    tokens: list[list[int]] = []
    angles: list[float] = []
    boxes: list[np.ndarray] = []
    wanted, attempts = rng.integers(config.words[0], config.words[1] + 1), 0
    while len(ribbons) < wanted and attempts < ATTEMPTS:
        attempts += 1
        word = rng.integers(1, num_classes, rng.integers(config.length[0], config.length[1] + 1)).tolist()
        tall = math.exp(rng.uniform(*np.log(config.height)))
        wide, angle = len(word) * tall * rng.uniform(*CHARACTER_WIDTH), rng.uniform(-1, 1) * config.rotation
        turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
        corners = box_to_quad(np.array([-wide / 2, -tall / 2, wide / 2, tall / 2])) @ turn
        reach = np.abs(corners).max(axis=0)
        if (2 * reach >= (width, height)).any():
            continue
        quad = corners + rng.uniform(reach, np.array([width, height]) - reach)
        ribbon, box = quad_to_ribbon(quad.astype(np.float32)), polygon_to_box(quad)
        if any(_touch(box, other) for other in boxes) or min_time_steps(word) > count_time_steps(ribbon):
            continue
        attempts = 0
        ribbons.append(ribbon)
        tokens.append(word)
        angles.append(angle)
        boxes.append(box)
    if not ribbons:
        raise ValueError(
            f"no word of {config.length[0]} to {config.length[1]} characters, {config.height[0]} to {config.height[1]} "
            f"pixels high, finds room in an image of {height} x {width} or can be read there: make the image larger or "
            "layout.length and layout.height smaller"
        )
    return Layout(np.stack(ribbons), tokens, np.array(angles))


def _touch(box: np.ndarray, other: np.ndarray) -> bool:
    return bool((box[:2] < other[2:]).all() and (other[:2] < box[2:]).all())
