"""Score a model on a data set, or anybody's result files against ground-truth files; the latter needs no PyTorch.

python tools/evaluate.py --weights runs/quickstart --data data/icdar2015/val --report errors.html
python tools/evaluate.py --weights runs/quickstart --data data/icdar2015/val --protocol recognition
python tools/evaluate.py --protocol icdar2015/end_to_end --gt gt.zip --results submission.zip --json figures.json
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jsonargparse import ArgumentParser, Namespace
from jsonargparse.typing import ClosedUnitInterval, PositiveInt

import textspot
from textspot.atomic_file import write_text
from textspot.command_line import run_command
from textspot.image_files import read_image
from textspot.metrics import PROTOCOLS, Scores, score_files
from textspot.metrics.error_page import build_report, find_images
from textspot.progress import track
from textspot.text.beam import BeamConfig
from textspot.text.lexicon import ImageLexicons, Lexicon, open_lexicon

if TYPE_CHECKING:
    from textspot.inference.spotter import Spotter

MODEL_OPTIONS = ("weights", "data", "threshold", "two_fold", "language", "beam", "device")
RECOGNITION = "recognition"  # reads the annotated regions, where the protocols judge what is found
FILE_OPTIONS = ("gt", "results", "layout", "lenient", "confidences", "images")


def read_command_line(arguments: Sequence[str] | None) -> Namespace:
    """The options; a combination that makes no sense ends the program."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    given = {name for name, value in options.items() if value is not None}
    if options.beam != parser.get_defaults().beam:
        given.add("beam")
    complaints = find_complaints(given, options.protocol)
    if complaints:
        parser.error("; ".join(complaints))
    return options


def build_parser() -> ArgumentParser:
    """The options: of a model, of result files, of both."""
    parser = ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--protocol",
        nargs="+",
        choices=[*PROTOCOLS, RECOGNITION],
        default=["icdar2015/detection_iou", "icdar2015/end_to_end"],
        metavar="NAME",
        help=f"one or more of {', '.join(PROTOCOLS)}; or {RECOGNITION}: how a model reads the annotated regions",
    )
    parser.add_argument("--json", type=Path, help="file for all figures, those of each image among them")
    parser.add_argument("--report", type=Path, help="HTML file for a page of the errors, image by image")
    parser.add_argument("--report_width", type=PositiveInt, default=960, help="most pixels of a picture in the page")
    parser.add_argument(
        "--lexicon",
        type=Path,
        help="prefer the words of a file, one per line, or of a folder of voc_img_<number>.txt, one "
        "file for each image",
    )
    parser.add_argument(
        "--lexicon_name",
        type=str,
        help="what figures with the lexicon are called; unless given, strong for a folder and its own name for a file. "
        "A folder, or a file called weak or full, holds all words of its images: a text like none of them is dropped",
    )
    model = parser.add_argument_group("a model on a data set")
    model.add_argument("--weights", type=Path, help="the model.safetensors of a training run, or the run's folder")
    model.add_argument("--data", type=Path, help="the folder of one LMDB, see datasets/prepare.py")
    model.add_argument("--threshold", type=ClosedUnitInterval, help="instead of the one stored in the weights")
    model.add_argument(
        "--two_fold",
        action="store_true",
        default=None,
        help="as in training: the threshold that is best on one half of the images scores the other",
    )
    model.add_argument(
        "--language",
        type=str,
        help="that readings in doubt lean to, instead of the weights': english, a file of words, none",
    )
    parser.add_class_arguments(BeamConfig, "beam", help="How far readings lean to the language")
    model.add_argument("--device", type=str, help="auto (the default) takes a GPU if there is one; or cpu, or cuda:0")
    model.add_argument(
        "--min_length", type=PositiveInt, help=f"characters of the shortest transcripts that count for {RECOGNITION}"
    )
    files = parser.add_argument_group("result files")
    files.add_argument("--gt", type=Path, help="zip or folder of gt_<image>.txt")
    files.add_argument("--results", type=Path, help="zip or folder of res_<image>.txt")
    files.add_argument("--layout", type=Literal["quad", "box", "polygon"], help="of both, quad unless given")
    files.add_argument("--lenient", action="store_true", default=None, help="repair faults in the files and list them")
    files.add_argument(
        "--confidences",
        action="store_true",
        default=None,
        help="the results hold a confidence before each transcript: average precision is figured too",
    )
    files.add_argument("--images", type=Path, help="folder of the images, for --report")
    return parser


def find_complaints(given: set[str], protocols: Sequence[str]) -> list[str]:
    """What does not fit together among the options that were given."""
    complaints = []
    of_model, of_files = given & set(MODEL_OPTIONS), given & set(FILE_OPTIONS)
    if not (({"weights", "data"} <= of_model and not of_files) or ({"gt", "results"} <= of_files and not of_model)):
        complaints.append("give --weights and --data to score a model, or --gt and --results to score files, not both")
    if of_files and ("images" in given) != ("report" in given):
        complaints.append("to see the errors in files give --report and --images, both or neither")
    if "two_fold" in given and (unwanted := sorted(given & {"threshold", "report"})):
        complaints.append(f"--two_fold has no use for {', '.join(unwanted)}")
    if "lexicon_name" in given and "lexicon" not in given:
        complaints.append("--lexicon_name names --lexicon, which is not given")
    if RECOGNITION in protocols:
        useless = {"threshold", "two_fold", "report", "lexicon", *FILE_OPTIONS}
        if unused := [*sorted(given & useless), *sorted(set(protocols) - {RECOGNITION})]:
            complaints.append(f"--protocol {RECOGNITION} has no use for {', '.join(unused)}")
    elif "min_length" in given:
        complaints.append(f"--min_length is for --protocol {RECOGNITION}")
    return complaints


