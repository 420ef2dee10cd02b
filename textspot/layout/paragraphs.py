"""Rows to paragraphs: what stands below one another, in one size, direction and distance."""

from collections.abc import Sequence

import numpy as np

from textspot.layout.chains import ROWS_AT_A_TIME, Links, chain, nearest
from textspot.layout.strips import Strips, across, unit

# Numbers in heights of a row.
LEADING = (0.6, 2.6)  # least and largest distance of the middles of two rows
TURN = np.cos(np.radians(15))
GROWTH = 1.4  # ratio of heights of rows of one paragraph
FEW_WORDS = 6.0  # a shorter row may be of letters without ascenders: half as high as its neighbours
GROWTH_OF_FEW = 2.0
FORK = 1.25  # rows that are this much further away than the nearest are next too
PARAGRAPH_SPACE = 1.4  # ratio to the usual leading from which on a new paragraph begins


def group_paragraphs(rows: Strips) -> list[list[int]]:
    """The paragraphs of rows, each the indices of its rows from first to last; they themselves are in no order."""
    links = nearest(_without_forks(rows, find_next_rows(rows)))  # of any size: text between two rows parts them
    links = links.choose(_alike(rows, links))
    leading = dict(zip(links.first.tolist(), links.gap.tolist(), strict=True))
    return [part for stack in chain(len(rows), links) for part in _split(stack, leading)]


def find_next_rows(rows: Strips) -> Links:
    """Pairs of which the second may be the next row of the first; their `gap` is the leading in heights, their `cost`
    in pixels."""
    parts = [
        _next_rows_of(rows, np.arange(low, min(low + ROWS_AT_A_TIME, len(rows))))
        for low in range(0, max(len(rows), 1), ROWS_AT_A_TIME)
    ]
    return Links(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _next_rows_of(rows: Strips, some: np.ndarray) -> tuple[np.ndarray, ...]:
    directions = rows.direction
    frame = unit(directions[some, None] + directions[None])
    step = rows.center[None] - rows.center[some, None]
    height = (rows.height[some, None] + rows.height[None]) / 2
    distance = (step * across(frame)).sum(axis=2)
    shared = (rows.length[some, None] + rows.length[None]) / 2 - np.abs((step * frame).sum(axis=2))
    possible = (distance >= LEADING[0] * height) & (distance <= LEADING[1] * height) & (shared > 0.3 * height)
    possible &= directions[some] @ directions.T > TURN
    first, second = np.nonzero(possible)
    return some[first], second, (distance / height)[possible], distance[possible]


def _without_forks(rows: Strips, links: Links) -> Links:
    """Without links from a row to several that stand beside one another, or the other way round: a heading above two
    columns is no line of either."""
    forked = np.zeros(len(links.gap), dtype=bool)
    for near, far in ((links.first, links.second), (links.second, links.first)):
        for one in np.unique(near):
            mine = np.flatnonzero(near == one)
            close = mine[links.gap[mine] <= FORK * links.gap[mine].min() + 0.1]
            forked[mine] |= _side_by_side(rows, far[close], rows.direction[one])
    return links.choose(~forked)


def _side_by_side(rows: Strips, some: np.ndarray, direction: np.ndarray) -> bool:
    """Whether some rows share no stretch of a direction."""
    start, end = rows.start[some] @ direction, rows.end[some] @ direction
    order = np.argsort(start)
    return bool((start[order][1:] >= np.maximum.accumulate(end[order])[:-1]).any())


def _alike(rows: Strips, links: Links) -> np.ndarray:
    """Whether (M,) the rows of each link are of one size."""
    pair = np.stack([links.first, links.second])
    heights, lengths = rows.height[pair], rows.length[pair]
    short = (lengths < FEW_WORDS * heights.max(axis=0)).any(axis=0)
    return heights.max(axis=0) < heights.min(axis=0) * np.where(short, GROWTH_OF_FEW, GROWTH)


def _split(stack: Sequence[int], leading: dict[int, float]) -> list[list[int]]:
    """The paragraphs of a stack of rows: it is cut where the leading is far wider than the usual one in it."""
    steps = np.array([leading[row] for row in stack[:-1]])
    if len(steps) < 2:
        return [list(stack)]
    cuts = np.flatnonzero(steps > PARAGRAPH_SPACE * np.median(steps)) + 1
    return [part.tolist() for part in np.split(np.array(stack), cuts)]
