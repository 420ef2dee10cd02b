"""What flows through the system, one type per stage.

| stage              | type     | content, shape, unit                                                                 |
|--------------------|----------|--------------------------------------------------------------------------------------|
| LMDB record        | bytes    | the encoded image as it came; JSON instances                                         |
|                    |          | `{polygon, transcript, ignore, language, score}`; one `meta` record about them all   |
| `Sample`           | numpy    | `image (H,W,3) uint8 RGB`; `polygons: (K,2) float32 px each`; `transcripts`;         |
|                    |          | `ignore (N,) bool`                                                                   |
| after `transforms` | `Sample` | same type, same invariants; image and polygons change in one call; nothing in place  |
| `targets`          | numpy    | what the detector learns: maps at its stride and what counts in them, or boxes       |
| `Batch`            | torch    | `image (B,3,H,W)`, targets stacked, the R regions to read, their tokens; R may be 0  |
| model output       | torch    | the detector's maps, `text_logits (R,T,C)`                                           |
| loss               | dict     | named terms; the total is their weighted sum; a head that is off is absent, never 0  |
| `Prediction`       | numpy    | per image `TextInstance(polygon, text, score, text_score)`, pixels of the original   |
| metric             | dict     | `update(prediction, sample)`, `compute() -> {"icdar2015/end_to_end/hmean": ...}`     |

Fixed once: pixels, x right, y down, origin at the top-left corner of the image; corners clockwise as seen, the first
one where reading starts (TL, TR, BR, BL); boxes `xyxy`; sizes `(height, width)`, points `(x, y)`; radians;
probabilities in [0, 1] until printing; RGB inside.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np


def check_polygon(polygon: np.ndarray, what: str) -> None:
    """A ValueError that begins with `what` unless the polygon is of shape (K, 2), K at least 3, and finite."""
    if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
        raise ValueError(f"{what}: expected a polygon of shape (K, 2) with K >= 3, found shape {polygon.shape}")
    if not np.isfinite(polygon).all():
        raise ValueError(f"{what}: the polygon holds coordinates that are not finite numbers")


@dataclass(frozen=True, eq=False)
class Sample:
    """One annotated image. `name` says in messages which one; ignored instances (`###`) count neither way."""

    image: np.ndarray
    polygons: Sequence[np.ndarray]
    transcripts: Sequence[str]
    ignore: np.ndarray
    name: str = ""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"{self.name}: expected an image of shape (H, W, 3) and type uint8, "
                f"found {self.image.shape} {self.image.dtype}"
            )
        if not len(self.polygons) == len(self.transcripts) == len(self.ignore):
            raise ValueError(
                f"{self.name}: {len(self.polygons)} polygons, {len(self.transcripts)} transcripts "
                f"and {len(self.ignore)} ignore flags; expected as many of each"
            )
        if not isinstance(self.ignore, np.ndarray) or self.ignore.dtype != bool:  # ~ of an integer is none of its flags
            raise ValueError(f"{self.name}: expected ignore as an array of bool, found {self.ignore!r}")
        for number, polygon in enumerate(self.polygons):
            check_polygon(polygon, f"{self.name}: instance {number}")

    def __len__(self) -> int:
        return len(self.polygons)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image."""
        return self.image.shape[0], self.image.shape[1]


@dataclass(frozen=True, eq=False)
class TextInstance:
    """One piece of text that was found. Unpacks as `polygon, text, score`.

    `score` in [0, 1] says how sure the spotter is: the detector's score, that this region is one piece of text, times
    `text_score` to the power `postprocess.text_power`. `text_score` in [0, 1] is the reader's: the geometric mean, over
    the time steps of the best path, of the probability of the class it chose; with a language, the same root of the
    probability of all paths that spell the text, a little less if that is no word. A lexicon may raise both: see
    `text.lexicon`.
    """

    polygon: np.ndarray
    text: str
    score: float
    text_score: float = 1.0

    def __post_init__(self) -> None:
        check_polygon(self.polygon, f"text instance {self.text!r}")
        for name, score in (("score", self.score), ("text_score", self.text_score)):
            if not 0 <= score <= 1:
                raise ValueError(f"text instance {self.text!r}: {name} is {score}, expected a value in [0, 1]")

    def __iter__(self) -> Iterator[Any]:
        return iter((self.polygon, self.text, self.score))


@dataclass(frozen=True, eq=False)
class Prediction(Sequence):
    """What was found in one image, in pixels of the original image: a sequence of `TextInstance`."""

    instances: tuple[TextInstance, ...]
    size: tuple[int, int]
    name: str = field(default="")

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, index):
        return self.instances[index]

    def with_texts(self, texts: Sequence[str | None]) -> "Prediction":
        """The same with a text for each instance; an instance whose text is None is left out."""
        instances = zip(self.instances, texts, strict=True)
        kept = tuple(replace(instance, text=text) for instance, text in instances if text is not None)
        return replace(self, instances=kept)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"image", "width", "height", "instances": [{"polygon", "text", "score", "text_score"}]}`."""
        return {
            "image": self.name,
            "width": self.size[1],
            "height": self.size[0],
            "instances": [
                {
                    "polygon": [[round(float(x), 2), round(float(y), 2)] for x, y in instance.polygon],
                    "text": instance.text,
                    "score": round(float(instance.score), 4),
                    "text_score": round(float(instance.text_score), 4),
                }
                for instance in self.instances
            ],
        }
