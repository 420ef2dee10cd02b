"""What a quantised spotter still finds and reads, beside the float one, image by image. Legend: N images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import PROTOCOLS, THRESHOLD_PROTOCOL, score_dataset
from textspot.inference.spotter import Spotter
from textspot.metrics.bootstrap import Difference, count_credits, hmean_difference, pooled_hmean
from textspot.progress import Track, untracked


@dataclass(frozen=True)
class Accuracy:
    """The credits (N, 4) of every image of a data set by protocol (see `count_credits`)."""

    credits: Mapping[str, np.ndarray]

    def hmeans(self) -> dict[str, float]:
        """Pooled over the images, by protocol."""
        return {protocol: float(pooled_hmean(values.sum(axis=0))) for protocol, values in self.credits.items()}

    def gain_over(self, other: "Accuracy") -> Difference:
        """By how much the end-to-end hmean is higher than another one on the same images."""
        return hmean_difference(other.credits[THRESHOLD_PROTOCOL], self.credits[THRESHOLD_PROTOCOL])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {protocol: values.tolist() for protocol, values in self.credits.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Accuracy":
        """Of the JSON form."""
        return cls({protocol: np.array(credits) for protocol, credits in values.items()})


def measure_accuracy(spotter: Spotter, reader: Reader, track: Track = untracked) -> Accuracy:
    """The accuracy of a spotter on a data set at its threshold: what a user gets."""
    scores = score_dataset(PROTOCOLS, spotter, reader, track=track)
    return Accuracy({protocol.name: count_credits(list(protocol.results.values())) for protocol in scores.protocols})
