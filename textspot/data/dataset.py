"""From several LMDBs to training examples, each a function of (seed, position in the stream) alone."""

import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

import numpy as np

from textspot.batch import Example
from textspot.data.lmdb_records import DamagedRecordError
from textspot.data.synthetic.draw import DrawConfig
from textspot.data.targets import Labeler
from textspot.data.transforms import TransformConfig, augment
from textspot.geometry import ribbon_size
from textspot.structures import Sample
from textspot.text.charset import Charset, TextConfig, normalize
from textspot.text.ctc import min_time_steps

ROUND = 1000  # positions after which the order of the sources repeats; weights are kept to a thousandth


@dataclass(frozen=True)
class SourceConfig:
    """One LMDB of images.

    Args:
        path: the LMDB's folder, as `datasets/prepare.py` writes it.
        weight: how often it is drawn from, relative to the other sources.
        draw: how to draw it if it does not exist yet.
    """

    path: str
    weight: float = 1.0
    draw: DrawConfig | None = None


@dataclass(frozen=True)
class DataConfig:
    """What is learned from.

    Args:
        train: the sources of training images.
        validation: the source of the images that training is judged by.
        image_size: height and width in pixels of the training crops, divisible by 32.
        min_text_height: words lower or narrower than this many pixels after augmentation are ignored.
        max_regions: at most this many words are read in one training image, chosen at random.
        region_jitter: by how much the corners of the regions to read are moved, as a share of the word's height.
        max_damaged: training stops when a larger share of the records turns out damaged.
        num_workers: processes that prepare images; 0 prepares them in the training process.
        transforms: augmentation.
    """

    train: tuple[SourceConfig, ...]
    validation: SourceConfig
    image_size: tuple[int, int] = (512, 512)
    min_text_height: float = 6.0
    max_regions: int = 32
    region_jitter: float = 0.08
    max_damaged: float = 0.01
    num_workers: int = 2
    transforms: TransformConfig = field(default_factory=TransformConfig)

    def __post_init__(self) -> None:
        if any(side % 32 or side <= 0 for side in self.image_size):
            raise ValueError(f"data.image_size is {self.image_size}, expected multiples of 32")
        if not self.train or any(source.weight <= 0 for source in self.train):
            raise ValueError("data.train needs at least one source, each with a weight above 0")
        for name in ("min_text_height", "max_regions", "region_jitter", "max_damaged", "num_workers"):
            if getattr(self, name) < 0:
                raise ValueError(f"data.{name} is {getattr(self, name)}, expected at least 0")


class SampleSource(Protocol):
    """Anything with samples by number: an LMDB reader, a list in a test."""

    def __len__(self) -> int: ...

    def sample(self, index: int) -> Sample: ...


class TrainingStream:
    """Position -> Example. The sampler of a run is its position; nothing else has to be restored to resume it.

    `count_time_steps` says how many steps the reader has for a ribbon, `labeler` what an annotation means to the
    detector; both travel to worker processes, so they are functions that can be pickled.
    """

    def __init__(
        self,
        sources: Sequence[SampleSource],
        config: DataConfig,
        text: TextConfig,
        seed: int,
        count_time_steps: Callable[[np.ndarray], int],
        labeler: Labeler,
    ):
        empty = [source.path for source, samples in zip(config.train, sources, strict=True) if len(samples) == 0]
        if empty:
            raise ValueError(f"no images to train on in {', '.join(empty)}")
        self.sources, self.config, self.text, self.seed = sources, config, text, seed
        self.charset, self.count_time_steps, self.labeler = Charset(text.characters), count_time_steps, labeler
        self.order = np.random.default_rng(seed).permutation(
            np.repeat(np.arange(len(sources)), _turns([source.weight for source in config.train]))
        )

    def __getitem__(self, position: int) -> Example:
        rng = np.random.default_rng((self.seed, position))
        round_number, turn = divmod(position, ROUND)
        source = int(self.order[turn])
        turns = self.order == source
        draw = round_number * int(turns.sum()) + int(turns[:turn].sum())
        dropped: Counter[str] = Counter()
        sample = self._sample(source, draw, dropped)
        view = augment(sample, self.config.image_size, self.config.transforms, rng)
        return self._encode(view, dropped, rng)

    def _sample(self, source: int, draw: int, dropped: Counter[str]) -> Sample:
        """Draw number `draw` of the source's own endless shuffle; a damaged record is named, counted and replaced by
        the next one."""
        samples = self.sources[source]
        epoch, offset = divmod(draw, len(samples))
        shuffled = _shuffled(self.seed, source, epoch, len(samples))
        for skipped in range(len(samples)):
            try:
                return samples.sample(int(shuffled[(offset + skipped) % len(samples)]))
            except DamagedRecordError as error:
                warnings.warn(str(error), stacklevel=1)
                dropped["damaged record"] += 1
        raise ValueError(f"{self.config.train[source].path}: every record is damaged; build it again")

    def _encode(self, sample: Sample, dropped: Counter[str], rng: np.random.Generator) -> Example:
        ribbons = [self.labeler.outline(polygon) for polygon in sample.polygons]
        sizes = np.array([ribbon_size(ribbon) for ribbon in ribbons]).reshape(-1, 2)
        ignore = sample.ignore | (sizes.min(axis=1, initial=np.inf) < self.config.min_text_height)
        readable: list[np.ndarray] = []
        tokens: list[list[int]] = []
        for number in rng.permutation(np.flatnonzero(~ignore)):
            text = normalize(sample.transcripts[number], self.text.case)
            region = jitter_ribbon(ribbons[number], self.config.region_jitter * sizes[number, 0], rng)
            reason = self._unreadable(text, region)
            if reason:
                dropped[reason] += 1
            elif len(readable) < self.config.max_regions:
                readable.append(region)
                tokens.append(self.charset.encode(text))
        return Example(
            image=sample.image,
            targets=self.labeler.draw(ribbons, ignore, sample.size),
            ribbons=np.array(readable, dtype=np.float32).reshape(-1, 2, 4, 2),
            tokens=tokens,
            dropped=dict(dropped),
        )

    def _unreadable(self, text: str, region: np.ndarray) -> str | None:
        """Why a word trains the detector and not the reader; None if it trains both."""
        if not text:
            return "no transcript"
        if not self.charset.knows(text):
            return "character outside the charset"
        if min_time_steps(self.charset.encode(text)) > self.count_time_steps(region):
            return "longer than the time axis"
        return None


def _turns(weights: Sequence[float]) -> np.ndarray:
    """How many of the ROUND positions of a round each source has: proportional to its weight, and one at least."""
    shares = np.array(weights) / np.sum(weights) * ROUND
    turns = np.maximum(1, np.floor(shares)).astype(int)
    turns[np.argmax(shares)] += ROUND - turns.sum()
    return turns


@lru_cache(maxsize=8)
def _shuffled(seed: int, source: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng((seed, source, epoch)).permutation(count)


def jitter_ribbon(ribbon: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """Move the four corners of a ribbon (2, 4, 2) by up to `amount` pixels each, what lies between them
    proportionally."""
    corners = rng.uniform(-amount, amount, size=(2, 2, 1, 2))
    along = np.arange(4)[:, None] / 3
    return ribbon + (1 - along) * corners[:, 0] + along * corners[:, 1]
