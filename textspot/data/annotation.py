"""What an annotation says about an image: its instances, and the repair of their polygons."""

import math
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import shapely

from textspot.data.parsing import Point, parse_point_pairs
from textspot.geometry import min_area_quad, polygon_area
from textspot.structures import Sample
from textspot.text.charset import normalize

DONT_CARE = "###"  # the transcript by which the ICDAR data sets mark text that counts neither way
# What tools write where nobody wrote a transcript yet, or for what could not be read; a card may name more.
PLACEHOLDERS = (DONT_CARE, "待识别", "待識別", "[illegible]", "<illegible>", "<UNK>", "[UNK]")
_LIKELY_PLACEHOLDERS = {"#", "##", "*", "***", "?", "???", "-", "--", "_", "...", "none", "null", "nan", "n/a", "text"}
_LIKELY_PLACEHOLDERS |= {"illegible", "unreadable", "unknown", "temporary", "dummy", "todo", "tbd", "xxx"}
MAX_COORDINATE = 1e8  # pixels either way: no image is as long, and float32 still tells such values apart
IGNORE_LABELS = ("ignore", "illegible")  # by which the exports of annotation tools may mark it, in any case
MOST_OF_AN_END = 0.25  # of the width of a narrow word such as `I`, whose margins are an estimate from longer words
MOST_SURE = 0.9999  # the highest score of a word that a program read: 1 says that it was labelled by hand
MIN_AREA = 1.0  # square pixels; below it there is nothing to learn from and no direction to speak of


