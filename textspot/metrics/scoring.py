"""From result files to figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textspot.metrics.protocols import build_protocol, compare
from textspot.metrics.rrc_files import read_ground_truths, read_results


def score_files(
    protocols: Sequence[str], ground_truth_path: str | Path, results_path: str | Path, lenient: bool = False
) -> dict[str, Any]:
    """Score result files against ground-truth files (zips or folders, see `rrc_files`) by each of the named protocols.

    Returns a report that `json.dumps` takes as it is:

        {"figures": {protocol: {"precision": ..., "recall": ..., "hmean": ...}},
         "per_image": {protocol: {image name: {"precision": ..., "recall": ..., "hmean": ...}}},
         "repairs": ["submission.zip: res_img_7.txt: line 3: ...", ...]}

    Faults in the files raise `RrcFormatError`, all at once; with `lenient` they are repaired and listed. An image
    without a result file counts as one in which nothing was found. Transcripts may be missing from the results when
    none of the protocols reads.
    """
    scorers = [build_protocol(name) for name in protocols]
    ground_truths, gt_repairs = read_ground_truths(ground_truth_path, lenient)
    predictions, result_repairs = read_results(
        results_path, ground_truths, text_required=any(scorer.reads for scorer in scorers), lenient=lenient
    )
    for name, ground_truth in ground_truths.items():
        comparison = compare(predictions[name], ground_truth)
        for scorer in scorers:
            scorer.add(name, scorer.rule.score(comparison))
    return {
        "figures": {scorer.name: scorer.figures().to_dict() for scorer in scorers},
        "per_image": {scorer.name: scorer.per_image() for scorer in scorers},
        "repairs": [f"{ground_truth_path}: {repair}" for repair in gt_repairs]
        + [f"{results_path}: {repair}" for repair in result_repairs],
    }
