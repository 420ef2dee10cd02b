"""The order in which the paragraphs of a page are read: an order of boxes that respects who stands above and who left.

Like the topological sort of T. M. Breuel, "High performance document layout analysis" (2003), section 3, with two
differences: boxes neither above nor beside one another are in no relation, since signs in a photograph are no columns;
and where several may be next, it is the one right below the last.
"""

import numpy as np

from textspot.layout.strips import Strips, across, unit

NEXT_BELOW = 4.0  # heights of text within which the reader goes on below


def page_direction(words: Strips) -> np.ndarray:
    """The unit direction (2,) in which most text of a page runs; of the page's width where there is none."""
    if not len(words):
        return np.array([1.0, 0.0])
    directions = words.direction
    votes = (np.clip(directions @ directions.T, 0, 1) ** 8) @ words.length
    alike = directions @ directions[int(np.argmax(votes))] > np.cos(np.radians(30))
    return unit((words.length[:, None] * directions)[alike].sum(axis=0))


def to_frame(points: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Points (K, 2) in a frame whose x axis is `direction`."""
    return points @ np.stack([direction, across(direction)], axis=1)


def boxes_along(points: list[np.ndarray], direction: np.ndarray) -> np.ndarray:
    """The boxes `xyxy` (N, 4) around N sets of points (K, 2), in a frame whose x axis is `direction`."""
    turned = [to_frame(group, direction) for group in points]
    return np.array([np.concatenate([group.min(axis=0), group.max(axis=0)]) for group in turned]).reshape(-1, 4)


def order_boxes(boxes: np.ndarray, centers: np.ndarray, heights: np.ndarray) -> list[int]:
    """The order in which boxes `xyxy` (N, 4) are read that hold text of these heights (N,) with its middle at centers
    (N, 2): that of an arc is not the middle of its box."""
    above, beside = find_relations(boxes, centers, heights)
    before = above | beside
    waiting, order = list(range(len(boxes))), list[int]()
    while waiting:
        free = [
            one for one in waiting if not before[waiting, one].any()
        ] or waiting  # boxes that overlap may make rings
        below = [one for one in free if order and above[order[-1], one] and _is_near(boxes, heights, order[-1], one)]
        chosen = min(below or free, key=lambda one: (boxes[one, 1], boxes[one, 0]))
        order.append(chosen)
        waiting.remove(chosen)
    return order


def find_relations(boxes: np.ndarray, centers: np.ndarray, heights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two tables (N, N): whether a box stands above another one, and whether to the left of one at its height."""
    low, high = boxes[:, None, :2], boxes[:, None, 2:]
    shared = np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1))
    sizes = boxes[:, 2:] - boxes[:, :2]
    part = shared / np.maximum(np.minimum(sizes[:, None], sizes[None]), 1e-9)
    earlier = centers[:, None] < centers[None]
    overlap = shared > 0.5 * np.minimum(heights[:, None], heights[None])[..., None]
    vertical = overlap[..., 0] & (~overlap[..., 1] | (part[..., 0] >= part[..., 1]))
    horizontal = overlap[..., 1] & ~vertical
    return vertical & earlier[..., 1], horizontal & earlier[..., 0]


def _is_near(boxes: np.ndarray, heights: np.ndarray, upper: int, lower: int) -> bool:
    return bool(boxes[lower, 1] - boxes[upper, 3] <= NEXT_BELOW * max(heights[upper], heights[lower]))
