"""What the network gives, as text instances: pure functions of arrays. Legend: K regions, T time, C classes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
import shapely

from textspot.geometry import bernstein, ribbon_to_polygon
from textspot.ranges import NonNegative, PositiveInt, Range, Share, check_ranges
from textspot.structures import TextInstance
from textspot.text.language import list_languages
from textspot.text.language_choice import AUTO

# logits (K, T, C) to texts and their scores, which a lexicon may raise above 1; None for what cannot be a text
DecodeText = Callable[[np.ndarray], Sequence[tuple[str | None, float]]]


@dataclass(frozen=True)
class PostprocessConfig:
    """From regions to text instances.

    Args:
        max_regions: maximum number of regions that are read in an image, those with the highest scores.
        max_overlap: maximum IoU of the polygons of two regions; of two that overlap more, the one with the lower score
            is dropped.
        points_per_edge: vertices of a polygon's upper and lower edge; 2 gives quads.
        text_power: exponent of the recogniser's confidence in the score: an instance scores the detector's score times
            `text_score` to this power. 0 uses the detector's score alone.
        language: language model, whose words are preferred where the recogniser is unsure, such as `english`; `auto`
            finds the language of each image; null takes none.
    """

    max_regions: PositiveInt = 100
    max_overlap: Share = 0.3
    points_per_edge: Annotated[int, Range(2)] = 2
    text_power: NonNegative = 4.0
    language: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "postprocess.")
        if self.language not in (known := (None, AUTO, *list_languages())):
            raise ValueError(
                f"postprocess.language is {self.language!r}, expected null or one of {', '.join(map(str, known[1:]))}"
            )


def decode_instances(
    ribbons: np.ndarray,
    scores: np.ndarray,
    text_logits: np.ndarray,
    size: tuple[int, int],
    decode_text: DecodeText,
    threshold: float,
    config: PostprocessConfig,
    least_found: float | None = None,
) -> list[TextInstance]:
    """Text instances, best score first, of ribbons (K, 2, 4, 2), the detector's scores (K,) and text_logits (K, T, C).

    `size` is (height, width) of the image without its padding, in the pixels of the ribbons. Left out: scores below the
    threshold, those of the detector below `least_found` (the threshold unless given: a lexicon may raise a score),
    texts that are None, centres outside the image, outlines that cross themselves or run anticlockwise, and the weaker
    one of two that overlap. An empty text stays: the region was found, and not read. Polygons end at the image's
    border, as annotations do.
    """
    least_found = threshold if least_found is None else least_found
    kept = (scores >= least_found) & (scores > 0)  # slots beyond the last peak have score 0; no text raises one
    kept &= _centers_inside(ribbons, size)
    texts = decode_text(text_logits[kept])
    instances = [
        TextInstance(ribbon_to_polygon(ribbon, config.points_per_edge), text, score, min(text_score, 1.0))
        for ribbon, found, (text, text_score) in zip(ribbons[kept], scores[kept], texts, strict=True)
        if text is not None and (score := min(float(found) * text_score**config.text_power, 1.0)) >= threshold
    ]
    return [
        replace(instance, polygon=np.clip(instance.polygon, 0, size[::-1]))
        for instance in suppress(instances, config.max_overlap)
    ]


def _centers_inside(ribbons: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Whether the middle (K,) of each ribbon (K, 2, 4, 2), halfway along and between its edges, lies in the image."""
    centers = bernstein(np.array([0.5]))[0] @ ribbons.mean(axis=1)
    return ((centers >= 0) & (centers <= size[::-1])).all(axis=1)


def suppress(instances: list[TextInstance], max_overlap: float) -> list[TextInstance]:
    """Non-maximum suppression by the IoU of the polygons, exactly; instances that are no simple clockwise polygon
    go."""
    instances = sorted(instances, key=lambda instance: -instance.score)
    shapes = [shapely.Polygon(instance.polygon) for instance in instances]
    # y points down, so a ring that runs clockwise as seen is counterclockwise to shapely
    sound = [shape.is_valid and shape.area > 0 and shape.exterior.is_ccw for shape in shapes]
    instances = [instance for instance, keep in zip(instances, sound, strict=True) if keep]
    shapes = [shape for shape, keep in zip(shapes, sound, strict=True) if keep]
    tree = shapely.STRtree(shapes)
    removed = np.zeros(len(shapes), dtype=bool)
    for number, shape in enumerate(shapes):
        if removed[number]:
            continue
        for other in tree.query(shape, predicate="intersects"):
            if other > number and not removed[other]:
                shared = shape.intersection(shapes[other]).area
                removed[other] = shared > max_overlap * (shape.area + shapes[other].area - shared)
    return [instance for instance, gone in zip(instances, removed, strict=True) if not gone]
