"""From result files, or from predictions, to figures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from textspot.metrics.protocols import AnnotatedImage, AnyLexicon, Protocol, build_protocol, compare
from textspot.metrics.rrc_files import read_ground_truths, read_results
from textspot.metrics.rules import ImageResult, IouRule
from textspot.metrics.thresholds import average_precision
from textspot.structures import Prediction


@dataclass(frozen=True)
class Scores:
    """What was found in some images, what there is, and the verdicts of the protocols.

    Args:
        protocols: each with its results of all the images.
        predictions: one per image, in the order of the images.
        ground_truths: one per image, in the same order.
        threshold: the score from which on detections were kept; None if that is not known.
        repairs: what was mended in the files, in words.
        average_precisions: by the names of protocols, of those that have one.
    """

    protocols: Sequence[Protocol]
    predictions: Sequence[Prediction]
    ground_truths: Sequence[AnnotatedImage]
    threshold: float | None = None
    repairs: Sequence[str] = ()
    average_precisions: Mapping[str, float] = field(default_factory=dict)

    @property
    def figures(self) -> dict[str, dict[str, float]]:
        """`{protocol: {"precision", "recall", "hmean"}}` of all images, with "average_precision" where there is one."""
        figures = {protocol.name: protocol.figures().to_dict() for protocol in self.protocols}
        for name, value in self.average_precisions.items():
            figures[name]["average_precision"] = value
        return figures

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: the figures, and those of each image:

        {protocol: {"precision": ..., "recall": ..., "hmean": ...},
         "per_image": {protocol: {image name: {"precision": ..., "recall": ..., "hmean": ...}}},
         "threshold": 0.42, "repairs": ["submission.zip: res_img_7.txt: line 3: ...", ...]}
        """
        return {
            **self.figures,
            "per_image": {protocol.name: protocol.per_image() for protocol in self.protocols},
            "threshold": self.threshold,
            "repairs": list(self.repairs),
        }


def score_files(
    protocols: Sequence[str],
    ground_truth_path: str | Path,
    results_path: str | Path,
    lenient: bool = False,
    layout: str = "quad",
    confidences: bool = False,
    lexicon: AnyLexicon | None = None,
) -> Scores:
    """Score result files against ground-truth files (zips or folders, see `rrc_files`) by each of the named protocols.

    Faults in the files raise `RrcFormatError`, all at once; with `lenient` they are repaired and listed. An image
    without a result file counts as one in which nothing was found. Transcripts may be missing from the results when
    none of the protocols reads. `layout` is `quad`, `box` or `polygon`. With `confidences` the results hold a
    confidence before the transcript, and protocols that match one to one get an "average_precision" as well. With a
    lexicon, protocols that read correct the texts by it and carry its name: `icdar2015/end_to_end/strong`.
    """
    scorers = [build_protocol(name, lexicon) for name in protocols]
    by_name, gt_repairs = read_ground_truths(ground_truth_path, lenient, layout)
    text_required = any(scorer.reads for scorer in scorers)
    found, result_repairs = read_results(results_path, by_name, text_required, lenient, layout, confidences)
    predictions, ground_truths = [found[name] for name in by_name], list(by_name.values())
    score_images(scorers, predictions, ground_truths)
    average_precisions = {}
    if confidences:
        for protocol_name, scorer in zip(protocols, scorers, strict=True):
            if isinstance(scorer.rule, IouRule):
                average = average_precision(protocol_name, predictions, ground_truths, lexicon)
                average_precisions[scorer.name] = average
    repairs = [f"{ground_truth_path}: {repair}" for repair in gt_repairs]
    repairs += [f"{results_path}: {repair}" for repair in result_repairs]
    return Scores(scorers, predictions, ground_truths, None, repairs, average_precisions)


def score_images(
    protocols: Sequence[Protocol], predictions: Sequence[Prediction], ground_truths: Sequence[AnnotatedImage]
) -> None:
    """Score every image by each protocol and add the results."""
    for prediction, ground_truth in zip(predictions, ground_truths, strict=True):
        for protocol, result in zip(protocols, score_image(protocols, prediction, ground_truth), strict=True):
            protocol.add(ground_truth.name, result)


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
        seen = protocol.see(prediction, ground_truth.name)
        results.append(protocol.rule.score(comparison if seen is prediction else compare(seen, ground_truth)))
    return results
