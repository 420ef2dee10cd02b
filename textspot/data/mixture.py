"""Sources mixed into one endless sequence of samples, each a function of (seed, position) alone."""

import warnings
from collections import Counter
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from textspot.data.lmdb_records import DamagedRecordError
from textspot.data.synthetic.draw import DrawnStream
from textspot.structures import Sample

ROUND = 1000  # positions after which the order of the sources repeats; weights are kept to a thousandth


class SampleSource(Protocol):
    """Anything with samples by number: an LMDB reader, a list in a test.

    An image may come at a half, a quarter or an eighth of its size if it stays at least `least_side` pixels long.
    """

    def __len__(self) -> int: ...

    def sample(self, index: int, least_side: int) -> Sample: ...


class Mixture:
    """Position -> sample. Data sets are shuffled anew whenever all their images were shown; streams never repeat."""

    def __init__(self, sources: Sequence[SampleSource | DrawnStream], weights: Sequence[float], seed: int):
        self.sources = [
            source if isinstance(source, DrawnStream) else _Shuffled(source, (seed, number))
            for number, source in enumerate(sources)
        ]
        turns = np.repeat(np.arange(len(sources)), _turns(weights))
        self.order = np.random.default_rng(seed).permutation(turns)

    def sample(self, position: int, least_side: int, dropped: Counter[str]) -> Sample:
        """The sample at a position, its image as large as `SampleSource` says; damaged records that it stands for are
        named in warnings and counted in `dropped`."""
        round_number, turn = divmod(position, ROUND)
        turns = self.order == self.order[turn]
        number = round_number * int(turns.sum()) + int(turns[:turn].sum())
        source = self.sources[self.order[turn]]
        if isinstance(source, DrawnStream):
            return source.sample(number)
        return source.sample(number, least_side, dropped)


def _turns(weights: Sequence[float]) -> np.ndarray:
    """How many of the ROUND positions of a round each source has: proportional to its weight, and one at least."""
    shares = np.array(weights) / np.sum(weights) * ROUND
    turns = np.maximum(1, np.floor(shares)).astype(int)
    turns[np.argmax(shares)] += ROUND - turns.sum()
    return turns


class _Shuffled:
    """The samples of a data set, epoch after epoch, each epoch in an order of its own."""

    def __init__(self, samples: SampleSource, seed: tuple[int, int]):
        self.samples, self.seed = samples, seed
        self._epoch, self._order = -1, np.arange(0)  # of the last sample, kept for the next

    def sample(self, number: int, least_side: int, dropped: Counter[str]) -> Sample:
        """Draw number `number`; a damaged record is named, counted and replaced by the next one."""
        epoch, offset = divmod(number, len(self.samples))
        if epoch != self._epoch:
            self._epoch, self._order = epoch, np.random.default_rng((*self.seed, epoch)).permutation(len(self.samples))
        damage = ""
        for skipped in range(len(self._order)):
            try:
                return self.samples.sample(int(self._order[(offset + skipped) % len(self._order)]), least_side)
            except DamagedRecordError as error:
                damage = str(error)
                warnings.warn(damage, stacklevel=1)
                dropped["damaged record"] += 1
        raise ValueError(f"every record is damaged; build it again. The last one: {damage}")
