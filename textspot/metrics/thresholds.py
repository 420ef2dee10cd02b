"""The score from which on a detection is kept: chosen on some images, measured on others.

An end-to-end protocol never sees a detection with an empty text here: a spotter does not report what it could not read.
(The official scripts, and so `score_files`, count such a line of a result file as a false alarm.)
"""

from collections.abc import Iterable, Sequence

import numpy as np

from textspot.metrics.protocols import AnnotatedImage, ImageResult, Protocol, build_protocol, compare, pool_figures
from textspot.structures import Prediction

MOST_CANDIDATES = 50


def select_threshold(
    protocol_name: str, predictions: Sequence[Prediction], ground_truths: Sequence[AnnotatedImage]
) -> tuple[float, float]:
    """The score threshold with the best pooled hmean, and that hmean; of equal ones the lowest threshold.

    A detection is kept when its `score` is at or above the threshold. Candidates are the scores that occur, or 50
    quantiles of them if there are more. Without any detection the threshold is 0.
    """
    _check_pairs(predictions, ground_truths)
    protocol = build_protocol(protocol_name)
    candidates = _candidates(predictions)
    by_image = [
        _score_at(protocol, prediction, ground_truth, candidates)
        for prediction, ground_truth in zip(predictions, ground_truths, strict=True)
    ]
    hmeans = [pool_figures(results[index] for results in by_image).hmean for index in range(len(candidates))]
    best = int(np.argmax(hmeans))
    return float(candidates[best]), hmeans[best]


def two_fold(
    protocol_name: str, predictions: Sequence[Prediction], ground_truths: Sequence[AnnotatedImage]
) -> dict[str, float]:
    """Figures at thresholds that were not chosen on the images they are measured on.

    The threshold that is best on the images at even positions scores those at odd positions and the other way round;
    the counts of both halves are pooled. Returns `{"<protocol>/precision", ".../recall", ".../hmean"}` and the two
    thresholds, `".../threshold_even"` (applied to the even half, chosen on the odd one) and `".../threshold_odd"`. The
    order of the images decides the halves: keep it fixed. Raises `ValueError` for fewer than two images.
    """
    _check_pairs(predictions, ground_truths)
    if len(predictions) < 2:
        raise ValueError(
            f"expected at least two images to choose a threshold on other images, found {len(predictions)}"
        )
    protocol = build_protocol(protocol_name)
    threshold_even, _ = select_threshold(protocol_name, predictions[1::2], ground_truths[1::2])
    threshold_odd, _ = select_threshold(protocol_name, predictions[0::2], ground_truths[0::2])
    for position, (prediction, ground_truth) in enumerate(zip(predictions, ground_truths, strict=True)):
        threshold = threshold_odd if position % 2 else threshold_even
        (result,) = _score_at(protocol, prediction, ground_truth, [threshold])
        protocol.add(str(position), result)
    return {
        **protocol.compute(),
        f"{protocol_name}/threshold_even": threshold_even,
        f"{protocol_name}/threshold_odd": threshold_odd,
    }


def _score_at(
    protocol: Protocol, prediction: Prediction, ground_truth: AnnotatedImage, thresholds: Iterable[float]
) -> list[ImageResult]:
    """One result per threshold (ascending); the polygons are measured once."""
    comparison = compare(prediction, ground_truth)
    scores = np.array([instance.score for instance in prediction])
    read = np.array([bool(instance.text) or not protocol.reads for instance in prediction], dtype=bool)
    results: list[ImageResult] = []
    kept_before = -1
    for threshold in thresholds:
        keep = read & (scores >= threshold)
        if keep.sum() != kept_before:
            result = protocol.rule.score(comparison.keep_detections(keep))
            kept_before = keep.sum()
        results.append(result)
    return results


def _candidates(predictions: Sequence[Prediction]) -> np.ndarray:
    """Ascending thresholds worth trying, at least one."""
    scores = np.unique([instance.score for prediction in predictions for instance in prediction])
    if not len(scores):
        return np.zeros(1)
    if len(scores) <= MOST_CANDIDATES:
        return scores
    return np.unique(np.quantile(scores, np.linspace(0, 1, MOST_CANDIDATES), method="nearest"))


def _check_pairs(predictions: Sequence[Prediction], ground_truths: Sequence[AnnotatedImage]) -> None:
    if len(predictions) != len(ground_truths):
        raise ValueError(
            f"{len(predictions)} predictions for {len(ground_truths)} ground truths; expected one for each"
        )
