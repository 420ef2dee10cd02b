"""Words drawn flat: the ink of one sign, label or word, before it is coloured and laid into an image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from textspot.data.synthetic.typefaces import Typeface
from textspot.geometry import box_to_quad
from textspot.text.scripts import needs_shaping, split_graphemes

SUPERSAMPLE = 2  # patch pixels per image pixel: laying the patch into the image then averages instead of aliasing
PADDING = 0.4  # capital heights of free patch around a lettering and its margins: room for outlines and shadows
MARGIN = 1.0  # image pixels between a word's ink and its polygon: the soft edge of the glyphs belongs to the word
POINTS_PER_EDGE = 7  # of the polygon of a bent word
QUARTER = np.pi / 2  # radians, clockwise: what begins at the left begins at the top then, the next line to its left
TIGHTEST = 1.2  # the least radius of an arc, in heights of what is bent: below it the inner edge would fold


@dataclass(frozen=True)
class Line:
    """Words beside each other. `cap_height` is in pixels of the image; the gap between words and `tracking`, what is
    added to the gap between letters, in capital heights. The typeface must have a glyph for each character. The letters
    of a `vertical` line lie on their left sides: they stand upright once the line is turned by `QUARTER`."""

    texts: tuple[str, ...]
    typeface: Typeface
    cap_height: float
    word_gap: float = 0.5
    tracking: float = 0.0
    vertical: bool = False

    def draw(self, text: str, font: ImageFont.FreeTypeFont) -> tuple[np.ndarray, int]:
        """The tightly cropped ink of a word in the line's typeface at this size, and the y of its top when the baseline
        is at 0."""
        capital = font.size * self.typeface.cap_height
        if self.vertical:
            return _draw_column(text, self.typeface.font(int(font.size), shaped=True), self.tracking * capital, capital)
        shaped = self.typeface.font(int(font.size), shaped=True) if needs_shaping(text) else font
        return _draw_ink(text, shaped, self.tracking * capital)


@dataclass(frozen=True)
class Arc:
    """The bend of a flat patch: of the line y = `middle` the point at x = `centre` stays, the ends sink around a circle
    of `radius`; of a negative one they rise. `shift` is added afterwards."""

    centre: float
    middle: float
    radius: float
    shift: tuple[float, float] = (0.0, 0.0)

    def bend(self, points: np.ndarray) -> np.ndarray:
        """Flat points (..., 2) on the bent patch."""
        angle, distance = (points[..., 0] - self.centre) / self.radius, self.radius - (points[..., 1] - self.middle)
        x = self.centre + distance * np.sin(angle) + self.shift[0]
        y = self.middle + self.radius - distance * np.cos(angle) + self.shift[1]
        return np.stack([x, y], axis=-1)

    def unbend(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 2) of the bent patch were when it was flat."""
        sign = np.sign(self.radius)
        right = sign * (points[..., 0] - self.shift[0] - self.centre)
        up = sign * (self.middle + self.radius - (points[..., 1] - self.shift[1]))
        x = self.centre + self.radius * np.arctan2(right, up)
        y = self.middle + self.radius - sign * np.hypot(right, up)
        return np.stack([x, y], axis=-1)


@dataclass(frozen=True)
class Lettering:
    """Some words on a patch, `SUPERSAMPLE` patch pixels per pixel of the image.

    `ink (h, w) uint8` is the coverage, `boxes (N, 4)` the tight ink box `xyxy` of each of the `texts` before the patch
    was bent along `arc`, if it was. `cap_height` is the least height of a capital, `baseline` the y of the first line's
    baseline, `margins` what belongs to the lettering at the left, top, right and bottom of its ink, all in patch
    pixels. `vertical` letters lie on their left sides; the patch is to be turned by `QUARTER`.
    """

    ink: np.ndarray
    texts: tuple[str, ...]
    boxes: np.ndarray
    cap_height: float
    baseline: float
    margins: np.ndarray
    arc: Arc | None = None
    vertical: bool = False

    def outlines(self, grow: float = 0.0) -> np.ndarray:
        """The polygons (N, K, 2) of the words, clockwise from the start of reading, each side `grow` pixels farther
        out."""
        corners = np.stack([box_to_quad(box) for box in self.boxes + grow * np.array([-1, -1, 1, 1])])
        if self.arc is None:
            return corners
        along = np.linspace(0, 1, POINTS_PER_EDGE)[:, None]
        top = corners[:, :1] + along * (corners[:, 1:2] - corners[:, :1])
        bottom = corners[:, 2:3] + along * (corners[:, 3:] - corners[:, 2:3])
        return self.arc.bend(np.concatenate([top, bottom], axis=1))

    @property
    def box(self) -> np.ndarray:
        """The box `xyxy` (4,) around all ink."""
        points = self.outlines().reshape(-1, 2)
        return np.concatenate([points.min(axis=0), points.max(axis=0)])

    @property
    def frame(self) -> np.ndarray:
        """The box `xyxy` (4,) around all ink and the margins."""
        return self.box + self.margins * np.array([-1, -1, 1, 1])


