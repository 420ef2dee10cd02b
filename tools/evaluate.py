"""Score a model on a data set, or anybody's result files against ground-truth files; the latter needs no PyTorch.

python tools/evaluate.py --weights runs/quickstart --data data/icdar2015/val --json figures.json
python tools/evaluate.py --protocol icdar2015/end_to_end --gt gt.zip --results submission.zip --json figures.json
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import ClosedUnitInterval
from rich.console import Console
from rich.progress import Progress

import textspot
from textspot.metrics import PROTOCOLS, build_protocol, score_files

INTERRUPTED = 130  # what a shell reports of a program that Ctrl-C ended
MODEL_OPTIONS = {"weights", "data", "threshold", "device"}
FILE_OPTIONS = {"gt", "results", "layout", "lenient"}


def score_model(
    protocols: Sequence[str], weights: Path, data: Path, threshold: float | None = None, device: str = "auto"
) -> dict[str, Any]:
    """Score a model's predictions at one threshold, the one stored in its weights unless given.

    Returns the report of `score_files` with the threshold. As when the threshold was chosen, protocols that read do not
    see the regions that were found and could not be read.
    """
    from textspot.data.lmdb_records import Reader
    from textspot.engine.evaluate import predict_dataset

    spotter, reader = textspot.load(weights, device), Reader(data)
    if not len(reader):
        raise ValueError(f"{data}: holds no image to evaluate on")
    if threshold is not None:
        spotter.threshold = threshold
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading", total=len(reader))
        predictions, ground_truths = predict_dataset(spotter, reader, lambda count: progress.advance(task, count))
    scorers = [build_protocol(name) for name in protocols]
    for prediction, ground_truth in zip(predictions, ground_truths, strict=True):
        read = replace(prediction, instances=tuple(instance for instance in prediction if instance.text))
        for scorer in scorers:
            scorer.update(read if scorer.reads else prediction, ground_truth)
    return {
        "figures": {scorer.name: scorer.figures().to_dict() for scorer in scorers},
        "per_image": {scorer.name: scorer.per_image() for scorer in scorers},
        "threshold": spotter.threshold,
    }


def read_command_line(arguments: Sequence[str] | None) -> Namespace:
    """`protocol`, `json` and, as `given`, the options of a model or those of files; a mixture ends the program."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--protocol",
        nargs="+",
        choices=list(PROTOCOLS),
        default=["icdar2015/detection_iou", "icdar2015/end_to_end"],
        metavar="NAME",
        help=f"one or more of {', '.join(PROTOCOLS)}",
    )
    parser.add_argument("--json", type=Path, help="file for all figures, those of each image among them")
    model = parser.add_argument_group("a model on a data set")
    model.add_argument("--weights", type=Path, help="the model.safetensors of a training run, or the run's folder")
    model.add_argument("--data", type=Path, help="the folder of one LMDB, see datasets/prepare.py")
    model.add_argument("--threshold", type=ClosedUnitInterval, help="instead of the one stored in the weights")
    model.add_argument("--device", type=str, help="auto (the default) takes a GPU if there is one; or cpu, or cuda:0")
    files = parser.add_argument_group("result files")
    files.add_argument("--gt", type=Path, help="zip or folder of gt_<image>.txt")
    files.add_argument("--results", type=Path, help="zip or folder of res_<image>.txt")
    files.add_argument("--layout", type=Literal["quad", "box", "polygon"], help="of both, quad unless given")
    files.add_argument("--lenient", action="store_true", default=None, help="repair faults in the files and list them")
    options = parser.parse_args(arguments)
    given = {name for name in MODEL_OPTIONS | FILE_OPTIONS if options[name] is not None}
    if not ({"weights", "data"} <= given <= MODEL_OPTIONS or {"gt", "results"} <= given <= FILE_OPTIONS):
        parser.error("give --weights and --data to score a model, or --gt and --results to score files, and not both")
    return Namespace(protocol=options.protocol, json=options.json, given={name: options[name] for name in given})


def print_report(report: dict[str, Any]) -> None:
    """A table of the figures, and what belongs to them."""
    print(f"{'protocol':40} precision  recall   hmean")
    for name, figures in report["figures"].items():
        print(f"{name:40} {figures['precision']:9.4f} {figures['recall']:7.4f} {figures['hmean']:7.4f}")
    num_images = len(next(iter(report["per_image"].values())))
    print(f"{num_images} images" + (f", threshold {report['threshold']:.4f}" if "threshold" in report else ""))
    for repair in report.get("repairs", ()):
        print(f"repaired: {repair}", file=sys.stderr)


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_command_line(arguments)
    given = options.given
    try:
        if "weights" in given:
            report = score_model(options.protocol, **given)
        else:
            report = score_files(options.protocol, given.pop("gt"), given.pop("results"), **given)
        print_report(report)
        if options.json:
            options.json.write_text(json.dumps(report.pop("figures") | report, indent=1) + "\n", encoding="utf-8")
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
