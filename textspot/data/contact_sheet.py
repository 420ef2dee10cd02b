"""Many samples on one picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from textspot.structures import Sample

CAPTION_HEIGHT = 18


def fit_sample(sample: Sample, width: int, height: int) -> Sample:
    """The sample scaled, image and polygons alike, so that it fills `width` or `height` without leaving either."""
    scale = min(width / sample.size[1], height / sample.size[0])
    size = (max(1, round(sample.size[1] * scale)), max(1, round(sample.size[0] * scale)))
    image = cv2.resize(sample.image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    polygons = [(polygon * scale).astype(np.float32) for polygon in sample.polygons]
    return Sample(image, polygons, sample.transcripts, sample.ignore, sample.name)


def contact_sheet(pictures: Sequence[np.ndarray], captions: Sequence[str], columns: int, width: int) -> np.ndarray:
    """RGB pictures, none wider than `width`, in rows of `columns` with their captions below, on white.

    Without pictures it is an empty caption.
    """
    rows = [
        _row(pictures[start : start + columns], captions[start : start + columns], columns * width, width)
        for start in range(0, len(pictures), columns)
    ]
    return np.concatenate(rows) if rows else _row([], [], width, width)


def _row(pictures: Sequence[np.ndarray], captions: Sequence[str], row_width: int, width: int) -> np.ndarray:
    height = max((len(picture) for picture in pictures), default=0)
    row = np.full((height + CAPTION_HEIGHT, row_width, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        row[: picture.shape[0], number * width : number * width + picture.shape[1]] = picture
    written = Image.fromarray(row)
    draw, font = ImageDraw.Draw(written), ImageFont.load_default(CAPTION_HEIGHT * 2 / 3)
    for number, caption in enumerate(captions):
        draw.text((number * width + 3, height + 2), caption, fill=(0, 0, 0), font=font)
    return np.asarray(written)
