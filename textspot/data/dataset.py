"""From several sources to training examples, each a function of (seed, position in the stream) alone."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal

import numpy as np

from textspot.batch import Example, Labeler, Targets
from textspot.data.annotation import MOST_OF_AN_END
from textspot.data.mixture import Mixture, TrainingSource
from textspot.data.mosaic import MosaicConfig
from textspot.data.shards import CacheConfig
from textspot.data.synthetic.draw import DrawConfig, DrawnStream, StreamConfig
from textspot.data.transforms import TransformConfig, augment, fill_view, place_camera
from textspot.geometry import ribbon_section, ribbon_size, ribbon_sizes
from textspot.given_settings import refuse_changed
from textspot.ranges import NonNegative, NonNegativeInt, Share, check_ranges
from textspot.stores import is_remote
from textspot.structures import Sample
from textspot.text.charset import Charset, TextConfig, normalize
from textspot.text.ctc import min_time_steps

Trains = Literal["both", "detector", "recognizer"]
OF_TRAINING = ("weight", "mosaic", "trains", "least_score")  # what a source of validation images must not set
TOO_LONG = "too long for the time steps"  # why a word does not train the recogniser: CTC cannot represent it


@dataclass(frozen=True)
class SourceConfig:
    """Images from one LMDB or from shards, or rendered one by one as training asks for them.

    Args:
        path: folder of the LMDB, or folder or URL of shards, as `textspot prepare build` writes them.
        weight: how often its images are used, relative to the other sources.
        draw: settings of synthetic images, which are rendered if the LMDB does not exist yet.
        stream: settings of synthetic images, which are rendered during training instead of read from an LMDB. No image
            repeats. Rendering an image takes about as long as training on it.
        mosaic: settings by which the word crops of the LMDB are placed on larger images, in ever new arrangements; they
            train the recogniser only.
        trains: what learns from it: `both`, `detector` for words without transcripts, or `recognizer` if some words are
            not annotated at all, which would mislead the detector.
        least_score: minimum score of labels by another OCR program; words below it do not train the recogniser.
        cache: local folder that keeps samples of shards from a store, as {path: FOLDER, max_gb: 10}.
    """

    ONLY_WITH: ClassVar = dict.fromkeys(("draw", "mosaic", "least_score", "cache"), ("path",))  # a stream has none

    path: str | None = None
    weight: float = 1.0
    draw: DrawConfig | None = None
    stream: StreamConfig | None = None
    mosaic: MosaicConfig | None = None
    trains: Trains = "both"
    least_score: Share = 0.0
    cache: CacheConfig | None = None


@dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    Args:
        train: the sources of training images.
        validation: the source of the validation images.
        also_evaluate: more LMDBs to evaluate on, as {name: path}, such as the data that given weights were trained on.
            They use the score threshold chosen on `validation`, and do not decide which weights are best.
        also_read: more LMDBs, as {name: path}, whose annotated words are read at each evaluation, such as word crops.
        image_size: height and width of the training images in pixels, divisible by 32; they are cut from the
            photographs.
        min_text_height: minimum height and width of a word in pixels, after augmentation; smaller words are ignored.
        max_regions: maximum number of words per training image that train the recogniser. If there are more, they are
            chosen at random.
        region_jitter: move the corners of each word's region at random by up to this share of the word's height.
        end_jitter: move each end of a word's region along the line by a random amount between these two, in heights of
            the word; negative amounts shorten the region.
        max_damaged: maximum share of damaged records; training stops if more are damaged.
        num_workers: processes that prepare images; 0 prepares them in the training process.
        transforms: augmentation.
    """

    ONLY_WITH: ClassVar = dict.fromkeys([f"validation.{name}" for name in OF_TRAINING], ())

    train: tuple[SourceConfig, ...]
    validation: SourceConfig
    also_evaluate: dict[str, str] = field(default_factory=dict)
    also_read: dict[str, str] = field(default_factory=dict)
    image_size: tuple[int, int] = (512, 512)
    min_text_height: NonNegative = 6.0
    max_regions: NonNegativeInt = 32
    region_jitter: NonNegative = 0.08
    end_jitter: tuple[float, float] = (0.0, 0.0)
    max_damaged: NonNegative = 0.01
    num_workers: NonNegativeInt = 2
    transforms: TransformConfig = field(default_factory=TransformConfig)

    def __post_init__(self) -> None:
        if any(side % 32 or side <= 0 for side in self.image_size):
            raise ValueError(f"data.image_size is {self.image_size}, expected multiples of 32")
        if not self.train or any(source.weight <= 0 for source in self.train):
            raise ValueError("data.train needs at least one source, each with a weight above 0")
        for number, source in enumerate(self.train):
            _check_source(source, f"data.train[{number}]")
        if self.validation.path is None or self.validation.stream:
            raise ValueError("data.validation.path is missing: an LMDB, to validate on the same images each time")
        refuse_changed(self, "data.")
        check_ranges(self, "data.")
        if not -0.5 < self.end_jitter[0] <= self.end_jitter[1]:
            raise ValueError(f"data.end_jitter is {list(self.end_jitter)}, expected two rising numbers above -0.5")


def _check_source(source: SourceConfig, name: str) -> None:
    if (source.path is None) == (source.stream is None):
        raise ValueError(f"{name} is made of either the path of an LMDB (and how to render it) or a stream")
    if source.draw and is_remote(str(source.path)):
        raise ValueError(f"{name}.draw renders an LMDB on this machine, and {source.path} is none: leave it out")
    refuse_changed(source, f"{name}.")
    if source.mosaic and source.trains != "recognizer":
        raise ValueError(f"{name}.trains is {source.trains}: a mosaic would mislead the detector, set `recognizer`")
    check_ranges(source, f"{name}.")