def draw_lettering(
    lines: Sequence[Line],
    line_pitch: float = 1.8,
    alignment: float = 0.0,
    margins: Sequence[float] = (0.2, 0.2, 0.2, 0.2),
    bend: float = 0.0,
) -> Lettering:
    """Write lines of words.

    The pitch of lines is in heights of their capitals, margins (left, top, right, bottom) in heights of the lowest
    capitals; `alignment` is 0 for left, 0.5 for centred, 1 for right. `bend` is the angle in radians from the middle of
    the longest line to its end: positive ends sink, negative ones rise.
    """
    fonts = [
        line.typeface.font(max(2, round(SUPERSAMPLE * line.cap_height / line.typeface.cap_height))) for line in lines
    ]
    capitals = [font.size * line.typeface.cap_height for font, line in zip(fonts, lines, strict=True)]
    lowest = min(capitals)
    pieces, widths, y = [], [], 0.0
    for number, (line, font, capital) in enumerate(zip(lines, fonts, capitals, strict=True)):
        x = 0
        for text in line.texts:
            ink, rise = line.draw(text, font)
            pieces.append((number, ink, x, round(y) + rise))
            x += ink.shape[1] + round(line.word_gap * capital)
        widths.append(x - round(line.word_gap * capital))
        y += line_pitch * (capital + capitals[min(number + 1, len(lines) - 1)]) / 2
    top = min(y for *_, y in pieces)
    pad = np.ceil(np.array(margins) * lowest + PADDING * lowest).astype(int) + 2 * SUPERSAMPLE
    indents = [round(alignment * (max(widths) - width)) + pad[0] for width in widths]
    boxes = np.array(
        [
            (x + indents[number], y - top + pad[1], x + indents[number] + ink.shape[1], y - top + pad[1] + ink.shape[0])
            for number, ink, x, y in pieces
        ]
    )
    width, height = boxes[:, 2:].max(axis=0) + pad[2:]
    patch = np.zeros((height, width), np.uint8)
    for (_, ink, *_), (left, above, right, below) in zip(pieces, boxes, strict=True):
        np.maximum(patch[above:below, left:right], ink, out=patch[above:below, left:right])
    texts = tuple(text for line in lines for text in line.texts)
    flat = Lettering(
        patch,
        texts,
        boxes.astype(np.float64),
        lowest,
        float(pad[1] - top),
        np.array(margins) * lowest,
        vertical=lines[0].vertical,
    )
    return bend_lettering(flat, bend) if bend else flat


def bend_lettering(flat: Lettering, angle: float) -> Lettering:
    """Bend a flat lettering by the angle in radians from its middle to its end, less where that would fold it."""
    left, top, right, bottom = flat.box
    radius = max((right - left) / 2 / abs(angle), TIGHTEST * (bottom - top + 2 * flat.cap_height))
    arc = Arc((left + right) / 2, (top + bottom) / 2, float(np.copysign(radius, angle)))
    bent = replace(flat, arc=arc)
    pad = np.ceil(flat.margins + PADDING * flat.cap_height) + 2 * SUPERSAMPLE
    low = np.floor(bent.box[:2] - pad[:2])
    width, height = np.ceil(bent.box[2:] + pad[2:] - low).astype(int)
    arc = replace(arc, shift=(-float(low[0]), -float(low[1])))
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), axis=-1)
    source = (arc.unbend(centres) - 0.5).astype(np.float32)  # OpenCV counts from the centre of the first pixel
    ink = np.asarray(cv2.remap(flat.ink, source[..., 0], source[..., 1], cv2.INTER_LINEAR))
    return replace(flat, ink=ink, arc=arc)


def _draw_ink(text: str, font: ImageFont.FreeTypeFont, tracking: float) -> tuple[np.ndarray, int]:
    """The tightly cropped ink of a word, and the y of its top when the baseline is at 0."""
    left, top, right, bottom = font.getbbox(text, anchor="ls")
    border = 2 + int(font.size) // 4  # slanted glyphs reach over the box that the font reports
    width = int(right - left + tracking * len(text)) + 2 * border
    image = Image.new("L", (width, int(bottom - top) + 2 * border))
    pen = ImageDraw.Draw(image)
    x = border - left
    for piece in split_graphemes(text) if tracking else (text,):
        pen.text((x, border - top), piece, fill=255, font=font, anchor="ls")
        x += font.getlength(piece) + tracking
    ink, _, above = _crop(np.asarray(image))
    return ink, int(above - border + top)


def _draw_column(text: str, font: ImageFont.FreeTypeFont, tracking: float, capital: float) -> tuple[np.ndarray, int]:
    """As `_draw_ink`, of letters below one another with their middles on a line, then turned to the left by a quarter.
    That line is where the middle of capitals is."""
    letters, border = split_graphemes(text), 2 + int(font.size)
    steps = [font.getlength(letter, direction="ttb") + tracking for letter in letters]
    image = Image.new("L", (2 * border, int(sum(steps)) + 2 * border))
    pen = ImageDraw.Draw(image)
    for letter, y in zip(letters, np.cumsum([0, *steps[:-1]]), strict=True):
        pen.text((border, border + y), letter, fill=255, font=font, anchor="mt", direction="ttb")
    ink, left, _ = _crop(np.asarray(image))
    return np.rot90(ink), round(border - left - ink.shape[1] - capital / 2)


def _crop(ink: np.ndarray) -> tuple[np.ndarray, int, int]:
    """The ink without the empty rows and columns around it, and how many of these were at the left and above."""
    columns, rows = np.flatnonzero(ink.any(axis=0)), np.flatnonzero(ink.any(axis=1))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(columns[0]), int(rows[0])
