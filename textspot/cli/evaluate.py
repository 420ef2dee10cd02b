"""Score a model on a data set, or result files of any program against ground-truth files (this needs no PyTorch).

textspot evaluate --weights runs/quickstart --data data/icdar2015/val --report errors.html
textspot evaluate --weights runs/quickstart --data data/icdar2015/val --protocol recognition
textspot evaluate --protocol icdar2015/end_to_end --gt gt.zip --results submission.zip --json figures.json
"""

import json
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from jsonargparse.typing import ClosedUnitInterval, PositiveInt

import textspot
from textspot.atomic_file import write_text
from textspot.cli.command import run_command
from textspot.cli.options import Verb
from textspot.image_files import read_image
from textspot.inference.views import QualityName
from textspot.metrics import PROTOCOLS, Scores, score_files
from textspot.metrics.error_page import build_report, find_images
from textspot.metrics.protocols import AnyLexicon
from textspot.progress import track
from textspot.runtime.build import RuntimeName
from textspot.text.beam import BeamConfig
from textspot.text.lexicon import open_lexicon

if TYPE_CHECKING:
    from textspot.data.lmdb_records import Reader
    from textspot.inference.spotter import Spotter

RECOGNITION = "recognition"  # reads the annotated regions, where the protocols score what is found
ENGINE_OPTIONS = ("quality", "device", "runtime", "precision")
MODEL_OPTIONS = ("data", "threshold", "two_fold", "language", "beam", *ENGINE_OPTIONS)
FILE_OPTIONS = ("results", "outlines", "lenient", "confidences", "images")
GROUPS = {
    "a model on a data set": ("weights", *MODEL_OPTIONS, "min_length"),
    "result files": ("gt", *FILE_OPTIONS),
}


@dataclass(frozen=True)
class EvaluateOptions:
    """What is scored, and by what.

    Args:
        protocol: protocols to score by, of those listed above.
        json: JSON file for all scores, also those of each image.
        report: HTML file for a page of the errors, image by image.
        report_width: maximum width of a picture in the page, in pixels.
        lexicon: words that are preferred: a file, one word per line, or a folder of voc_img_<number>.txt, one file per
            image. A model weighs them while it decodes; texts of result files are replaced by the nearest word.
        lexicon_name: name of the lexicon in the results. The default for a folder is `strong`, for a file its name
            without suffix. textspot assumes that a folder, or a file named strong, weak or full, holds every word of
            the images. Then texts that look like words but resemble no word of the lexicon are dropped.
        weights: a model.safetensors, a run's folder (then its last weights), an .onnx file, or the name of bundled
            weights.
        data: folder of one LMDB; see textspot prepare.
        threshold: score threshold instead of the one stored in the weights.
        two_fold: score each half of the images with the threshold that is best on the other half, as training does.
        language: language whose words are preferred where the recogniser is unsure, as in textspot infer. The
            default is the one stored in the weights.
        beam: settings of the language model.
        quality: size at which an image is read, as in textspot infer: fast, default or best.
        device: device of the network: auto (a GPU if there is one, the default), cpu, or cuda:0.
        runtime: program that runs the network: pytorch for weights, onnxruntime or openvino for an .onnx file. Default:
            pytorch for weights, onnxruntime for an .onnx file.
        precision: precision of the convolutions: float32 (the default), or bf16 in PyTorch and OpenVINO.
        min_length: minimum length of transcripts for the protocol recognition; shorter ones are ignored.
        gt: zip or folder of gt_<image>.txt.
        results: zip or folder of res_<image>.txt.
        outlines: form of the outlines in ground truth and results: quad (the default), box or polygon.
        lenient: repair faults in the files, and list them.
        confidences: read a confidence before each text of the results, and compute average precision.
        images: folder of the images, for --report.
    """

    protocol: tuple[str, ...] = ("icdar2015/detection_iou", "icdar2015/end_to_end")
    json: Path | None = None
    report: Path | None = None
    report_width: PositiveInt = 960
    lexicon: Path | None = None
    lexicon_name: str | None = None
    weights: Path | None = None
    data: Path | None = None
    threshold: ClosedUnitInterval | None = None
    two_fold: bool = False
    language: str | None = None
    beam: BeamConfig = field(default_factory=BeamConfig)
    quality: QualityName | None = None
    device: str | None = None
    runtime: RuntimeName | None = None
    precision: Literal["float32", "bf16"] | None = None
    min_length: PositiveInt | None = None
    gt: Path | None = None
    results: Path | None = None
    outlines: Literal["quad", "box", "polygon"] | None = None
    lenient: bool = False
    confidences: bool = False
    images: Path | None = None

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.protocol) - {*PROTOCOLS, RECOGNITION}):
            known = ", ".join([*PROTOCOLS, RECOGNITION])
            raise ValueError(f"--protocol holds {', '.join(map(repr, unknown))}, expected some of {known}")
        model, files = (self.weights, self.data), (self.gt, self.results)
        if not ((all(model) and not any(files)) or (all(files) and not any(model))):
            raise ValueError(
                "give --weights and --data to score a model, or --gt and --results to score files, not both"
            )
        if self.gt and bool(self.images) != bool(self.report):
            raise ValueError("to see the errors in files give --report and --images, both or neither")
        if RECOGNITION in self.protocol and len(self.protocol) > 1:
            raise ValueError(f"--protocol {RECOGNITION} stands alone: give the other protocols in another call")


