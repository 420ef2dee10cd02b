"""Texts where their words stand, on a white page; and what a label is."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

TYPEFACE = Path(__file__).parents[1] / "data/synthetic/fonts/OpenSans-Regular.ttf"  # Pillow's own lacks accents
FOUND = (0, 200, 60)
TYPE_SIZE = 48  # pixels in which a text is drawn before it is brought into its outline


@dataclass(frozen=True, eq=False)
class Label:
    """An outline (K, 2) in pixels, the text that is written beside it, and the colour (R, G, B) of both."""

    polygon: np.ndarray
    text: str
    colour: tuple[int, int, int] = FOUND

    @property
    def box(self) -> np.ndarray:
        """The box `xyxy` (4,) around the outline."""
        return np.concatenate([self.polygon.min(axis=0), self.polygon.max(axis=0)])


@lru_cache(maxsize=64)
def typeface(size: int) -> ImageFont.FreeTypeFont:
    """The typeface of labels in a size in pixels."""
    return ImageFont.truetype(TYPEFACE, size)


def draw_page(size: tuple[int, int], labels: Sequence[Label]) -> Image.Image:
    """A white picture (width, height) with each text drawn into the quad of its outline, as wide and as high."""
    page = np.full((size[1], size[0], 3), 255, dtype=np.uint8)
    for label in labels:
        if label.text:
            _draw_into(page, label)
    return Image.fromarray(page)


def _draw_into(page: np.ndarray, label: Label) -> None:
    """Darken the pixels of a page (H, W, 3) where the letters of a text are."""
    polygon = np.asarray(label.polygon, dtype=np.float32)
    half = (len(polygon) + 1) // 2
    quad = polygon[[0, half - 1, half, -1]] if len(polygon) > 3 else polygon[[0, 1, 2, 2]]
    left, top = np.floor(np.maximum(label.box[:2], 0)).astype(int)
    right, bottom = np.ceil(np.minimum(label.box[2:], (page.shape[1], page.shape[0]))).astype(int)
    if right <= left or bottom <= top:
        return
    letters = _letters(label.text)
    height, width = letters.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(corners, quad - np.array([left, top], dtype=np.float32))
    ink = cv2.warpPerspective(letters, turn, (int(right - left), int(bottom - top)), flags=cv2.INTER_AREA)
    place = page[top:bottom, left:right]
    np.minimum(place, 255 - ink[..., None], out=place)


def _letters(text: str) -> np.ndarray:
    """A text as ink (h, w) uint8, 255 where letters are."""
    left, top, right, bottom = map(int, typeface(TYPE_SIZE).getbbox(text))
    picture = Image.new("L", (max(1, right - left), max(1, bottom - top)))
    ImageDraw.Draw(picture).text((-left, -top), text, fill=255, font=typeface(TYPE_SIZE))
    return np.asarray(picture)
