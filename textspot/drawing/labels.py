"""Outlines and texts on an image: each text beside the word it names, never on it."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from textspot.drawing.page import Label, draw_page, typeface

SMALLEST, LARGEST = 1 / 90, 1 / 45  # size of a label, in longer sides of the picture: read when it fills a screen
LEAST_SIZE = 10  # pixels
OWN, OTHER, LABEL = 1000.0, 10.0, 5.0  # what it costs to cover all of the own word, another word, another label
FEW, CROWDED, LITTLE = 5, 0.15, 0.2  # labels that cover more than a little: these many, this part of all, are too many
LATER = 0.05  # what it costs to take the next place


def draw_labels(image: np.ndarray, labels: Sequence[Label]) -> Image.Image:
    """A picture: an RGB image (H, W, 3) uint8 with outlines and their texts; without labels a copy.

    A text stands above its word, or else below or beside it, where it covers neither another word nor a text drawn
    before it; only a word that fills the picture is covered by its own. On a crowded page there is no such place for
    many: then the texts stand where the words do on a white page, to the right of the image.
    """
    picture = Image.fromarray(image)
    width = max(1, max(picture.size) // 500)
    draw = ImageDraw.Draw(picture)
    for label in labels:
        points = [tuple(point) for point in label.polygon.tolist()]
        draw.line([*points, points[0]], fill=label.colour, width=width)
    placed, num_covering = place_labels(labels, picture.size, width)
    if num_covering > max(FEW, CROWDED * len(placed)):
        return beside(picture, draw_page(picture.size, labels))
    for label, box in placed:  # after the outlines, which would cross them
        font = typeface(label_size(label, picture.size))
        draw.rectangle(tuple(box.tolist()), fill=label.colour)
        left, top = box[:2] - font.getbbox(label.text)[:2] + _margin(font)
        draw.text((left, top), label.text, fill=(0, 0, 0), font=font)
    return picture


def beside(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pictures of one height as one."""
    both = Image.new("RGB", (left.width + right.width, left.height))
    both.paste(left, (0, 0))
    both.paste(right, (left.width, 0))
    return both


def place_labels(
    labels: Sequence[Label], picture: tuple[int, int], distance: float
) -> tuple[list[tuple[Label, np.ndarray]], int]:
    """The labels that have a text with the boxes `xyxy` of these, and how many of them cover words or one another."""
    words = np.array([label.box for label in labels]).reshape(-1, 4)
    taken, num_covering = np.zeros((0, 4)), 0
    named = [label for label in labels if label.text]
    for label in named:
        extent = _extent(label.text, typeface(label_size(label, picture)))
        box = place_label(label, extent, picture, words, taken, distance)
        num_covering += bool(cover(box[None], np.concatenate([words, taken]))[0] > LITTLE)
        taken = np.concatenate([taken, box[None]])
    return list(zip(named, taken, strict=True)), num_covering


def label_size(label: Label, picture: tuple[int, int]) -> int:
    """The size of a label's type in pixels: near that of the word, within what is read in a picture of that size."""
    longer = max(picture)
    height = float(np.linalg.norm(label.polygon[0] - label.polygon[-1]))
    return int(np.clip(0.6 * height, max(LEAST_SIZE, SMALLEST * longer), max(LEAST_SIZE, LARGEST * longer)))


def _margin(font: ImageFont.FreeTypeFont) -> int:
    return max(1, int(font.size) // 8)


def _extent(text: str, font: ImageFont.FreeTypeFont) -> tuple[float, float]:
    """Width and height of a text with its margins."""
    left, top, right, bottom = font.getbbox(text)
    return right - left + 2 * _margin(font), bottom - top + 2 * _margin(font)


def place_label(
    label: Label,
    extent: tuple[float, float],
    picture: tuple[int, int],
    words: np.ndarray,
    taken: np.ndarray,
    distance: float,
) -> np.ndarray:
    """The box `xyxy` (4,) of a text of this width and height: inside the picture (width, height) if it fits, `distance`
    from its own word, where it covers least of the boxes of words (N, 4) and of texts (M, 4)."""
    left, top, right, bottom = label.box
    (width, height), (gap, step) = extent, (distance + 1, extent[1])
    middle = (top + bottom - height) / 2
    columns = (left, right - width, (left + right - width) / 2)
    rows = [row for more in (0, step, 2 * step) for row in (top - gap - height - more, bottom + gap + more)]
    places = [(x, y) for y in rows for x in columns] + [(right + gap, middle), (left - gap - width, middle)]
    corners = np.clip(places, 0, np.maximum(0, np.array(picture) - 1 - extent))
    boxes = np.concatenate([corners, corners + extent], axis=1)
    cost = OWN * cover(boxes, label.box[None]) + OTHER * cover(boxes, words) + LABEL * cover(boxes, taken)
    return boxes[int(np.argmin(cost + LATER * np.arange(len(boxes))))]


def cover(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How much (N,) of each box `xyxy` (N, 4) others (M, 4) cover, in its areas: 1 where one covers all of it."""
    sides = np.minimum(boxes[:, None, 2:], others[None, :, 2:]) - np.maximum(boxes[:, None, :2], others[None, :, :2])
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    return np.prod(np.clip(sides, 0, None), axis=2).sum(axis=1) / np.maximum(areas, 1e-9)