ONLY_WITH = {
    "report_width": ("report",),
    "lexicon_name": ("lexicon",),
    "min_length": (f"protocol={RECOGNITION}",),
    **dict.fromkeys(MODEL_OPTIONS, ("weights",)),
    **dict.fromkeys(FILE_OPTIONS, ("gt",)),
}
NO_USE = {
    "two_fold": ("threshold", "report"),
    "language=none": ("beam",),
    f"protocol={RECOGNITION}": ("threshold", "two_fold", "report", "lexicon", "quality", "gt", *FILE_OPTIONS),
}
PROTOCOL_LIST = textwrap.fill(f"protocols: {', '.join(PROTOCOLS)}", 110)
DESCRIPTION = f"{__doc__}\n{PROTOCOL_LIST};\nor {RECOGNITION}: how a model reads the annotated regions"
VERB = Verb("evaluate", EvaluateOptions, DESCRIPTION, groups=GROUPS, only_with=ONLY_WITH, no_use=NO_USE)


def load_lexicon(options: EvaluateOptions) -> AnyLexicon | None:
    """The lexicon that is asked for."""
    return open_lexicon(options.lexicon, options.lexicon_name or "") if options.lexicon else None


def score(options: EvaluateOptions, spotter: "Spotter | None") -> tuple[Scores, Iterator[np.ndarray]]:
    """The scores, and the images that were scored, each read when it is asked for."""
    lexicon = load_lexicon(options)
    if spotter:
        from textspot.data.lmdb_records import Reader

        reader = Reader(cast(Path, options.data))  # weights come with data
        scores = score_model(options, spotter, reader, lexicon)
        return scores, (reader.sample(index).image for index in range(len(reader)))
    scores = score_files(
        options.protocol,
        cast(Path, options.gt),
        cast(Path, options.results),
        lenient=options.lenient,
        layout=options.outlines or "quad",
        confidences=options.confidences,
        lexicon=lexicon,
    )
    names = [ground_truth.name for ground_truth in scores.ground_truths]
    return scores, map(read_image, find_images(options.images, names) if options.images else [])


def score_model(options: EvaluateOptions, spotter: "Spotter", reader: "Reader", lexicon: AnyLexicon | None) -> Scores:
    """The scores of a model at its threshold; prints what that was chosen for, and what another would give."""
    from textspot.engine.evaluate import LOWEST_THRESHOLD, predict_dataset, score_at
    from textspot.metrics.thresholds import select_threshold

    if not len(reader):
        raise ValueError(f"{reader.path}: holds no image to evaluate on")
    spotter.lexicon = lexicon
    threshold = spotter.threshold if options.threshold is None else options.threshold
    if options.threshold is None and spotter.card.threshold_protocol:
        print(f"the threshold was chosen by {spotter.card.threshold_protocol} on the validation images of training")
    spotter.threshold = min(threshold, LOWEST_THRESHOLD)
    predictions, ground_truths = predict_dataset(spotter, reader, track, lexicon)
    for protocol in options.protocol:
        best, hmean = select_threshold(protocol, predictions, ground_truths)
        print(f"on these images {protocol} is best at --threshold {best:.3f}: hmean {hmean:.4f}")
    return score_at(threshold, options.protocol, predictions, ground_truths, lexicon.name if lexicon else "")


def load_spotter(options: EvaluateOptions) -> "Spotter":
    """The model, with the language that is asked for; weights that ship in PyTorch, as their figures were made."""
    weights = cast(Path, options.weights)
    runtime = options.runtime or ("auto" if weights.suffix == ".onnx" else "pytorch")
    spotter = textspot.load(
        weights,
        options.device or "auto",
        runtime=runtime,
        precision=options.precision or "float32",
        max_regions=None,
        quality=options.quality or "default",
    )
    spotter.lean_to(options.language, options.beam)
    return spotter


def score_recognition(options: EvaluateOptions, spotter: "Spotter") -> dict[str, float]:
    """How the annotated regions are read."""
    from textspot.data.lmdb_records import Reader
    from textspot.engine.evaluate import score_reading

    return score_reading(spotter, Reader(cast(Path, options.data)), options.min_length or 1, track)


def score_two_fold(options: EvaluateOptions, spotter: "Spotter") -> dict[str, float]:
    """Figures at thresholds that were not chosen on the images they are measured on."""
    from textspot.data.lmdb_records import Reader
    from textspot.engine.evaluate import LOWEST_THRESHOLD, THRESHOLD_PROTOCOL, predict_dataset
    from textspot.metrics.thresholds import select_threshold, two_fold

    spotter.threshold = LOWEST_THRESHOLD
    lexicon = load_lexicon(options)
    predictions, ground_truths = predict_dataset(spotter, Reader(cast(Path, options.data)), track, lexicon)
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


def evaluate(options: EvaluateOptions) -> int:
    """Score, print, and write the files that are asked for."""
    spotter = load_spotter(options) if options.weights else None
    if spotter and (RECOGNITION in options.protocol or options.two_fold):
        measure = score_two_fold if options.two_fold else score_recognition
        figures: dict[str, Any] = measure(options, spotter)
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
        print(f"language: {figures['language']}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    options = VERB.read(arguments)
    return run_command(lambda: evaluate(options))