class TrainingStream:
    """Position -> Example. The sampler of a run is its position; nothing else has to be restored to resume it.

    Images longer than `max_side` are seen as small as inference sees them (`preprocess.max_side`), so that words have
    the same size in both; the zoom of the augmentation comes on top. `count_time_steps` says how many steps the
    recogniser has for a ribbon, `labeler` what an annotation means to the detector; both travel to worker processes,
    so they are functions that can be pickled.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSource],
        config: DataConfig,
        text: TextConfig,
        seed: int,
        max_side: int,
        count_time_steps: Callable[[np.ndarray], int],
        labeler: Labeler,
    ):
        empty = [
            str(source.path)
            for source, samples in zip(config.train, sources, strict=True)
            if not isinstance(samples, DrawnStream) and not len(samples)
        ]
        if empty:
            raise ValueError(f"no images to train on in {', '.join(empty)}")
        if labeler.draw_nothing is None and any(source.trains == "recognizer" for source in config.train):
            raise ValueError(
                "data.train[].trains is recognizer, and this detector cannot leave an image out: its labeler has no "
                "draw_nothing"
            )
        self.mixture = Mixture(sources, [source.weight for source in config.train], seed)
        self.config, self.text, self.seed, self.max_side = config, text, seed, max_side
        self.charset, self.count_time_steps, self.labeler = Charset(text.characters), count_time_steps, labeler

    def __getitem__(self, position: int) -> Example:
        rng = np.random.default_rng((self.seed, position))
        dropped: Counter[str] = Counter()
        camera = place_camera(self.config.transforms, rng)
        sample = self.mixture.sample(position, math.ceil(self.max_side * max(1, *camera.zoom)), dropped)
        camera = replace(camera, zoom=camera.zoom * min(1, self.max_side / max(sample.size)))
        camera = fill_view(camera, sample.size, self.config.image_size)
        view = augment(sample, camera, self.config.image_size, self.config.transforms, rng)
        return self._encode(view, self.trains(position), dropped, rng)

    def trains(self, position: int) -> Trains:
        """What the example at a position trains."""
        return self.config.train[self.mixture.source_at(position)].trains

    def _encode(self, sample: Sample, trains: Trains, dropped: Counter[str], rng: np.random.Generator) -> Example:
        ribbons = [self.labeler.outline(polygon) for polygon in sample.polygons]
        sizes = ribbon_sizes(np.array(ribbons))
        ignore = sample.ignore | (sizes.min(axis=1, initial=np.inf) < self.config.min_text_height)
        readable: list[np.ndarray] = []
        outlines: list[np.ndarray] = []
        tokens: list[list[int]] = []
        for number in rng.permutation(np.flatnonzero(~ignore)) if trains != "detector" else ():
            text = normalize(sample.transcripts[number], self.text.case)
            region = jitter_ribbon(ribbons[number], self.config.region_jitter * sizes[number, 0], rng)
            if any(self.config.end_jitter):
                region = jitter_ends(region, self.config.end_jitter, rng)
            reason = self._unreadable(text, region)
            if reason:
                dropped[reason] += 1
            elif len(readable) < self.config.max_regions:
                readable.append(region)
                outlines.append(ribbons[number])
                tokens.append(self.charset.encode(text))
        return Example(
            image=sample.image,
            targets=self._draw_targets(ribbons, ignore, sample.size, trains),
            ribbons=np.array(readable, dtype=np.float32).reshape(-1, 2, 4, 2),
            tokens=tokens,
            dropped=dict(dropped),
            outlines=np.array(outlines, dtype=np.float32).reshape(-1, 2, 4, 2),
            outlines_fit=trains == "both",
        )

    def _draw_targets(
        self, ribbons: Sequence[np.ndarray], ignore: np.ndarray, size: tuple[int, int], trains: Trains
    ) -> Targets:
        """What the detector learns: nothing where only the recogniser does."""
        if trains == "recognizer" and self.labeler.draw_nothing:
            return self.labeler.draw_nothing(size)
        return self.labeler.draw(ribbons, ignore, size)

    def _unreadable(self, text: str, region: np.ndarray) -> str | None:
        """Why a word trains the detector and not the recogniser; None if it trains both."""
        if not text:
            return "no transcript"
        if not self.charset.knows(text):
            return "character outside the charset"
        if min_time_steps(self.charset.encode(text)) > self.count_time_steps(region):
            return TOO_LONG
        return None


def jitter_ribbon(ribbon: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Move the four corners of a ribbon (2, 4, 2) by up to `amount` pixels each, what lies between them
    proportionally."""
    corners = rng.uniform(-amount, amount, size=(2, 2, 1, 2))
    along = np.arange(4)[:, None] / 3
    return ribbon + (1 - along) * corners[:, 0] + along * corners[:, 1]


def jitter_ends(ribbon: np.ndarray, outwards: tuple[float, float], rng: np.random.Generator) -> np.ndarray:
    """Move each end of a ribbon (2, 4, 2) outwards along the line by a random number of heights in a range; inwards
    below 0, by at most a quarter of the width."""
    height, width = ribbon_size(ribbon)
    shares = np.maximum(rng.uniform(*outwards, size=2) * height / max(width, 1.0), -MOST_OF_AN_END)
    return ribbon_section(ribbon, -shares[0], 1 + shares[1])
