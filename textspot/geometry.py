"""Polygons, quads, boxes and ribbons in numpy.

A *ribbon* is the geometry of one piece of text: an array (2, 4, 2), the cubic Bezier control points of its top and of
its bottom edge, both in reading direction. Boxes, quads and curved words are the same 16 numbers; a straight edge has
its inner control points at 1/3 and 2/3, so that a quad has exactly one ribbon.
"""

import numpy as np


def polygon_area(polygon: np.ndarray) -> float:
    """Signed area of a polygon (K, 2) in square pixels: positive when its corners run clockwise as seen (y down)."""
    x, y = np.asarray(polygon, dtype=np.float64).T
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def box_to_quad(box: np.ndarray) -> np.ndarray:
    """Box `xyxy` (4,) to a quad (4, 2): TL, TR, BR, BL."""
    left, top, right, bottom = box
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32)


def polygon_to_box(polygon: np.ndarray) -> np.ndarray:
    """The axis-parallel box `xyxy` (4,) around a polygon (K, 2)."""
    return np.concatenate([polygon.min(axis=0), polygon.max(axis=0)]).astype(np.float32)


def min_area_quad(polygon: np.ndarray) -> np.ndarray:
    """The rectangle of the least area around a polygon (K, 2), as a quad (4, 2) read along its longer side: left to
    right, or downwards if that side is vertical.

    One side of that rectangle lies along an edge of the convex hull; every hull edge joins two vertices, and texts
    have few vertices, so all pairs are tried. A polygon without extent gives a quad without extent.
    """
    polygon = np.asarray(polygon, dtype=np.float64)
    first, second = np.triu_indices(len(polygon), k=1)
    directions = polygon[second] - polygon[first]
    lengths = np.linalg.norm(directions, axis=1)
    if not (lengths > 0).any():
        return np.repeat(polygon[:1], 4, axis=0).astype(np.float32)
    along = directions[lengths > 0] / lengths[lengths > 0, None]
    across = np.stack([-along[:, 1], along[:, 0]], axis=1)
    u, v = along @ polygon.T, across @ polygon.T
    areas = np.ptp(u, axis=1) * np.ptp(v, axis=1)
    best = int(np.argmin(areas))
    axis_u, axis_v, u, v = along[best], across[best], u[best], v[best]
    if np.ptp(u) < np.ptp(v):
        axis_u, axis_v, u, v = axis_v, -axis_u, v, -u
    if axis_u[0] < -1e-9 or (axis_u[0] < 1e-9 and axis_u[1] < 0):
        axis_u, axis_v, u, v = -axis_u, -axis_v, -u, -v
    corners = [(u.min(), v.min()), (u.max(), v.min()), (u.max(), v.max()), (u.min(), v.max())]
    return np.array([a * axis_u + b * axis_v for a, b in corners], dtype=np.float32)


def bernstein(t: np.ndarray) -> np.ndarray:
    """Weights (len(t), 4) of the four control points of a cubic Bezier curve at the parameters t in [0, 1]."""
    t = np.asarray(t, dtype=np.float64)[:, None]
    return np.concatenate([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3], axis=1)


def quad_to_ribbon(quad: np.ndarray) -> np.ndarray:
    """The ribbon (2, 4, 2) of a quad (4, 2) TL TR BR BL, exactly."""
    thirds = np.arange(4)[:, None] / 3
    top_left, top_right, bottom_right, bottom_left = np.asarray(quad, dtype=np.float64)
    top = top_left + thirds * (top_right - top_left)
    bottom = bottom_left + thirds * (bottom_right - bottom_left)
    return np.stack([top, bottom]).astype(np.float32)


def _fit_edge(points: np.ndarray) -> np.ndarray:
    """Control points (4, 2) of the cubic that starts and ends with the polyline (K, 2), least squares in between.

    The parameters are chord lengths. With fewer than two inner vertices the system has less rank than unknowns: then
    it is solved for the smallest departure from the straight edge.
    """
    ends = points[[0, -1]]
    straight = ends[0] + np.arange(4)[:, None] / 3 * (ends[1] - ends[0])
    chords = np.linalg.norm(np.diff(points, axis=0), axis=1)
    if len(points) == 2 or chords.sum() == 0:
        return straight
    weights = bernstein(np.concatenate([[0], np.cumsum(chords)]) / chords.sum())
    departure = points - weights @ straight
    inner, *_ = np.linalg.lstsq(weights[:, 1:3], departure, rcond=None)
    return straight + np.concatenate([np.zeros((1, 2)), inner, np.zeros((1, 2))])


