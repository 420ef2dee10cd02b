"""How much words and detections overlap: the areas that every matching rule starts from.

Dimension letters: G words of the ground truth, D detections.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import shapely


@dataclass(frozen=True)
class Overlaps:
    """The areas of one image, in square pixels: `intersections (G, D)`, `word_areas (G,)`, `detection_areas (D,)`.

    `center_distances (G, D)` are distances between the mean vertices, in units of the mean of both diagonals, each that
    of the axis-parallel box around the polygon.
    """

    intersections: np.ndarray
    word_areas: np.ndarray
    detection_areas: np.ndarray
    center_distances: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Intersection over union (G, D); 0 where neither polygon has an area."""
        unions = self.word_areas[:, None] + self.detection_areas - self.intersections
        return _ratio(self.intersections, unions)

    @property
    def recall(self) -> np.ndarray:
        """Area recall (G, D): the share of the word that the detection covers; 0 for a word without area."""
        return _ratio(self.intersections, self.word_areas[:, None])

    @property
    def precision(self) -> np.ndarray:
        """Area precision (G, D): the share of the detection that the word covers; 0 for a detection without area."""
        return _ratio(self.intersections, self.detection_areas)

    def keep_detections(self, keep: np.ndarray) -> "Overlaps":
        """The same image with only the detections that the mask or index array `keep` selects."""
        return replace(
            self,
            intersections=self.intersections[:, keep],
            detection_areas=self.detection_areas[keep],
            center_distances=self.center_distances[:, keep],
        )


def measure_overlaps(words: Sequence[np.ndarray], detections: Sequence[np.ndarray]) -> Overlaps:
    """Measure the words (G polygons (K, 2)) against the detections (D polygons (K, 2)); either may be empty.

    A polygon that crosses itself is repaired by `shapely.make_valid`: a bow tie has the area of its two wings. That is
    our convention; the official scripts say nothing about such polygons.
    """
    word_shapes, word_centers, word_boxes = _to_shapes(words)
    detection_shapes, detection_centers, detection_boxes = _to_shapes(detections)

    low = np.maximum(word_boxes[:, None, :2], detection_boxes[:, :2])
    high = np.minimum(word_boxes[:, None, 2:], detection_boxes[:, 2:])
    word, detection = np.nonzero((low < high).all(axis=2))
    intersections = np.zeros((len(words), len(detections)))
    intersections[word, detection] = shapely.area(shapely.intersection(word_shapes[word], detection_shapes[detection]))

    distances = np.linalg.norm(word_centers[:, None] - detection_centers, axis=2)
    diagonals = np.linalg.norm(word_boxes[:, None, 2:] - word_boxes[:, None, :2], axis=2) + np.linalg.norm(
        detection_boxes[:, 2:] - detection_boxes[:, :2], axis=1
    )
    return Overlaps(
        intersections, shapely.area(word_shapes), shapely.area(detection_shapes), _ratio(2 * distances, diagonals)
    )


def _to_shapes(polygons: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shapely polygons (N,), their mean vertices (N, 2) and the boxes `xyxy` (N, 4) around them."""
    if not len(polygons):
        return np.empty(0, dtype=object), np.empty((0, 2)), np.empty((0, 4))
    counts = np.array([len(polygon) for polygon in polygons])
    starts = np.cumsum(counts) - counts
    points = np.concatenate(polygons).astype(np.float64)
    shapes = shapely.polygons(shapely.linearrings(points, indices=np.repeat(np.arange(len(counts)), counts)))
    crossed = ~shapely.is_valid(shapes)
    shapes[crossed] = shapely.make_valid(shapes[crossed])
    boxes = np.concatenate([np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)], axis=1)
    return shapes, np.add.reduceat(points, starts) / counts[:, None], boxes


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, 0 where the whole is 0."""
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
