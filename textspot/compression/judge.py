"""What a quantised spotter still finds and reads, beside the float one, image by image. Legend: N images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import LOWEST_THRESHOLD, PROTOCOLS, THRESHOLD_PROTOCOL, predict_dataset
from textspot.inference import Spotter
from textspot.metrics.bootstrap import Difference, count_credits, hmean_difference, pooled_hmean
from textspot.metrics.thresholds import score_two_fold
from textspot.progress import Track, untracked


@dataclass(frozen=True)
class Judgement:
    """The credits (N, 4) of every image of a data set by protocol (see `count_credits`), each image at the threshold
    that is best on the other half of the images."""

    credits: Mapping[str, np.ndarray]

    def hmeans(self) -> dict[str, float]:
        """Pooled over the images, by protocol."""
        return {protocol: float(pooled_hmean(values.sum(axis=0))) for protocol, values in self.credits.items()}

    def gain_over(self, other: "Judgement") -> Difference:
        """By how much the end-to-end hmean is higher than another one on the same images."""
        return hmean_difference(other.credits[THRESHOLD_PROTOCOL], self.credits[THRESHOLD_PROTOCOL])

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {protocol: values.tolist() for protocol, values in self.credits.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Judgement":
        """Of the JSON form."""
        return cls({protocol: np.array(credits) for protocol, credits in values.items()})


def judge_spotter(spotter: Spotter, reader: Reader, track: Track = untracked) -> Judgement:
    """Judge a spotter on a data set; its threshold is set to where nothing is lost."""
    spotter.threshold = LOWEST_THRESHOLD
    predictions, ground_truths = predict_dataset(spotter, reader, track)
    scored = {name: score_two_fold(name, predictions, ground_truths)[0] for name in PROTOCOLS}
    return Judgement({name: count_credits(list(protocol.results.values())) for name, protocol in scored.items()})
