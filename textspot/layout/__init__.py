"""Words to lines, paragraphs and the order in which a page is read, by their polygons alone: arrays in, indices out."""

from collections.abc import Sequence

import numpy as np

from textspot.layout.paragraphs import group_paragraphs
from textspot.layout.reading_order import boxes_along, order_boxes, page_direction, to_frame
from textspot.layout.rows import group_rows
from textspot.layout.strips import rows_to_strips, words_to_strips


def arrange(polygons: Sequence[np.ndarray]) -> list[list[list[int]]]:
    """The paragraphs of words in reading order, each its lines from top to bottom, each the indices of its words from
    start to end; none for no words.

    A word is a polygon (K, 2) in pixels, clockwise from where reading starts, at any angle. Every word is in one line.
    """
    words = words_to_strips(polygons)
    if not len(words):
        return []
    rows = group_rows(words)
    strips = rows_to_strips(words, rows)
    paragraphs = group_paragraphs(strips)
    points = [np.concatenate([polygons[word] for row in stack for word in rows[row]]) for stack in paragraphs]
    heights = np.array([strips.height[stack].mean() for stack in paragraphs])
    centers = np.array([strips.center[stack].mean(axis=0) for stack in paragraphs])
    direction = page_direction(words)
    order = order_boxes(boxes_along(points, direction), to_frame(centers, direction), heights)
    return [[rows[row] for row in paragraphs[number]] for number in order]
