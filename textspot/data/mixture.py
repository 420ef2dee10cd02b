"""Sources mixed into one endless sequence of samples, each a function of (seed, position) alone."""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from textspot.data.mosaic import Mosaic
from textspot.data.shuffled import SampleSource, Shuffled
from textspot.data.synthetic.draw import DrawnStream
from textspot.structures import Sample

ROUND = 1000  # positions after which the order of the sources repeats; weights are kept to a thousandth

TrainingSource = SampleSource | DrawnStream | Mosaic


class Mixture:
    """Position -> sample. Data sets are shuffled anew whenever all their images were shown; streams and mosaics never
    repeat."""

    def __init__(self, sources: Sequence[TrainingSource], weights: Sequence[float], seed: int):
        self.sources = [
            source if isinstance(source, DrawnStream | Mosaic) else Shuffled(source, (seed, number))
            for number, source in enumerate(sources)
        ]
        turns = np.repeat(np.arange(len(sources)), _turns(weights))
        self.order = np.random.default_rng(seed).permutation(turns)

    def source_at(self, position: int) -> int:
        """The number of the source that the sample at a position comes from."""
        return int(self.order[position % ROUND])

    def sample(self, position: int, least_side: int, dropped: Counter[str]) -> Sample:
        """The sample at a position, its image as large as `SampleSource` says; damaged records that it stands for are
        named in warnings and counted in `dropped`."""
        round_number, turn = divmod(position, ROUND)
        turns = self.order == self.order[turn]
        number = round_number * int(turns.sum()) + int(turns[:turn].sum())
        source = self.sources[self.order[turn]]
        if isinstance(source, DrawnStream):
            return source.sample(number)
        if isinstance(source, Mosaic):
            return source.sample(number, dropped)
        return source.sample(number, least_side, dropped)


def _turns(weights: Sequence[float]) -> np.ndarray:
    """How many of the ROUND positions of a round each source has: proportional to its weight, and one at least."""
    shares = np.array(weights) / np.sum(weights) * ROUND
    turns = np.maximum(1, np.floor(shares)).astype(int)
    turns[np.argmax(shares)] += ROUND - turns.sum()
    return turns
