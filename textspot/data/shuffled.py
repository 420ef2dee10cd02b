"""The samples of a data set in an endless order that depends on a seed alone."""

import warnings
from collections import Counter
from typing import Protocol

import numpy as np

from textspot.data.lmdb_records import DamagedRecordError
from textspot.structures import Sample


class SampleSource(Protocol):
    """Anything with samples by number: an LMDB reader, a list in a test.

    An image may come at a half, a quarter or an eighth of its size if it stays at least `least_side` pixels long.
    """

    def __len__(self) -> int: ...

    def sample(self, index: int, least_side: int) -> Sample: ...


class Shuffled:
    """The samples of a data set, epoch after epoch, each epoch in an order of its own."""

    def __init__(self, samples: SampleSource, seed: tuple[int, ...]):
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
