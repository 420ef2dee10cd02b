"""What stands together in one place: a word, a line, a sign, a poster, a paragraph, a shop front, a plate."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from textspot.data.synthetic.chance import choose, log_uniform
from textspot.data.synthetic.lettering import Lettering, draw_lettering
from textspot.data.synthetic.scribe import Scribe

BARE = (0.2, 0.2, 0.2, 0.2)  # margins of text without a board, in capital heights: a plate may still go below it
NARROWEST_MARGIN, WIDEST_MARGIN = 0.25, 2.5  # of a board
ICON_MARGIN = 1.7  # at the left of a board with an icon
LARGEST_BEND = 0.9  # radians from the middle of a line to its end

Lines = tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Composition:
    """`lines`: the number of words of each line and the height of its capitals, relative to the largest. `board` says
    that they stand on a board of their own, `icon` that a pictogram is at its left; `alignment` and `bend` are those of
    `draw_lettering`, `margins` (left, top, right, bottom) are in heights of the lowest capitals."""

    lines: Lines
    board: bool = False
    icon: bool = False
    alignment: float = 0.0
    margins: tuple[float, float, float, float] = BARE
    bend: float = 0.0

    def write(self, rng: np.random.Generator, scribe: Scribe, capital: float, lowest: float) -> Lettering | None:
        """The composition with its largest capitals `capital` and none below `lowest` pixels high; None where the
        scribe finds no words."""
        picked = scribe.pick(rng, [(count, max(scale * capital, lowest)) for count, scale in self.lines])
        if picked is None:
            return None
        return draw_lettering(picked, rng.uniform(1.55, 2.3), self.alignment, self.margins, self.bend)


WORD = Composition(((1, 1.0),))


def compose(rng: np.random.Generator, most_words: int) -> Composition:
    """One of the kinds, with at most `most_words` words (1 and up)."""
    whole = choose(rng, KINDS)(rng)
    lines, left = [], most_words
    for count, scale in whole.lines:
        if left > 0:
            lines.append((min(count, left), scale))
            left -= count
    return replace(whole, lines=tuple(lines))


def _word(_: np.random.Generator) -> Composition:
    return WORD


def _line(rng: np.random.Generator) -> Composition:
    return Composition(((int(rng.integers(2, 5)), 1.0),))


def _block(rng: np.random.Generator) -> Composition:
    lines = tuple((int(rng.integers(1, 4)), 1.0) for _ in range(rng.integers(2, 4)))
    return Composition(lines, alignment=_alignment(rng))


def _paragraph(rng: np.random.Generator) -> Composition:
    lines = tuple((int(rng.integers(2, 6)), 0.5) for _ in range(rng.integers(3, 8)))
    return Composition(lines, rng.random() < 0.5, False, _alignment(rng), _margins(rng, False))


def _sign(rng: np.random.Generator) -> Composition:
    icon = bool(rng.random() < 0.35)
    lines = tuple((int(rng.integers(1, 4)), 1.0) for _ in range(rng.integers(1, 5)))
    return Composition(lines, True, icon, _alignment(rng), _margins(rng, icon))


def _poster(rng: np.random.Generator) -> Composition:
    """A headline, and lines below (or above) it that are lower."""
    low = rng.uniform(0.3, 0.6)
    headline = [(int(rng.integers(1, 4)), 1.0) for _ in range(rng.integers(1, 3))]
    rest = [(int(rng.integers(1, 6)), low) for _ in range(rng.integers(1, 5))]
    lines = rest[:1] + headline + rest[1:] if rng.random() < 0.3 else headline + rest
    return Composition(tuple(lines), rng.random() < 0.8, False, _alignment(rng), _margins(rng, False))


def _front(rng: np.random.Generator) -> Composition:
    """The name of a shop: large, on a wide strip, bent sometimes."""
    return Composition(
        ((int(rng.integers(1, 3)), 1.0),),
        rng.random() < 0.6,
        False,
        0.5,
        (rng.uniform(0.4, 3), rng.uniform(0.3, 1), rng.uniform(0.4, 3), rng.uniform(0.3, 1)),
        _bend(rng) if rng.random() < 0.3 else 0.0,
    )


def _badge(rng: np.random.Generator) -> Composition:
    """Words along an arc."""
    return Composition(((int(rng.integers(1, 4)), 1.0),), bend=_bend(rng))


KINDS: tuple[Callable[[np.random.Generator], Composition], ...] = (
    *(_word, _word, _word, _word, _line, _line, _block, _sign, _sign, _sign),
    *(_poster, _poster, _paragraph, _front, _front, _badge),
)


def _alignment(rng: np.random.Generator) -> float:
    return choose(rng, (0.0, 0.0, 0.5, 0.5, 1.0))


def _bend(rng: np.random.Generator) -> float:
    return float(choose(rng, (1, 1, -1)) * rng.uniform(0.15, LARGEST_BEND))


def _margins(rng: np.random.Generator, icon: bool) -> tuple[float, float, float, float]:
    left, top, right, bottom = (log_uniform(rng, NARROWEST_MARGIN, WIDEST_MARGIN) for _ in range(4))
    return (ICON_MARGIN if icon else left), top, right, bottom
