"""Strips: pieces of text as a centre line and a height. A word is one, and so is a row of words.

Legend of shapes: N strips. Distances are in pixels unless a name says heights.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from textspot.geometry import min_area_quad, polygon_area

SHORT_WORD = 3.0  # heights: a shorter word says too little about its own direction
SHORT_ROW = 15.0  # heights: the same over the wide gaps between the cells of a table
LIKE_MINDED = np.cos(np.radians(25))  # neighbours that differ by more belong to other text


@dataclass(frozen=True, eq=False)
class Strips:
    """N strips: the points (N, 2) where reading starts, is halfway and ends, the unit directions (N, 2) of reading at
    start and end, heights (N,) and lengths (N,)."""

    start: np.ndarray
    center: np.ndarray
    end: np.ndarray
    start_direction: np.ndarray
    end_direction: np.ndarray
    height: np.ndarray
    length: np.ndarray

    def __len__(self) -> int:
        return len(self.height)

    @property
    def direction(self) -> np.ndarray:
        """The mean unit direction (N, 2) of reading."""
        return unit(self.start_direction + self.end_direction)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., 2) at length 1; one without length becomes (1, 0)."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.where(lengths > 1e-9, vectors / np.maximum(lengths, 1e-9), (1.0, 0.0))


def across(directions: np.ndarray) -> np.ndarray:
    """Directions (..., 2) turned clockwise by a right angle: towards the next line."""
    return np.stack([-directions[..., 1], directions[..., 0]], axis=-1)


def words_to_strips(polygons: Sequence[np.ndarray]) -> Strips:
    """Strips of words: polygons (K, 2) whose first half of points is the upper edge in reading direction, the second
    half the lower edge backwards. An odd number of points has no such edges: the smallest rectangle, read along its
    longer side, stands in for it. None gives none."""
    found = [_measure(np.asarray(polygon, dtype=np.float64)) for polygon in polygons]
    points = np.array([ends for ends, _ in found]).reshape(-1, 5, 2)
    sizes = np.array([size for _, size in found]).reshape(-1, 2)
    return _steady(Strips(*points.swapaxes(0, 1), *sizes.T), SHORT_WORD)


def _measure(polygon: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """Start, middle, end and the directions at both ends (5, 2); height and length."""
    if len(polygon) % 2:
        polygon = min_area_quad(polygon).astype(np.float64)
    half = len(polygon) // 2
    middle = (polygon[:half] + polygon[half:][::-1]) / 2
    steps = np.diff(middle, axis=0)
    length = float(np.linalg.norm(steps, axis=1).sum())
    height = abs(polygon_area(polygon)) / length if length > 0 else 0.0
    ends = np.stack([middle[0], _halfway(middle), middle[-1], *unit(steps[[0, -1]])])
    return ends, (max(height, 1e-3), length)


def _halfway(points: np.ndarray) -> np.ndarray:
    """The point (2,) at half the length of a polyline (K, 2)."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    return np.array([np.interp(lengths[-1] / 2, lengths, column) for column in points.T])


def rows_to_strips(words: Strips, rows: Sequence[Sequence[int]]) -> Strips:
    """Strips of rows, each the indices of its words in order. A straight row reads from its first word to its last; a
    curved one as its ends say."""
    firsts, lasts = (np.array([row[end] for row in rows], dtype=int) for end in (0, -1))
    lengths = np.array([_row_length(words, row) for row in rows])
    heights = np.array([np.average(words.height[row], weights=words.length[row] + 1e-9) for row in map(list, rows)])
    start, end = words.start[firsts], words.end[lasts]
    ends = np.stack([words.start, words.end], axis=1)
    center = np.array([_halfway(ends[list(row)].reshape(-1, 2)) for row in rows])
    chord = unit(end - start)
    straight = np.array([_is_straight(words, row, one) for row, one in zip(rows, chord, strict=True)], dtype=bool)
    start_direction = np.where(straight[:, None], chord, words.start_direction[firsts])
    end_direction = np.where(straight[:, None], chord, words.end_direction[lasts])
    strips = Strips(start, center, end, start_direction, end_direction, heights, lengths)
    return _steady(strips, SHORT_ROW)


def _row_length(words: Strips, row: Sequence[int]) -> float:
    gaps = np.linalg.norm(words.start[list(row[1:])] - words.end[list(row[:-1])], axis=1)
    return float(words.length[list(row)].sum() + gaps.sum())


def _is_straight(words: Strips, row: Sequence[int], chord: np.ndarray) -> bool:
    """Whether the middle of no word is half a height from the line between the row's ends."""
    first = words.start[row[0]]
    offsets = (words.center[list(row)] - first) @ across(chord)
    return bool((np.abs(offsets) < 0.5 * words.height[list(row)].max()).all())


def _steady(strips: Strips, short: float) -> Strips:
    """The strips, those shorter than `short` heights turned as text of nearly their direction around them runs.

    The corners of a word are known to a fraction of its height, so that the direction of a short word is known badly.
    """
    weak = np.flatnonzero(strips.length < short * strips.height)
    if len(strips) < 2 or not len(weak):
        return strips
    directions = strips.direction
    start, end = strips.start_direction.copy(), strips.end_direction.copy()
    for one in weak:
        distances = np.linalg.norm(strips.center - strips.center[one], axis=1) / strips.height[one]
        weights = strips.length * np.exp(-distances / 10) * (directions @ directions[one] > LIKE_MINDED)
        start[one] = end[one] = unit(weights @ directions)
    return replace(strips, start_direction=start, end_direction=end)