def load_lexicon(options: Namespace) -> Lexicon | ImageLexicons | None:
    """The lexicon that is asked for."""
    return open_lexicon(options.lexicon, options.lexicon_name or "") if options.lexicon else None


def score(options: Namespace, spotter: "Spotter | None") -> tuple[Scores, Iterator[np.ndarray]]:
    """The scores, and the images that were scored, each read when it is asked for."""
    lexicon = load_lexicon(options)
    if spotter:
        from textspot.data.lmdb_records import Reader
        from textspot.engine.evaluate import score_dataset

        reader = Reader(options.data)
        if options.threshold is not None:
            spotter.threshold = options.threshold
        elif spotter.card.threshold_protocol:
            print(f"the threshold was chosen by {spotter.card.threshold_protocol} on the validation images of training")
        scores = score_dataset(options.protocol, spotter, reader, lexicon, track)
        return scores, (reader.sample(index).image for index in range(len(reader)))
    scores = score_files(
        options.protocol,
        options.gt,
        options.results,
        lenient=bool(options.lenient),
        layout=options.layout or "quad",
        confidences=bool(options.confidences),
        lexicon=lexicon,
    )
    names = [ground_truth.name for ground_truth in scores.ground_truths]
    return scores, map(read_image, find_images(options.images, names) if options.images else [])


def load_spotter(options: Namespace) -> "Spotter":
    """The model, with the language that is asked for."""
    spotter = textspot.load(options.weights, options.device or "auto")
    spotter.lean_to(options.language, BeamConfig(**options.beam))
    return spotter


def score_recognition(options: Namespace, spotter: "Spotter") -> dict[str, float]:
    """How the annotated regions are read."""
    from textspot.data.lmdb_records import Reader
    from textspot.engine.evaluate import score_reading

    return score_reading(spotter, Reader(options.data), options.min_length or 1, track)


def score_two_fold(options: Namespace, spotter: "Spotter") -> dict[str, float]:
    """Figures at thresholds that were not chosen on the images they are measured on."""
    from textspot.data.lmdb_records import Reader
    from textspot.engine.evaluate import LOWEST_THRESHOLD, THRESHOLD_PROTOCOL, predict_dataset
    from textspot.metrics.thresholds import select_threshold, two_fold

    spotter.threshold = LOWEST_THRESHOLD
    lexicon = load_lexicon(options)
    predictions, ground_truths = predict_dataset(spotter, Reader(options.data), track, lexicon)
    figures: dict[str, float] = {}
    for protocol in options.protocol:
        name = f"{protocol}/{lexicon.name}" if lexicon else protocol
        folds = two_fold(protocol, predictions, ground_truths)
        figures |= {name + key.removeprefix(protocol): value for key, value in folds.items()}
    threshold, _ = select_threshold(THRESHOLD_PROTOCOL, predictions, ground_truths)
    return {**figures, f"best threshold by {THRESHOLD_PROTOCOL}": max(threshold, LOWEST_THRESHOLD)}


def print_figures(scores: Scores) -> None:
    """A table of the figures, and what belongs to them."""
    print(f"{'protocol':40} precision  recall   hmean")
    for name, figures in scores.figures.items():
        print(f"{name:40} {figures['precision']:9.4f} {figures['recall']:7.4f} {figures['hmean']:7.4f}")
    for name, value in scores.average_precisions.items():
        print(f"{name:40} average precision {value:.4f}")
    threshold = "" if scores.threshold is None else f", threshold {scores.threshold:.4f}"
    print(f"{len(scores.ground_truths)} images{threshold}")
    for repair in scores.repairs:
        print(f"repaired: {repair}", file=sys.stderr)


def evaluate(options: Namespace) -> int:
    """Score, print, and write the files that are asked for."""
    spotter = load_spotter(options) if options.weights else None
    if spotter and (RECOGNITION in options.protocol or options.two_fold):
        judge = score_two_fold if options.two_fold else score_recognition
        figures: dict[str, Any] = judge(options, spotter)
        for name, value in figures.items():
            print(f"{name:50} {value:9.4f}")
    else:
        scores, images = score(options, spotter)
        print_figures(scores)
        if options.report:
            write_text(options.report, build_report(scores, images, options.report_width))
        figures = scores.to_dict()
    if spotter:
        figures["language"] = spotter.language.name if spotter.language else "none"
        print(f"readings lean to: {figures['language']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = read_command_line(arguments)
    return run_command(lambda: evaluate(options))


if __name__ == "__main__":
    sys.exit(main())
