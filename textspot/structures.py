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

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageOps

from textspot.drawing.labels import draw_labels
from textspot.drawing.outlines import draw_outlines
from textspot.drawing.page import Label
from textspot.extras import MissingExtraError
from textspot.geometry import polygon_to_box
from textspot.image_files import read_image
from textspot.layout import arrange

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_SHOWN = 60  # characters of a text, in a repr
COLUMNS = (
    *("image", "page", "paragraph", "line", "word", "text", "score", "text_score"),
    *("left", "top", "right", "bottom", "polygon"),
)


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
    `text_score` to the power `postprocess.text_power`. `text_score` in [0, 1] is the recogniser's: the geometric mean,
    over the time steps of the best path, of the probability of the class it chose; with a language, the same root of
    the probability of all paths that spell the text, a little less if that is no word. A lexicon may raise both: see
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

    def __repr__(self) -> str:
        x, y = self.polygon.mean(axis=0)
        return f"TextInstance({self.text!r}, score={self.score:.2f}, at=({x:.0f}, {y:.0f}))"


@dataclass(frozen=True, eq=False, repr=False)
class Line(Sequence[TextInstance]):
    """The words of a line, from its start to its end."""

    words: tuple[TextInstance, ...]

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index):
        return self.words[index]

    @property
    def text(self) -> str:
        """The words with spaces between them."""
        return " ".join(word.text for word in self.words)

    @property
    def polygon(self) -> np.ndarray:
        """The outline (K, 2) in pixels: the upper edges of the words, then the lower ones backwards."""
        edges = [np.array_split(word.polygon, [(len(word.polygon) + 1) // 2]) for word in self.words]
        return np.concatenate([*(upper for upper, _ in edges), *(lower for _, lower in reversed(edges))])

    def __repr__(self) -> str:
        return f"Line({self.text!r})"


@dataclass(frozen=True, eq=False, repr=False)
class Paragraph(Sequence[Line]):
    """Lines that stand below one another in one size, from the first to the last."""

    lines: tuple[Line, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def __getitem__(self, index):
        return self.lines[index]

    @property
    def text(self) -> str:
        """The lines, each on one of its own. Hyphens at their ends stay."""
        return "\n".join(line.text for line in self.lines)

    def __repr__(self) -> str:
        return f"Paragraph({self.text!r})"


@dataclass(frozen=True, eq=False)
class Prediction(Sequence[TextInstance]):
    """What was found in one image, in pixels of the original image: a sequence of `TextInstance`, best score first.

    `name` is that of the file; `page` the number, from 1, of the page or frame of a file that holds several. `text`,
    `lines()` and `paragraphs()` hold what was read in reading order; a region without text is in none of them.
    """

    instances: tuple[TextInstance, ...]
    size: tuple[int, int]
    name: str = ""
    page: int | None = None

    def __len__(self) -> int:
        return len(self.instances)

    def __getitem__(self, index):
        return self.instances[index]

    def with_texts(self, texts: Sequence[str | None]) -> "Prediction":
        """The same with a text for each instance; an instance whose text is None is left out."""
        instances = zip(self.instances, texts, strict=True)
        kept = tuple(replace(instance, text=text) for instance, text in instances if text is not None)
        return replace(self, instances=kept)

    def paragraphs(self) -> tuple[Paragraph, ...]:
        """The paragraphs, lines and words in reading order; none where nothing was read. How: `textspot.layout`."""
        return self._paragraphs

    @cached_property
    def _paragraphs(self) -> tuple[Paragraph, ...]:
        words = [instance for instance in self.instances if instance.text]
        return tuple(
            Paragraph(tuple(Line(tuple(words[number] for number in line)) for line in lines))
            for lines in arrange([word.polygon for word in words])
        )

    def lines(self) -> tuple[Line, ...]:
        """The lines in reading order."""
        return tuple(line for paragraph in self.paragraphs() for line in paragraph)

    @property
    def text(self) -> str:
        """All that was read in reading order: a line of text for each line, a blank one between paragraphs."""
        return "\n\n".join(paragraph.text for paragraph in self.paragraphs())

    def __repr__(self) -> str:
        """The name, the number of instances and the beginning of the text."""
        page = "" if self.page is None else f" page {self.page}"
        text = " ".join(self.text.split())
        shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
        return f"<Prediction {self.name or 'image'}{page}: {len(self)} found: {shown!r}>"

    def _repr_html_(self) -> str:
        """The outlines with their texts, as a notebook shows them."""
        caption = f"{self.name or 'image'}: {len(self)} found"
        return draw_outlines(self.size, [(one.polygon, one.text) for one in self.instances], caption)

    def plot(self, image: Image.Image | np.ndarray | str | os.PathLike | None = None) -> Image.Image:
        """A picture of what was found: the outlines and their texts on the image, an RGB array (H, W, 3) uint8, a
        Pillow image or a path; without one, on the file of the prediction's name. A ValueError where that is no file
        of one image, and where the image is of another size."""
        pixels = self._open() if image is None else _to_pixels(image)
        if pixels.shape[:2] != self.size:
            raise ValueError(f"the image is {pixels.shape[:2]} high and wide, the prediction was made on {self.size}")
        return draw_labels(pixels, [Label(one.polygon, one.text) for one in self.instances])

    def _open(self) -> np.ndarray:
        if self.page is not None or not os.path.isfile(self.name):
            kept = f"page {self.page} of {self.name}" if self.page is not None else self.name or "no file"
            raise ValueError(f"the prediction is of {kept}, whose pixels it does not hold: give them, as plot(image)")
        return read_image(self.name)

    def to_dataframe(self) -> "DataFrame":
        """A pandas table, a row for each word in reading order: text, score, text_score, paragraph, line and word
        counted from 1, left, top, right, bottom, polygon; image and page where they are known. Needs pandas: without
        it an ImportError says how to install it."""
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError("pandas is not installed: pip install pandas") from error
        return pandas.DataFrame(list(self.to_rows()), columns=list(COLUMNS))

    def to_rows(self) -> Iterator[dict[str, Any]]:
        """The words in reading order, as `to_dataframe` has them."""
        for number, paragraph in enumerate(self.paragraphs(), start=1):
            for line_number, line in enumerate(paragraph, start=1):
                for word_number, word in enumerate(line, start=1):
                    box = [round(float(side), 2) for side in polygon_to_box(word.polygon)]
                    place = (self.name, self.page, number, line_number, word_number)
                    polygon = np.round(word.polygon.astype(float), 2).tolist()
                    scores = round(float(word.score), 4), round(float(word.text_score), 4)
                    yield dict(zip(COLUMNS, (*place, word.text, *scores, *box, polygon), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: `{"image", "width", "height", "instances": [{"polygon", "text", "score", "text_score"}]}`, and
        `"page"` where there is one."""
        return {
            "image": self.name,
            **({} if self.page is None else {"page": self.page}),
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


def _to_pixels(image: Image.Image | np.ndarray | str | os.PathLike) -> np.ndarray:
    """An RGB array (H, W, 3) uint8 of what an image is given as."""
    if isinstance(image, Image.Image):
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    return image if isinstance(image, np.ndarray) else read_image(image)
