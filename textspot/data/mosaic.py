"""Word crops laid out in rows on images of their own, for the recogniser to learn from.

The detector must not learn from these images: where one crop ends and the next begins is no border of text, and the
lettering around a crop's word is not annotated.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from textspot.data.lmdb_records import Reader
from textspot.data.shuffled import Shuffled
from textspot.data.synthetic.chance import log_uniform, random_colour
from textspot.data.synthetic.surface import Photographs
from textspot.geometry import polygon_to_ribbon, ribbon_size
from textspot.ranges import NonNegativeInt, PositiveInt, check_ranges
from textspot.structures import Sample

FILLED = 1.0  # of the area: crops and gaps that are drawn for an image; at 1.15 the first find no room
PHOTOGRAPH_SHARE = 0.5  # of the grounds, where there are photographs
GAP = (0.2, 1.0)  # between crops, in heights of the crop: blanks between words are a third of a height and more


@dataclass(frozen=True)
class MosaicConfig:
    """Images made of the word crops of an LMDB.

    Args:
        seed: number of the sequence of images; sequences of different seeds have no image in common.
        size: height and width in pixels; the zoom of the augmentation comes on top.
        max_words: maximum number of crops on an image.
        text_height: smallest and largest height of a word in pixels, between which all sizes are equally likely.
        max_enlargement: maximum factor by which a crop is enlarged to reach its height.
        backgrounds: folder of photographs without text. Half of the images use one as background; the others have a
            plain colour.
    """

    seed: NonNegativeInt = 0
    size: tuple[int, int] = (512, 512)
    max_words: PositiveInt = 40
    text_height: tuple[float, float] = (10.0, 90.0)
    max_enlargement: float = 2.5
    backgrounds: str | None = None

    def __post_init__(self) -> None:
        check_ranges(self, "mosaic.")
        if min(self.size) < 1 or self.max_enlargement <= 0:
            raise ValueError(
                f"mosaic: size {list(self.size)}, max_enlargement {self.max_enlargement}: expected numbers above 0"
            )
        if not 0 < self.text_height[0] <= self.text_height[1]:
            raise ValueError(f"mosaic: text_height is {list(self.text_height)}, expected two rising numbers above 0")


class Mosaic:
    """The images of a `MosaicConfig` by number; may be pickled to other processes.

    The crops come in a shuffled order, each once before any comes again.
    """

    def __init__(self, crops: Reader, config: MosaicConfig):
        if crops.meta.instances != crops.meta.count:
            raise ValueError(
                f"{crops.path}: holds {crops.meta}; a mosaic is laid of word crops, one instance per image: "
                "textspot prepare export-crops and then import-crops make them"
            )
        self.config, self.meta, self._crops = config, crops.meta, crops
        self._shuffled = Shuffled(crops, (config.seed,))
        self._photographs = Photographs(config.backgrounds) if config.backgrounds else None

    @property
    def identity(self) -> str:
        """What tells the crops from others: see `Reader.identity`."""
        return self._crops.identity

    def __len__(self) -> int:
        """How many crops there are."""
        return len(self._crops)

    def sample(self, number: int, dropped: Counter[str]) -> Sample:
        """Image `number` (0 and up); damaged crops that others stand for are counted in `dropped`."""
        rng = np.random.default_rng((self.config.seed, number))
        canvas = self._ground(rng)
        polygons: list[np.ndarray] = []
        transcripts: list[str] = []
        crops = self._choose(number, rng, dropped)
        for crop, corner in zip(crops, arrange([crop.size for crop in crops], self.config.size, rng), strict=True):
            if corner is not None:
                (left, top), (height, width) = corner, crop.size
                canvas[top : top + height, left : left + width] = crop.image
                polygons += [polygon + np.array(corner, dtype=np.float32) for polygon in crop.polygons]
                transcripts += crop.transcripts
        name = f"mosaic {self.config.seed}_{number:06d}"
        return Sample(canvas, polygons, transcripts, np.zeros(len(polygons), dtype=bool), name)

    def _choose(self, number: int, rng: np.random.Generator, dropped: Counter[str]) -> list[Sample]:
        """The next crops, each scaled to a random height, until they and the gaps around them fill the image."""
        crops: list[Sample] = []
        room = FILLED * self.config.size[0] * self.config.size[1]
        for draw in range(self.config.max_words):
            crop = self._shuffled.sample(number * self.config.max_words + draw, 1, dropped)
            scaled = self._scale(crop, rng)
            room -= np.prod(np.add(scaled.size, np.mean(GAP) * scaled.size[0]))
            if room < 0:
                break
            crops.append(scaled)
        return crops

    def _scale(self, crop: Sample, rng: np.random.Generator) -> Sample:
        """The crop with its word at a random height, as far as it may be enlarged and fits the image."""
        height = ribbon_size(polygon_to_ribbon(crop.polygons[0])[0])[0]
        scale = min(log_uniform(rng, *self.config.text_height) / height, self.config.max_enlargement)
        scale = min(scale, *(np.array(self.config.size) / crop.size))
        rows, columns = (max(1, int(scale * side)) for side in crop.size)
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(crop.image, (columns, rows), interpolation=method)
        factors = np.array([columns / crop.size[1], rows / crop.size[0]], dtype=np.float32)
        return Sample(image, [polygon * factors for polygon in crop.polygons], crop.transcripts, crop.ignore, crop.name)

    def _ground(self, rng: np.random.Generator) -> np.ndarray:
        height, width = self.config.size
        if self._photographs and rng.random() < PHOTOGRAPH_SHARE:
            return self._photographs.crop(rng, height, width)
        return np.broadcast_to(random_colour(rng).astype(np.uint8), (height, width, 3)).copy()


def arrange(
    sizes: Sequence[tuple[int, int]], frame: tuple[int, int], rng: np.random.Generator
) -> list[tuple[int, int] | None]:
    """Corners (left, top) of rectangles of `sizes` (height, width) in rows of a frame, apart from each other; None for
    one that finds no room.

    Rectangles of like height share a row, in which they stand at random heights; rows and gaps are in random order.
    """
    rows = _fill_rows(sizes, frame, rng)
    corners: list[tuple[int, int] | None] = [None] * len(sizes)
    shuffled = [rows[number] for number in rng.permutation(len(rows))]
    for row, top in zip(shuffled, _spread([row.height for row in shuffled], frame[0], rng), strict=True):
        members = rng.permutation(row.members)
        for member, left in zip(members, _spread([sizes[m][1] for m in members], frame[1], rng), strict=True):
            corners[member] = left, top + int(rng.integers(row.height - sizes[member][0] + 1))
    return corners


@dataclass
class _Row:
    height: int
    members: list[int]
    room: float


def _fill_rows(sizes: Sequence[tuple[int, int]], frame: tuple[int, int], rng: np.random.Generator) -> list[_Row]:
    """Rectangles, the highest first, row below row while there is room in the frame."""
    rows: list[_Row] = []
    for number in sorted(range(len(sizes)), key=lambda number: -sizes[number][0]):
        height, width = sizes[number]
        if not rows or width > rows[-1].room:
            rows.append(_Row(height, [], frame[1]))
        if sum(row.height for row in rows) > frame[0]:
            rows.pop()
            break
        rows[-1].members.append(number)
        rows[-1].room -= width + rng.uniform(*GAP) * height
    return rows


def _spread(lengths: Sequence[int], whole: int, rng: np.random.Generator) -> list[int]:
    """Where pieces of these lengths begin, one behind the other on `whole`, what is left spread at random before,
    between and behind them."""
    gaps = np.sort(rng.uniform(0, whole - sum(lengths), len(lengths)))
    return (np.cumsum([0, *lengths[:-1]])[: len(lengths)] + gaps).astype(int).tolist()
