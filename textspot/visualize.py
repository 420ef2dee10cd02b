"""Pictures to look at: instances on their image, and what the recogniser is fed."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from textspot.structures import Prediction, Sample

TYPEFACE = Path(__file__).parent / "data/synthetic/fonts/OpenSans-Regular.ttf"  # Pillow's own lacks accented letters
FOUND = (0, 200, 60)
ANNOTATED = (255, 180, 0)
IGNORED = (140, 140, 140)
LABEL_WIDTH = 10  # of the column of texts beside regions, in heights of a region: two words of a dozen characters


@lru_cache(maxsize=8)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(TYPEFACE, size)


def draw_prediction(image: np.ndarray, prediction: Prediction) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 RGB with each polygon and its text above it."""
    labels = [(instance.polygon, instance.text, FOUND) for instance in prediction]
    return _draw_labels(image, labels)


def draw_sample(sample: Sample) -> np.ndarray:
    """A copy of the sample's RGB image with its annotation; ignored instances in grey."""
    labels = [
        (polygon, "" if ignored else transcript, IGNORED if ignored else ANNOTATED)
        for polygon, transcript, ignored in zip(sample.polygons, sample.transcripts, sample.ignore, strict=True)
    ]
    return _draw_labels(sample.image, labels)


def _draw_labels(image: np.ndarray, labels: Sequence[tuple[np.ndarray, str, tuple[int, int, int]]]) -> np.ndarray:
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    size = int(np.clip(max(picture.size) / 55, 10, 40))
    for polygon, _, colour in labels:
        points = [tuple(point) for point in polygon.tolist()]
        draw.line([*points, points[0]], fill=colour, width=max(1, size // 8))
    for polygon, text, colour in labels:  # after the outlines, which would cross them
        if text:
            rightmost = picture.width - draw.textlength(text, _font(size)) - 4
            left, top = max(2, min(polygon[:, 0].min(), rightmost)), max(0, polygon[:, 1].min() - 1.3 * size)
            box = draw.textbbox((left, top), text, font=_font(size))
            draw.rectangle((box[0] - 2, box[1] - 1, box[2] + 2, box[3] + 1), fill=colour)
            draw.text((left, top), text, fill=(0, 0, 0), font=_font(size))
    return np.asarray(picture)


def draw_regions(image: np.ndarray, grids: np.ndarray, texts: Sequence[str], zoom: int = 4) -> np.ndarray:
    """What the recogniser is fed, as a column of pictures: the RGB image sampled at `grids` (K, H, W, 2) in pixels.

    The grid is refined `zoom` times, so that the letters can be seen; the text stands to the right of each region. What
    lies outside the image is black. Without regions the picture is a small white square.
    """
    rows = []
    for grid, text in zip(grids, texts, strict=True):
        fine = cv2.resize(grid.astype(np.float32), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR)
        x, y = fine[..., 0] - 0.5, fine[..., 1] - 0.5  # OpenCV counts from the centre of the first pixel
        patch = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        row = np.full((patch.shape[0] + 2, patch.shape[1] + LABEL_WIDTH * patch.shape[0], 3), 255, dtype=np.uint8)
        row[: patch.shape[0], : patch.shape[1]] = patch
        picture = Image.fromarray(row)
        ImageDraw.Draw(picture).text((patch.shape[1] + 8, 2), text, fill=(0, 0, 0), font=_font(patch.shape[0] * 2 // 3))
        rows.append(np.asarray(picture))
    return np.concatenate(rows) if rows else np.full((8, 8, 3), 255, dtype=np.uint8)
