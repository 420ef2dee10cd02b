"""How a lettering is coloured: against what lies below it, so that it can be read."""

from dataclasses import dataclass

import numpy as np

from textspot.data.synthetic.chance import random_colour

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
MIN_CONTRAST = 70.0  # of 255, between the luminances of text and ground: what a human reads even when it is small
CLEAR_SHARE = 0.95  # of the pixels below a text must have that contrast to its colour, else a plate goes in between
PLATE_SHARE, OUTLINE_SHARE, SHADOW_SHARE = 0.15, 0.12, 0.15
MAX_PLATE_PADDING, MAX_OUTLINE_WIDTH = 0.22, 0.12  # capital heights; layouts leave room for them


@dataclass(frozen=True)
class Style:
    """Colours (3,) in [0, 255], lengths in capital heights; None leaves a layer out."""

    fill: np.ndarray
    plate: np.ndarray | None = None
    plate_padding: float = 0.0
    outline: np.ndarray | None = None
    outline_width: float = 0.0
    shadow: np.ndarray | None = None
    shadow_offset: tuple[float, float] = (0.0, 0.0)


def choose_style(rng: np.random.Generator, below: np.ndarray) -> Style:
    """A style that is readable on the pixels (..., 3) below the text."""
    fill, share = contrasting(rng, below)
    plate = None
    if share < CLEAR_SHARE or rng.random() < PLATE_SHARE:
        plate = random_colour(rng)
        fill, _ = contrasting(rng, plate)
    outline, _ = contrasting(rng, fill)
    outlined, shadowed = rng.random() < OUTLINE_SHARE, rng.random() < SHADOW_SHARE
    return Style(
        fill,
        plate,
        plate_padding=rng.uniform(0.5, 1) * MAX_PLATE_PADDING,
        outline=outline if outlined else None,
        outline_width=rng.uniform(0.5, 1) * MAX_OUTLINE_WIDTH,
        shadow=fill * np.float32(rng.uniform(0, 0.5)) if shadowed else None,
        shadow_offset=(rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)),
    )


def contrasting(rng: np.random.Generator, ground: np.ndarray) -> tuple[np.ndarray, float]:
    """A colour (3,) that stands out from the pixels (..., 3) of a ground, and the share of pixels it stands out from.

    Random if one of a few is good enough, else the better of black and white.
    """
    black_and_white = rng.permutation(np.array([[0, 0, 0], [255, 255, 255]], np.float32))
    candidates = np.concatenate([rng.uniform(0, 255, (8, 3)).astype(np.float32), black_and_white])
    lighter = candidates @ LUMINANCE - (ground.reshape(-1, 3) @ LUMINANCE)[:, None]
    # Lighter than some pixels and darker than others would be camouflage: one of the two must prevail.
    shares = np.maximum((lighter >= MIN_CONTRAST).mean(axis=0), (lighter <= -MIN_CONTRAST).mean(axis=0))
    best = int(np.argmax(np.minimum(shares, CLEAR_SHARE)))  # the first one that is good enough
    return candidates[best], float(shares[best])
