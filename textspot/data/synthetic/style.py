"""How a lettering is coloured: against what lies below it, so that it can be read."""

from dataclasses import dataclass

import numpy as np

from textspot.data.synthetic.board import PICTOGRAMS, Board
from textspot.data.synthetic.chance import choose, random_colour

LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
# Of 255, between the luminances of text and ground: how much is asked for. From any grey black or white is 127 away.
MIN_CONTRAST, TYPICAL_CONTRAST, MAX_CONTRAST = 45.0, 100.0, 120.0
CLEAR_SHARE = 0.95  # of the pixels below a text must have the contrast to its colour, else a board goes in between
BOARD_SHARE, LINE_SHARE, BAND_SHARE = 0.08, 0.25, 0.2  # of texts that need no board, and of boards
OUTLINE_SHARE, SHADOW_SHARE, GLOW_SHARE, EMBOSS_SHARE, WORN_SHARE = 0.08, 0.12, 0.06, 0.06, 0.5
FAINTEST = 0.75  # opacity of worn paint
MAX_OUTLINE_WIDTH = 0.12  # capital heights; layouts leave room for it
INKS = np.array(  # what signs are made of: white, black, red, blue, green, yellow, orange, brown, purple, greys
    [
        *([250, 250, 245], [240, 240, 240], [255, 255, 255], [20, 20, 25], [35, 35, 35], [10, 10, 10]),
        *([200, 30, 35], [225, 60, 40], [20, 60, 140], [30, 100, 190], [0, 110, 70], [60, 160, 60]),
        *([245, 205, 40], [255, 230, 90], [240, 130, 30], [110, 65, 35], [100, 40, 120], [120, 120, 120], [75, 85, 95]),
    ],
    np.float32,
)


@dataclass(frozen=True)
class Style:
    """Colours (3,) in [0, 255], lengths in capital heights; None or 0 leaves a layer out.

    `pictogram` is the number of one of `board.PICTOGRAMS`, in the left margin. `texture` says how much of what the
    surface below looks like shows through, `opacity` how much paint is left.
    """

    fill: np.ndarray
    board: Board | None = None
    pictogram: int | None = None
    outline: np.ndarray | None = None
    outline_width: float = 0.0
    shadow: np.ndarray | None = None
    shadow_offset: tuple[float, float] = (0.0, 0.0)
    glow: np.ndarray | None = None
    emboss: float = 0.0
    texture: float = 0.0
    opacity: float = 1.0


def choose_style(rng: np.random.Generator, below: np.ndarray, on_board: bool = False, icon: bool = False) -> Style:
    """A style that is readable on the pixels (..., 3) below the text; on a board if asked for, or if nothing stands out
    from those pixels, and with a pictogram if asked for."""
    contrast = rng.triangular(MIN_CONTRAST, TYPICAL_CONTRAST, MAX_CONTRAST)
    fill, share = contrasting(rng, below, contrast)
    board = None
    if on_board or share < CLEAR_SHARE or rng.random() < BOARD_SHARE:
        board = _choose_board(rng, below)
        fill, _ = contrasting(rng, board.colour, contrast)
    ground = below.reshape(-1, 3).mean(axis=0) if board is None else board.colour
    shares = (OUTLINE_SHARE, SHADOW_SHARE, GLOW_SHARE, EMBOSS_SHARE, WORN_SHARE)
    outlined, shadowed, glows, embossed, worn = rng.random(len(shares)) < shares
    return Style(
        fill,
        board,
        pictogram=int(rng.integers(len(PICTOGRAMS))) if icon else None,
        outline=contrasting(rng, fill, contrast)[0] if outlined else None,
        outline_width=rng.uniform(0.4, 1) * MAX_OUTLINE_WIDTH,
        shadow=fill * np.float32(rng.uniform(0, 0.5)) if shadowed else None,
        shadow_offset=(rng.uniform(-0.12, 0.12), rng.uniform(-0.12, 0.12)),
        glow=np.clip(fill + 60, 0, 255) if glows and fill @ LUMINANCE > ground @ LUMINANCE else None,
        emboss=rng.uniform(0.2, 0.5) if embossed else 0.0,
        texture=rng.uniform(0.2, 1) if board is None else rng.triangular(0, 0, 0.3),
        opacity=rng.uniform(FAINTEST, 1) if worn and board is None else 1.0,
    )


def _choose_board(rng: np.random.Generator, below: np.ndarray) -> Board:
    colour = _board_colour(rng, below)
    lined, banded = rng.random(2) < (LINE_SHARE, BAND_SHARE)
    return Board(
        colour,
        shade=rng.normal(0, 0.08),
        corner=choose(rng, (0.0, 0.0, 0.15, 0.4, 1.0)),
        raised=bool(rng.random() < SHADOW_SHARE),
        trim=contrasting(rng, colour)[0] if lined or banded else None,
        line_width=rng.uniform(0.04, 0.1) if lined else 0.0,
        band=rng.uniform(0.03, 0.1) * choose(rng, (-1, 1)) if banded else 0.0,
    )


def contrasting(
    rng: np.random.Generator, ground: np.ndarray, contrast: float = MIN_CONTRAST
) -> tuple[np.ndarray, float]:
    """A colour (3,) whose luminance stands out by `contrast` from the pixels (..., 3) of a ground, and the share of
    pixels it stands out from.

    Of the colours that are good enough one at random: inks, shades of the ground, any colour; else black or white.
    """
    shades = np.clip(ground.reshape(-1, 3).mean(axis=0) * rng.uniform(0.2, 2.5, (3, 1)), 0, 255)
    pool = np.concatenate([rng.permutation(INKS)[:8], shades, rng.uniform(0, 255, (1, 3))])
    black_and_white = np.array([[0, 0, 0], [255, 255, 255]])
    candidates = np.concatenate([rng.permutation(pool), rng.permutation(black_and_white)]).astype(np.float32)
    lighter = candidates @ LUMINANCE - (ground.reshape(-1, 3) @ LUMINANCE)[:, None]
    # Lighter than some pixels and darker than others would be camouflage: one of the two must prevail.
    shares = np.maximum((lighter >= contrast).mean(axis=0), (lighter <= -contrast).mean(axis=0))
    best = int(np.argmax(np.minimum(shares, CLEAR_SHARE)))  # the first one that is good enough
    return candidates[best], float(shares[best])


def _board_colour(rng: np.random.Generator, below: np.ndarray) -> np.ndarray:
    """The colour of a board: an ink, lighter or darker, a shade of what is around, or any."""
    kind, around = rng.random(), below.reshape(-1, 3).mean(axis=0)
    if kind < 0.7:
        colour = INKS[rng.integers(len(INKS))] * rng.uniform(0.7, 1.1) + rng.normal(0, 8, 3)
    elif kind < 0.93:
        colour = around * rng.uniform(0.5, 1.6)
    else:
        colour = random_colour(rng)
    return np.clip(colour, 0, 255).astype(np.float32)