def polygon_to_ribbon(polygon: np.ndarray) -> tuple[np.ndarray, float]:
    """Fit a ribbon (2, 4, 2) to a polygon (K, 2); also the largest distance in pixels of a vertex from its edge's
    curve.

    An even number of vertices is taken as the usual annotation order: the first half is the top edge in reading
    direction, the second half the bottom edge backwards; a quad comes out exactly. An odd number has no such order:
    the long sides of the smallest rectangle stand in for the edges, and its outline for their curves.
    """
    polygon = np.asarray(polygon, dtype=np.float64)
    if len(polygon) % 2:
        quad = min_area_quad(polygon).astype(np.float64)
        return quad_to_ribbon(quad), _distance_to_outline(polygon, quad)
    if len(polygon) == 4:
        return quad_to_ribbon(polygon), 0.0
    half = len(polygon) // 2
    edges = polygon[:half], polygon[half:][::-1]
    ribbon = np.stack([_fit_edge(edge) for edge in edges])
    residual = 0.0
    for edge, control in zip(edges, ribbon, strict=True):
        curve = bernstein(np.linspace(0, 1, 64)) @ control
        residual = max(residual, _distance_to_polyline(edge, curve))
    return ribbon.astype(np.float32), residual


def _distance_to_polyline(points: np.ndarray, line: np.ndarray) -> float:
    """The largest distance of the points (K, 2) from the polyline (M, 2)."""
    start, step = line[:-1], np.diff(line, axis=0)
    squared = np.maximum((step**2).sum(axis=1), 1e-12)
    position = ((points[:, None] - start) * step).sum(axis=2) / squared
    nearest = start + np.clip(position, 0, 1)[..., None] * step
    return float(np.linalg.norm(points[:, None] - nearest, axis=2).min(axis=1).max())


def _distance_to_outline(points: np.ndarray, polygon: np.ndarray) -> float:
    return _distance_to_polyline(points, np.concatenate([polygon, polygon[:1]]))


def ribbon_to_polygon(ribbon: np.ndarray, points_per_edge: int = 2) -> np.ndarray:
    """The outline (2 * points_per_edge, 2) of a ribbon, clockwise from the start of reading; 2 points per edge is its
    quad."""
    top, bottom = bernstein(np.linspace(0, 1, points_per_edge)) @ np.asarray(ribbon, dtype=np.float64)
    return np.concatenate([top, bottom[::-1]]).astype(np.float32)


def ribbon_points(ribbon: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Points (len(v), len(u), 2) of a ribbon at u in [0, 1] along the reading direction and v in [0, 1] from top to
    bottom."""
    top, bottom = bernstein(u) @ np.asarray(ribbon, dtype=np.float64)
    v = np.asarray(v, dtype=np.float64)[:, None, None]
    return (1 - v) * top + v * bottom


_AT_THIRDS = np.linalg.inv(bernstein(np.arange(4) / 3))  # from four points of a cubic to its control points


def ribbon_section(ribbon: np.ndarray, start: float, end: float) -> np.ndarray:
    """The part of a ribbon (2, 4, 2) between two places along the reading direction, where it goes from 0 to 1; it is
    prolonged as its edges run where `start` is below 0 or `end` above 1."""
    points = bernstein(start + np.arange(4) / 3 * (end - start)) @ np.asarray(ribbon, dtype=np.float64)
    return _AT_THIRDS @ points


_NINE_POINTS = bernstein(np.linspace(0, 1, 9))  # along an edge: enough to measure it


def ribbon_size(ribbon: np.ndarray) -> tuple[float, float]:
    """(height, width) of a ribbon in pixels: mean distance between its edges, mean length of its edges."""
    height, width = ribbon_sizes(np.asarray(ribbon)[None])[0]
    return float(height), float(width)


def ribbon_sizes(ribbons: np.ndarray) -> np.ndarray:
    """(height, width) of each of N ribbons (N, 2, 4, 2), as an array (N, 2); see `ribbon_size`."""
    edges = _NINE_POINTS @ np.asarray(ribbons, dtype=np.float64).reshape(-1, 2, 4, 2)
    heights = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=2).mean(axis=1)
    widths = np.linalg.norm(np.diff(edges, axis=2), axis=3).sum(axis=2).mean(axis=1)
    return np.stack([heights, widths], axis=1)
