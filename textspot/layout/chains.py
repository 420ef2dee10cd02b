"""Which strip follows which: a graph whose costs are in heights of the text, along and across its own direction."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from textspot.layout.strips import Strips, across, unit

ROWS_AT_A_TIME = 256  # of the table of all pairs


@dataclass(frozen=True)
class Reach:
    """What may follow what. `gaps` are the least and largest space in heights; `overlap` the least part of the lower
    one's height that both share; `turn` the largest change of direction, in degrees; `growth` the largest ratio of
    heights."""

    gaps: tuple[float, float]
    overlap: float
    turn: float
    growth: float


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of strips of which the second may follow the first: indices (M,), space in heights (M,), costs (M,)."""

    first: np.ndarray
    second: np.ndarray
    gap: np.ndarray
    cost: np.ndarray

    def choose(self, kept: np.ndarray) -> "Links":
        """Those of a mask or of indices."""
        return Links(self.first[kept], self.second[kept], self.gap[kept], self.cost[kept])


def find_links(strips: Strips, reach: Reach) -> Links:
    """All pairs within reach; none for fewer than two strips."""
    parts = [
        _links_from(strips, np.arange(low, min(low + ROWS_AT_A_TIME, len(strips))), reach)
        for low in range(0, max(len(strips), 1), ROWS_AT_A_TIME)
    ]
    return Links(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _links_from(strips: Strips, rows: np.ndarray, reach: Reach) -> tuple[np.ndarray, ...]:
    """The links of some strips to all. The frame of a pair halves the angle between them: on a circle the step from the
    end of one word to the start of the next has just that direction."""
    before, after = strips.end_direction[rows, None], strips.start_direction[None]
    frame = unit(before + after)
    step = strips.start[None] - strips.end[rows, None]
    heights = strips.height[rows, None], strips.height[None]
    lower, higher = np.minimum(*heights), np.maximum(*heights)
    gap = (step * frame).sum(axis=2) * 2 / (lower + higher)
    offset = (step * across(frame)).sum(axis=2)
    upper_edge = np.maximum(-heights[0] / 2, offset - heights[1] / 2)
    lower_edge = np.minimum(heights[0] / 2, offset + heights[1] / 2)
    overlap = (lower_edge - upper_edge) / lower
    cosine = (before * after).sum(axis=2)
    possible = (gap >= reach.gaps[0]) & (gap <= reach.gaps[1]) & (overlap >= reach.overlap)
    possible &= (cosine >= np.cos(np.radians(reach.turn))) & (higher <= reach.growth * lower)
    possible &= rows[:, None] != np.arange(len(strips))
    first, second = np.nonzero(possible)
    cost = np.abs(gap) + 1 - np.minimum(overlap, 1) + 2 * (1 - cosine) + 0.5 * np.log(higher / lower)
    return rows[first], second, gap[possible], cost[possible]


def match(links: Links) -> Links:
    """The cheapest links, best first, such that each strip follows at most one other and is followed by at most one."""
    leads, follows = set[int](), set[int]()
    kept = []
    for number in np.argsort(links.cost, kind="stable"):
        first, second = int(links.first[number]), int(links.second[number])
        if first not in leads and second not in follows:
            leads.add(first)
            follows.add(second)
            kept.append(number)
    return links.choose(np.array(kept, dtype=int))


def nearest(links: Links) -> Links:
    """The pairs of which each is the other's cheapest, best first."""
    links = links.choose(np.argsort(links.cost, kind="stable"))
    of_first, of_second = (np.unique(ends, return_index=True)[1] for ends in (links.first, links.second))
    return links.choose(np.intersect1d(of_first, of_second))


def chain(count: int, links: Links) -> list[list[int]]:
    """The chains of 0 ... count - 1 that matched links make; a ring is opened at its widest gap."""
    links = links.choose(np.argsort(links.gap, kind="stable"))
    following: dict[int, int] = {}
    root = list(range(count))  # of each strip: one that stands for its chain
    for first, second in zip(links.first.tolist(), links.second.tolist(), strict=True):
        if _find(root, first) != _find(root, second):
            root[_find(root, first)] = _find(root, second)
            following[first] = second
    heads = sorted(set(range(count)) - set(following.values()))
    return [list(_walk(head, following)) for head in heads]


def _find(root: list[int], one: int) -> int:
    while root[one] != one:
        root[one] = root[root[one]]
        one = root[one]
    return one


def _walk(head: int, following: dict[int, int]) -> Iterator[int]:
    yield head
    while head in following:
        head = following[head]
        yield head


def gather(count: int, pairs: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The connected groups of 0 ... count - 1 that pairs make, each ascending."""
    root = list(range(count))
    for one, other in pairs:
        root[_find(root, one)] = _find(root, other)
    groups: dict[int, list[int]] = {}
    for one in range(count):
        groups.setdefault(_find(root, one), []).append(one)
    return list(groups.values())
