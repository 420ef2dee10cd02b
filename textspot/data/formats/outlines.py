"""Outlines that several annotation tools share."""

import math

from textspot.data.parsing import Point


def turn_box(box: tuple[float, float, float, float], degrees: float, pivot: Point) -> tuple[Point, ...]:
    """The corners TL, TR, BR, BL of a box `xyxy` that is turned about a point, clockwise as seen."""
    left, top, right, bottom = box
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    arms = ((x - pivot[0], y - pivot[1]) for x, y in ((left, top), (right, top), (right, bottom), (left, bottom)))
    return tuple((pivot[0] + cosine * u - sine * v, pivot[1] + sine * u + cosine * v) for u, v in arms)