@dataclass(frozen=True)
class Instance:
    """One annotated piece of text.

    `polygon` holds K >= 3 points (x, y) in pixels of the image as `decode_image` shows it. `transcript` is kept as
    annotated; an empty one is a box without a reading: it trains the detector and never the recogniser. What is to
    `ignore` counts neither way. `language` is a free word, empty when unknown. `score` in [0, 1] is how sure of the
    transcript the program was that read it; 1 is a label written by hand.
    """

    polygon: tuple[Point, ...]
    transcript: str = ""
    ignore: bool = False
    language: str = ""
    score: float = 1.0

    def __post_init__(self) -> None:
        if len(self.polygon) < 3:
            raise ValueError(f"the polygon has {len(self.polygon)} points, expected at least 3")
        if not all(math.isfinite(value) for point in self.polygon for value in point):
            raise ValueError("the polygon holds coordinates that are not finite numbers")
        if any(abs(value) > MAX_COORDINATE for point in self.polygon for value in point):
            raise ValueError(f"the polygon holds coordinates beyond {MAX_COORDINATE:g} pixels")
        if not 0 <= self.score <= 1:
            raise ValueError(f"score is {self.score}, expected a value in [0, 1]")

    @property
    def readable(self) -> bool:
        """Whether the recogniser can learn from it: it counts, and somebody wrote down what it says."""
        return not self.ignore and normalize(self.transcript) != ""

    def ignored_if(self, placeholders: Collection[str]) -> "Instance":
        """Itself, to be ignored if its transcript is one of these."""
        return replace(self, ignore=True) if normalize(self.transcript) in placeholders else self

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"polygon": [[x, y], ...], "transcript", "ignore", "language"}`, and the `score` if it is not
        1."""
        values = {
            "polygon": [list(point) for point in self.polygon],
            "transcript": self.transcript,
            "ignore": self.ignore,
            "language": self.language,
        }
        return values if self.score == 1 else values | {"score": self.score}

    @classmethod
    def from_dict(cls, values: Any) -> "Instance":
        """From the JSON form; all but `polygon` may be left out, and a transcript of null is an empty one.

        Anything else is a ValueError that says what was found and what was expected.
        """
        if not isinstance(values, dict) or "polygon" not in values:
            raise ValueError('expected an object with the key "polygon"')
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown key {unknown[0]!r}, expected some of {', '.join(sorted(known))}")
        values = {key: value for key, value in values.items() if (key, value) != ("transcript", None)}
        for key, expected in (("transcript", str), ("ignore", bool), ("language", str)):
            if key in values and not isinstance(values[key], expected):
                raise ValueError(f"{key} is {values[key]!r}, expected a {expected.__name__}")
        if type(values.get("score", 1)) not in (int, float):
            raise ValueError(f"score is {values['score']!r}, expected a number")
        return cls(**(values | {"polygon": parse_point_pairs(values["polygon"])}))


def is_dont_care(transcript: str) -> bool:
    """Whether a transcript, whatever blanks or invisible characters stand around it, is one of `PLACEHOLDERS`."""
    return normalize(transcript) in PLACEHOLDERS


def looks_like_placeholder(transcript: str) -> bool:
    """Whether a transcript that trains the recogniser is what people or tools write where they could not read."""
    return normalize(transcript).casefold() in _LIKELY_PLACEHOLDERS


def sample_to_instances(sample: Sample) -> list[Instance]:
    """The instances of a sample, as a `Writer` takes them."""
    return [
        Instance(tuple(map(tuple, np.asarray(polygon).tolist())), transcript, bool(ignore))
        for polygon, transcript, ignore in zip(sample.polygons, sample.transcripts, sample.ignore, strict=True)
    ]


@dataclass(frozen=True)
class AnnotatedImage:
    """What an annotation file says about an image.

    `names` are the paths that the image's file may have, the likeliest first; there may be none if the annotation file
    is that of one image. `part` is the split it belongs to where the file tells
    several apart, `size` the (height, width) that the polygons refer to where it is stated. `relative` polygons are
    in shares of the image's width and height. A reason under `left_out` says that the image was not annotated, or not
    well, which is something else than an image without text.
    """

    names: tuple[str, ...]
    instances: tuple[Instance, ...]
    part: str = ""
    size: tuple[int, int] | None = None
    relative: bool = False
    left_out: str = ""


def scale_polygons(instances: Sequence[Instance], stated: tuple[int, int], size: tuple[int, int]) -> list[Instance]:
    """Polygons from pixels of the image that was annotated to those of its file, of other (height, width)."""
    x, y = size[1] / stated[1], size[0] / stated[0]
    return [replace(one, polygon=tuple((x * u, y * v) for u, v in one.polygon)) for one in instances]


def repair_polygons(instances: Sequence[Instance], size: tuple[int, int]) -> tuple[list[Instance], Counter[str]]:
    """Bring the polygons of one image of the given (height, width) into order; also how often each remedy was applied.

    What has no area or lies outside the image is dropped. A quad whose sides cross has its corners in a wrong order:
    the smallest rectangle around them takes its place. An outline of more points that crosses itself stays as it is,
    since the crossing is small as a rule. A polygon that runs anticlockwise is turned round, keeping its first corner.
    """
    kept: list[Instance] = []
    remedies: Counter[str] = Counter()
    height, width = size
    for instance in instances:
        polygon = np.array(instance.polygon, dtype=np.float64)
        outline = shapely.Polygon(polygon)
        if outline.convex_hull.area < MIN_AREA:
            remedies["dropped: no area"] += 1
            continue
        if (polygon.max(axis=0) <= 0).any() or (polygon.min(axis=0) >= (width, height)).any():
            remedies["dropped: outside the image"] += 1
            continue
        if not outline.is_valid and len(polygon) == 4:
            remedies["repaired: sides crossed, now the smallest rectangle around the corners"] += 1
            polygon = min_area_quad(polygon)
        elif not outline.is_valid:
            remedies["kept: the outline crosses itself"] += 1
        if polygon_area(polygon) < 0:
            remedies["repaired: ran anticlockwise, now clockwise from the same first corner"] += 1
            polygon = np.concatenate([polygon[:1], polygon[:0:-1]])
        kept.append(replace(instance, polygon=tuple(map(tuple, polygon.tolist()))))
    return kept, remedies


def tighten_quads(instances: Sequence[Instance], margin: tuple[float, float]) -> list[Instance]:
    """Quads without the margin that they leave free on each side of the letters; below 0, one is added.

    `margin` is in shares of the quad's height: above and below the letters, and at both ends. An end loses at most a
    quarter of the width. Other polygons are a ValueError.
    """
    return [replace(instance, polygon=_tighten(instance.polygon, *margin)) for instance in instances]


def _tighten(polygon: tuple[Point, ...], across: float, along: float) -> tuple[Point, ...]:
    if len(polygon) != 4:
        raise ValueError(f"a margin can be taken off quads, not off {len(polygon)} points")
    edges = np.array(polygon)[[[0, 1], [3, 2]]]  # top and bottom, in reading direction
    down, right = edges[1] - edges[0], edges[:, 1] - edges[:, 0]
    height, widths = np.linalg.norm(down, axis=1).mean(), np.linalg.norm(right, axis=1)
    shares = np.minimum(along * height / np.maximum(widths, 1e-9), MOST_OF_AN_END)[:, None]
    edges = edges + across * np.stack([down, -down])
    edges = edges + (shares * right)[:, None] * np.array([1, -1])[:, None]
    (top_left, top_right), (bottom_left, bottom_right) = edges.tolist()
    return tuple(map(tuple, (top_left, top_right, bottom_right, bottom_left)))
