"""Outlines and their texts as a drawing of lines, which a notebook shows without the image."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

WIDEST = 640  # pixels on the screen


def draw_outlines(size: tuple[int, int], texts: Sequence[tuple[np.ndarray, str]], caption: str) -> str:
    """An HTML figure with an SVG drawing of an image of (height, width): each polygon (K, 2), and its text in it."""
    height, width = size
    shown = min(WIDEST, max(width, 1))
    drawn = "".join(_draw(polygon, text) for polygon, text in texts)
    return (
        f'<figure style="margin:0"><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{shown}" style="background:#fff;border:1px solid #ccc">{drawn}</svg>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _draw(polygon: np.ndarray, text: str) -> str:
    """An outline, and its text from the lower end of its first side on, as wide as its lower edge."""
    corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in polygon)
    (x, y), (to_x, to_y) = polygon[-1], polygon[len(polygon) // 2]
    length, angle = math.hypot(to_x - x, to_y - y), math.degrees(math.atan2(to_y - y, to_x - x))
    height = math.hypot(*(polygon[-1] - polygon[0]))
    return (
        f'<polygon points="{corners}" fill="none" stroke="#0a5"/>'
        f'<text x="{x:.1f}" y="{y:.1f}" transform="rotate({angle:.1f} {x:.1f} {y:.1f})" font-family="sans-serif" '
        f'font-size="{height:.1f}" textLength="{length:.1f}" lengthAdjust="spacingAndGlyphs">{escape(text)}</text>'
    )
