"""From result files, or from one image's prediction, to figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textspot.metrics.protocols import AnnotatedImage, AnyLexicon, Protocol, build_protocol, compare
from textspot.metrics.rrc_files import read_ground_truths, read_results
from textspot.metrics.rules import ImageResult, IouRule
from textspot.metrics.thresholds import average_precision
from textspot.structures import Prediction


def score_files(
    protocols: Sequence[str],
    ground_truth_path: str | Path,
    results_path: str | Path,
    lenient: bool = False,
    layout: str = "quad",
    confidences: bool = False,
    lexicon: AnyLexicon | None = None,
) -> dict[str, Any]:
    """Score result files against ground-truth files (zips or folders, see `rrc_files`) by each of the named protocols.

    Returns a report that `json.dumps` takes as it is:

        {"figures": {protocol: {"precision": ..., "recall": ..., "hmean": ...}},
         "per_image": {protocol: {image name: {"precision": ..., "recall": ..., "hmean": ...}}},
         "repairs": ["submission.zip: res_img_7.txt: line 3: ...", ...]}

    Faults in the files raise `RrcFormatError`, all at once; with `lenient` they are repaired and listed. An image
    without a result file counts as one in which nothing was found. Transcripts may be missing from the results when
    none of the protocols reads. `layout` is `quad`, `box` or `polygon`. With `confidences` the results hold a
    confidence before the transcript, and protocols that match one to one get an "average_precision" as well. With a
    lexicon, protocols that read correct the texts by it and carry its name: `icdar2015/end_to_end/strong`.
    """
    scorers = [build_protocol(name, lexicon) for name in protocols]
    ground_truths, gt_repairs = read_ground_truths(ground_truth_path, lenient, layout)
    text_required = any(scorer.reads for scorer in scorers)
    predictions, result_repairs = read_results(results_path, ground_truths, text_required, lenient, layout, confidences)
    for name, ground_truth in ground_truths.items():
        for scorer, result in zip(scorers, score_image(scorers, predictions[name], ground_truth), strict=True):
            scorer.add(name, result)
    figures = {scorer.name: scorer.figures().to_dict() for scorer in scorers}
    if confidences:
        truths, found = list(ground_truths.values()), [predictions[name] for name in ground_truths]
        for protocol_name, scorer in zip(protocols, scorers, strict=True):
            if isinstance(scorer.rule, IouRule):
                figures[scorer.name]["average_precision"] = average_precision(protocol_name, found, truths, lexicon)
    return {
        "figures": figures,
        "per_image": {scorer.name: scorer.per_image() for scorer in scorers},
        "repairs": [f"{ground_truth_path}: {repair}" for repair in gt_repairs]
        + [f"{results_path}: {repair}" for repair in result_repairs],
    }


def score_image(
    protocols: Sequence[Protocol], prediction: Prediction, ground_truth: AnnotatedImage
) -> list[ImageResult]:
    """The result of one image by each protocol, without adding it; the polygons are measured once for all of them.

    Pure, and everything it takes and gives can be pickled: `pool.map(partial(score_image, protocols), ...)`, then
    `protocol.add(name, result)`.
    """
    comparison = compare(prediction, ground_truth)
    results = []
    for protocol in protocols:
        corrected = protocol.correct(prediction, ground_truth.name)
        unchanged = corrected is prediction
        results.append(protocol.rule.score(comparison if unchanged else compare(corrected, ground_truth)))
    return results
