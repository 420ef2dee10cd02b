"""Words drawn flat: the ink of one sign, label or word, before it is coloured and laid into an image."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from textspot.data.synthetic.typefaces import Typeface

SUPERSAMPLE = 2  # patch pixels per image pixel: laying the patch into the image then averages instead of aliasing
PADDING = 0.6  # capital heights of free patch around the ink: room for outlines, shadows and plates
MARGIN = 1.0  # image pixels between a word's ink and its polygon: the soft edge of the glyphs belongs to the word


@dataclass(frozen=True)
class Lettering:
    """Some words in one typeface and size on a flat patch, `SUPERSAMPLE` patch pixels per pixel of the image.

    `ink (h, w) uint8` is the coverage, `boxes (N, 4)` the tight ink box `xyxy` of each of the `texts` in patch pixels,
    `cap_height` the height of a capital and `baseline` the y of the first line's baseline, both in patch pixels.
    """

    ink: np.ndarray
    texts: tuple[str, ...]
    boxes: np.ndarray
    cap_height: float
    baseline: float

    @property
    def box(self) -> np.ndarray:
        """The box `xyxy` (4,) around all ink."""
        return np.concatenate([self.boxes[:, :2].min(axis=0), self.boxes[:, 2:].max(axis=0)])


def draw_lettering(
    lines: Sequence[Sequence[str]],
    typeface: Typeface,
    cap_height: float,
    word_gap: float = 0.5,
    line_pitch: float = 1.8,
) -> Lettering:
    """Write lines of words, left-aligned.

    `cap_height` is in pixels of the image, the gap between words and the pitch of lines in capital heights. The
    typeface must have a glyph for each character.
    """
    font = typeface.font(max(2, round(SUPERSAMPLE * cap_height / typeface.cap_height)))
    capital = font.size * typeface.cap_height
    pad = int(np.ceil(PADDING * capital)) + 2 * SUPERSAMPLE
    pieces, x, y = [], 0, 0
    for line in lines:
        for text in line:
            ink, rise = _draw_ink(text, font)
            pieces.append((text, ink, x, y + rise))
            x += ink.shape[1] + round(word_gap * capital)
        x, y = 0, y + round(line_pitch * capital)
    top = min(y for *_, y in pieces)
    boxes = np.array([(x, y - top, x + ink.shape[1], y - top + ink.shape[0]) for _, ink, x, y in pieces]) + pad
    width, height = boxes[:, 2:].max(axis=0) + pad
    patch = np.zeros((height, width), np.uint8)
    for (_, ink, *_), (left, above, right, below) in zip(pieces, boxes, strict=True):
        np.maximum(patch[above:below, left:right], ink, out=patch[above:below, left:right])
    return Lettering(patch, tuple(text for text, *_ in pieces), boxes.astype(np.float64), capital, float(pad - top))


def _draw_ink(text: str, font: ImageFont.FreeTypeFont) -> tuple[np.ndarray, int]:
    """The tightly cropped ink of a word, and the y of its top when the baseline is at 0."""
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    border = 2 + int(font.size) // 4  # slanted glyphs reach over the box that the font reports
    image = Image.new("L", (int(right - left) + 2 * border, int(bottom - top) + 2 * border))
    ImageDraw.Draw(image).text((border - left, border - top), text, fill=255, font=font, anchor="ls")
    ink = np.asarray(image)
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return ink, int(rows[0] - border + top)
