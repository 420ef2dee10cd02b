"""The score from which on a detection is kept: chosen on some images, measured on others; or all of them at once.

Where a threshold is chosen, an end-to-end protocol never sees a detection with an empty text: a spotter does not report
what it could not read. The official scripts, and so `score_files`, count such a line of a result file as a false alarm.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from textspot.metrics.protocols import AnnotatedImage, AnyLexicon, Protocol, build_protocol, compare
from textspot.metrics.rules import ImageResult, IouRule, pool_figures
from textspot.structures import Prediction

MOST_CANDIDATES = 50


def select_threshold(
    protocol_name: str,
    predictions: Sequence[Prediction],
    ground_truths: Sequence[AnnotatedImage],
) -> tuple[float, float]:
    """The score threshold with the best pooled hmean, and that hmean; of equal ones the lowest threshold.

    A detection is kept when its `score` is at or above the threshold. Candidates lie halfway between the scores that
    occur, or are 50 quantiles of these if there are more. Without any detection the threshold is 0.
    """
    _check_pairs(predictions, ground_truths)
    protocol = build_protocol(protocol_name, unread_counts=False)
    candidates = _candidates(predictions)
    by_image = [
        _score_at(candidates, protocol, prediction, ground_truth)
        for prediction, ground_truth in zip(predictions, ground_truths, strict=True)
    ]
    hmeans = [pool_figures(results[index] for results in by_image).hmean for index in range(len(candidates))]
    best = int(np.argmax(hmeans))
    return float(candidates[best]), hmeans[best]


def two_fold(
    protocol_name: str,
    predictions: Sequence[Prediction],
    ground_truths: Sequence[AnnotatedImage],
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
            f"expected at least two images to choose a threshold on other images, found {len(predictions)}: give the "
            "validation split more, by a wider `share` in the card of the data set"
        )
    protocol = build_protocol(protocol_name, unread_counts=False)
    threshold_even, _ = select_threshold(protocol_name, predictions[1::2], ground_truths[1::2])
    threshold_odd, _ = select_threshold(protocol_name, predictions[0::2], ground_truths[0::2])
    for position, (prediction, ground_truth) in enumerate(zip(predictions, ground_truths, strict=True)):
        threshold = threshold_odd if position % 2 else threshold_even
        (result,) = _score_at([threshold], protocol, prediction, ground_truth)
        protocol.add(str(position), result)
    return {
        **protocol.compute(),
        f"{protocol.name}/threshold_even": threshold_even,
        f"{protocol.name}/threshold_odd": threshold_odd,
    }


def average_precision(
    protocol_name: str,
    predictions: Sequence[Prediction],
    ground_truths: Sequence[AnnotatedImage],
    lexicon: AnyLexicon | None = None,
) -> float:
    """The RRC scripts' average precision over all scores: the mean over the words of the precision where each is found.

    Detections are matched in falling order of score within their image, then ranked over all images (equal scores in
    the order given); don't-care detections are left out. 0 without a word that counts. Only for protocols that match
    one to one; DetEval's split and merged words are a `ValueError`.
    """
    _check_pairs(predictions, ground_truths)
    protocol = build_protocol(protocol_name, lexicon)
    if not isinstance(protocol.rule, IouRule):
        raise ValueError(f"{protocol_name} has no average precision: it matches several detections to one word")
    scores, hits, num_words = [np.empty(0)], [np.empty(0, dtype=bool)], 0
    for prediction, ground_truth in zip(predictions, ground_truths, strict=True):
        ranked = replace(prediction, instances=tuple(sorted(prediction, key=lambda instance: -instance.score)))
        ranked = protocol.see(ranked, ground_truth.name)
        result = protocol.rule.score(compare(ranked, ground_truth))
        hit = np.zeros(len(ranked), dtype=bool)
        hit[[match.detections[0] for match in result.matches if match.correct]] = True
        scores.append(np.array([instance.score for instance in ranked])[result.detection_counts])
        hits.append(hit[result.detection_counts])
        num_words += int(result.word_counts.sum())
    ranking = np.argsort(-np.concatenate(scores), kind="stable")
    ranked_hits = np.concatenate(hits)[ranking]
    precisions = np.cumsum(ranked_hits) / np.arange(1, len(ranked_hits) + 1)
    return float(precisions[ranked_hits].sum() / max(num_words, 1))


def _score_at(
    thresholds: Iterable[float], protocol: Protocol, prediction: Prediction, ground_truth: AnnotatedImage
) -> list[ImageResult]:
    """One result per threshold (ascending); the polygons are measured once."""
    prediction = protocol.see(prediction, ground_truth.name)
    comparison = compare(prediction, ground_truth)
    scores = np.array([instance.score for instance in prediction])
    results: list[ImageResult] = []
    kept_before = -1
    for threshold in thresholds:
        keep = scores >= threshold
        if keep.sum() == kept_before:
            results.append(results[-1])
        else:
            results.append(protocol.rule.score(comparison.keep_detections(keep)))
            kept_before = keep.sum()
    return results


def _candidates(predictions: Sequence[Prediction]) -> np.ndarray:
    """Ascending thresholds worth trying, at least one: halfway between the scores that occur, the first halfway to 0.

    A threshold at the very score of a detection would be as near as can be to losing the like of it on other images.
    """
    scores = np.unique([0.0, *(instance.score for prediction in predictions for instance in prediction)])
    if len(scores) == 1:
        return np.zeros(1)
    between = (scores[1:] + scores[:-1]) / 2
    if len(between) <= MOST_CANDIDATES:
        return between
    return np.unique(np.quantile(between, np.linspace(0, 1, MOST_CANDIDATES), method="nearest"))


def _check_pairs(predictions: Sequence[Prediction], ground_truths: Sequence[AnnotatedImage]) -> None:
    if len(predictions) != len(ground_truths):
        raise ValueError(
            f"{len(predictions)} predictions for {len(ground_truths)} ground truths; expected one for each"
        )
