"""Whether two sets of predictions of the same images differ by more than the choice of the images explains.

Legend: N images, B samples of N images each.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from textspot.metrics.rules import ImageResult

COVERED = 0.95  # of the samples lie in the interval


class Difference(NamedTuple):
    """A difference of two figures, and the 95 % interval of the paired bootstrap."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


def count_credits(results: Sequence[ImageResult]) -> np.ndarray:
    """What pooled figures are made of, image by image (N, 4): credit of words, words that count, credit of detections,
    detections that count."""
    return np.array(
        [[r.recall_credit, r.word_counts.sum(), r.precision_credit, r.detection_counts.sum()] for r in results],
        dtype=np.float64,
    ).reshape(-1, 4)


def hmean_difference(
    credits_N4: np.ndarray, others_N4: np.ndarray, num_samples: int = 10_000, seed: int = 0
) -> Difference:
    """The pooled hmean of the others minus that of the first, of credits (N, 4) of the same images in the same order.

    Paired bootstrap over images (Efron and Tibshirani 1993, chapter 16): each sample draws N images with replacement,
    the same for both sides; the interval lies between the 2.5 % and 97.5 % percentiles of the differences.
    """
    if credits_N4.shape != others_N4.shape or not len(credits_N4):
        raise ValueError(
            f"{len(credits_N4)} and {len(others_N4)} images; expected as many of both, the same, and at least one"
        )
    rng = np.random.default_rng(seed)
    num_images = len(credits_N4)
    drawn_BN = rng.multinomial(num_images, np.full(num_images, 1 / num_images), size=num_samples)
    differences_B = pooled_hmean(drawn_BN @ others_N4) - pooled_hmean(drawn_BN @ credits_N4)
    low, high = np.quantile(differences_B, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    value = pooled_hmean(others_N4.sum(axis=0)) - pooled_hmean(credits_N4.sum(axis=0))
    return Difference(float(value), float(low), float(high))


def pooled_hmean(credits: np.ndarray) -> np.ndarray:
    """Pooled hmeans (...,) of summed credits (..., 4); 0 where nothing counts, or nothing is right."""
    recall_credit, num_words, precision_credit, num_detections = np.moveaxis(credits, -1, 0)
    recall = recall_credit / np.maximum(num_words, 1)
    precision = precision_credit / np.maximum(num_detections, 1)
    return 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
