"""Pictures to look at: instances on their image, and what the recogniser is fed."""

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from textspot.drawing.labels import draw_labels
from textspot.drawing.page import Label, typeface
from textspot.structures import Prediction, Sample

ANNOTATED = (255, 180, 0)
IGNORED = (140, 140, 140)
LABEL_WIDTH = 10  # of the column of texts beside regions, in heights of a region: two words of a dozen characters


def draw_prediction(image: np.ndarray, prediction: Prediction) -> np.ndarray:
    """A copy of the image (H, W, 3) uint8 RGB with each polygon and its text beside it."""
    return np.asarray(draw_labels(image, [Label(one.polygon, one.text) for one in prediction]))


def draw_sample(sample: Sample) -> np.ndarray:
    """A copy of the sample's RGB image with its annotation; ignored instances in grey."""
    labels = [
        Label(polygon, "" if ignored else transcript, IGNORED if ignored else ANNOTATED)
        for polygon, transcript, ignored in zip(sample.polygons, sample.transcripts, sample.ignore, strict=True)
    ]
    return np.asarray(draw_labels(sample.image, labels))


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
        ImageDraw.Draw(picture).text(
            (patch.shape[1] + 8, 2), text, fill=(0, 0, 0), font=typeface(patch.shape[0] * 2 // 3)
        )
        rows.append(np.asarray(picture))
    return np.concatenate(rows) if rows else np.full((8, 8, 3), 255, dtype=np.uint8)
