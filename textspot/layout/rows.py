"""Words to rows: first over the spaces between words, then over the wide gaps of a table or a price list.

A wide gap may be the space between two columns of running text, which no row crosses. The two differ in company: beside
cells of a table, one or both sides are short; lines of running text are long on both sides of a gap that goes on from
line to line.
"""

from dataclasses import dataclass
from itertools import chain as flatten

import numpy as np

from textspot.layout.chains import Links, Reach, chain, find_links, gather, match, nearest
from textspot.layout.strips import Strips, across, rows_to_strips

# Numbers in heights of a word, which is about 0.8 of the size of its type.
WORDS = Reach(gaps=(-0.6, 1.6), overlap=0.4, turn=40, growth=3.0)
CELLS = Reach(gaps=(-0.6, 60.0), overlap=0.5, turn=10, growth=2.0)
FEWEST_SPACES = 5  # on fewer, the usual space between words of an image is not known
NARROWEST_LIMIT = 0.8
SHORT_CELL = 6.0  # a price, a number, a word or two; lines of running text are longer
NEAR_CELL = 8.0  # the widest gap beside a short cell that stands alone, or is not aligned with those above and below
NEAR_WORDS = 2.5  # the widest gap between two long pieces that stand alone
NEXT_ROWS = 3.5  # the largest distance of two rows of one table
FEWEST_ROWS = 3  # of a table with wider gaps: two signs beside one another have two
ALIGNED = 0.7  # how exactly cells below one another begin or end


def group_rows(words: Strips) -> list[list[int]]:
    """The rows of words, each the indices of its words in reading order; the rows themselves are in no order."""
    runs = chain(len(words), _limit_spaces(match(find_links(words, WORDS))))
    if len(runs) < 2:
        return runs
    strips = rows_to_strips(words, runs)
    links = nearest(find_links(strips, CELLS))
    links = links.choose(_join(strips, links))
    return [list(flatten.from_iterable(runs[run] for run in row)) for row in chain(len(runs), links)]


def _limit_spaces(links: Links) -> Links:
    """Without those that are far wider than the usual space between two words here."""
    if len(links.gap) < FEWEST_SPACES:
        return links
    limit = np.clip(3 * np.median(links.gap) + 0.3, NARROWEST_LIMIT, WORDS.gaps[1])
    return links.choose(links.gap <= limit)


@dataclass(frozen=True, eq=False)
class Gaps:
    """The wide gaps of M links in frames of their own: where they begin and end along the direction of reading."""

    links: Links
    strips: Strips

    @property
    def direction(self) -> np.ndarray:
        return self.strips.end_direction[self.links.first]

    @property
    def height(self) -> np.ndarray:
        return (self.strips.height[self.links.first] + self.strips.height[self.links.second]) / 2

    @property
    def ends(self) -> tuple[np.ndarray, np.ndarray]:
        return self.strips.end[self.links.first], self.strips.start[self.links.second]

    @property
    def middle(self) -> np.ndarray:
        return np.mean(self.ends, axis=0)

    @property
    def half(self) -> np.ndarray:
        """Half the length (M,) of each gap."""
        return np.linalg.norm(self.ends[1] - self.ends[0], axis=1) / 2

    def place(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (P, 2) along and across each gap's direction, from its middle: two arrays (M, P)."""
        steps = points[None] - self.middle[:, None]
        along, down = ((steps * axis[:, None]).sum(axis=2) for axis in (self.direction, across(self.direction)))
        return along, down


def _join(strips: Strips, links: Links) -> np.ndarray:
    """Whether (M,) each link joins cells of one row."""
    gaps = Gaps(links, strips)
    joined = _bridged(gaps)
    for table in gather(len(links.gap), _in_next_rows(gaps)):
        lengths = (strips.length / strips.height)[np.stack([links.first[table], links.second[table]])]
        short = np.median(lengths, axis=1).min() <= SHORT_CELL
        if len(table) == 1:
            joined[table] |= links.gap[table] <= (NEAR_CELL if short else NEAR_WORDS)
        else:
            near = links.gap[table] <= NEAR_CELL
            joined[table] = short & (near | (len(table) >= FEWEST_ROWS and _aligned(gaps, table)))
    return joined


def _in_next_rows(gaps: Gaps) -> list[tuple[int, int]]:
    """The pairs of gaps that lie above one another in rows of one table or between two columns."""
    along, down = gaps.place(gaps.middle)
    overlapping = np.abs(along) < gaps.half[:, None] + gaps.half[None]
    below = np.abs(down) < NEXT_ROWS * np.maximum(gaps.height[:, None], gaps.height[None])
    alike = gaps.direction @ gaps.direction.T > np.cos(np.radians(CELLS.turn))
    first, second = np.nonzero(np.triu(overlapping & below & alike, k=1))
    return list(zip(first.tolist(), second.tolist(), strict=True))


def _aligned(gaps: Gaps, table: list[int]) -> bool:
    """Whether the cells on the right of the gaps of a table begin below one another, or end so."""
    right = gaps.links.second[table]
    frame, height = gaps.direction[table].mean(axis=0), float(gaps.height[table].mean())
    edges = [points[right] @ frame for points in (gaps.strips.start, gaps.strips.end)]
    return any(float(np.median(np.abs(edge - np.median(edge)))) < ALIGNED * height for edge in edges)


def _bridged(gaps: Gaps) -> np.ndarray:
    """Whether (M,) text of the same size runs across the place right above or below a gap: then no column ends here."""
    strips, height, half = gaps.strips, gaps.height[:, None], gaps.half[:, None]
    (start, first), (end, last) = gaps.place(strips.start), gaps.place(strips.end)
    distance = np.abs(first + last) / 2 / height
    covers = (start < -half - height) & (end > half + height) & (distance > 0.7) & (distance < 2.2)
    covers &= np.abs(np.log(strips.height[None] / height)) < np.log(1.3)
    return covers.any(axis=1)
