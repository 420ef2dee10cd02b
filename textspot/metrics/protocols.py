"""The evaluation protocols: one rule for each, one dict of them all.

A protocol is updated image by image and computes precision, recall and hmean from the pooled counts:

    protocol = build_protocol("icdar2015/end_to_end")
    protocol.update(prediction, ground_truth)
    protocol.compute()   # {"icdar2015/end_to_end/precision": ..., ".../recall": ..., ".../hmean": ...}

What an official script states, and what is our choice:

- `icdar2015/...` and `icdar2013/detection_deteval`: the RRC scripts; every figure is tested against their answers.
- `icdar2013/detection_iou`, `icdar2013/end_to_end`, `icdar2013/word_spotting`: the same RRC rules on other images.
- `total_text/detection_deteval`: the authors' script at the thresholds they recommend, tr 0.7 and tp 0.6;
  `total_text/detection_deteval_0.8_0.4` at those that older papers report.
- `total_text/detection_iou`, `total_text/end_to_end`, `total_text/word_spotting`: our choice, the RRC rules on
  polygons, as no official script scores readings of Total-Text. Figures published without a lexicon ("None") and with
  the words of the test set ("Full") are mostly word spotting, whatever they are called.
- Lexicons: the benchmarks say which words they hold, not how to correct a reading by them; see `text.lexicon`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol as TypingProtocol

import numpy as np

from textspot.metrics.overlaps import measure_overlaps
from textspot.metrics.rules import (
    Comparison,
    DetEvalRule,
    Figures,
    ImageResult,
    IouRule,
    Rule,
    TextRule,
    TotalTextRule,
    pool_figures,
)
from textspot.metrics.words import agree_end_to_end, agree_word_spotting
from textspot.structures import Prediction, check_polygon
from textspot.text.dictionary import dictionary_word
from textspot.text.lexicon import ImageLexicons, Lexicon

AnyLexicon = Lexicon | ImageLexicons


class AnnotatedImage(TypingProtocol):
    """What a protocol needs to know of an image: `Sample` has it, `GroundTruth` has nothing else."""

    @property
    def polygons(self) -> Sequence[np.ndarray]: ...
    @property
    def transcripts(self) -> Sequence[str]: ...
    @property
    def ignore(self) -> np.ndarray: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class GroundTruth:
    """The annotation of one image without its pixels: polygons (K, 2) in pixels, transcripts, `ignore (N,)` bool."""

    polygons: Sequence[np.ndarray]
    transcripts: Sequence[str]
    ignore: np.ndarray
    name: str = ""

    def __post_init__(self) -> None:
        if not len(self.polygons) == len(self.transcripts) == len(self.ignore):
            raise ValueError(
                f"{self.name}: {len(self.polygons)} polygons, {len(self.transcripts)} transcripts "
                f"and {len(self.ignore)} ignore flags; expected as many of each"
            )
        for number, polygon in enumerate(self.polygons):
            check_polygon(polygon, f"{self.name}: word {number}")


_DETECTION = IouRule()
_END_TO_END = IouRule(TextRule(agree_end_to_end))
_WORD_SPOTTING = IouRule(TextRule(agree_word_spotting, dictionary_word))

PROTOCOLS: dict[str, Rule] = {
    "icdar2015/detection_iou": _DETECTION,
    "icdar2015/end_to_end": _END_TO_END,
    "icdar2015/word_spotting": _WORD_SPOTTING,
    "icdar2013/detection_deteval": DetEvalRule(),
    "icdar2013/detection_iou": _DETECTION,
    "icdar2013/end_to_end": _END_TO_END,
    "icdar2013/word_spotting": _WORD_SPOTTING,
    "total_text/detection_deteval": TotalTextRule(least_recall=0.7, least_precision=0.6),
    "total_text/detection_deteval_0.8_0.4": TotalTextRule(least_recall=0.8, least_precision=0.4),
    "total_text/detection_iou": _DETECTION,
    "total_text/end_to_end": _END_TO_END,
    "total_text/word_spotting": _WORD_SPOTTING,
}


class Protocol:
    """One protocol over a set of images: `update` with each image, then `compute`. Made by `build_protocol`."""

    def __init__(self, name: str, rule: Rule, lexicon: AnyLexicon | None = None, unread_counts: bool = True) -> None:
        self.name = name
        self.rule = rule
        self.lexicon = lexicon
        self.unread_counts = unread_counts
        self.results: dict[str, ImageResult] = {}

    @property
    def reads(self) -> bool:
        """Whether the texts count (end-to-end and word spotting), not the places alone."""
        return isinstance(self.rule, IouRule) and self.rule.text is not None

    def see(self, prediction: Prediction, image_name: str) -> Prediction:
        """What is scored of a prediction: without unread regions if they do not count, its texts corrected by the
        lexicon. The prediction itself when texts do not count."""
        if not self.reads:
            return prediction
        if not self.unread_counts:
            prediction = replace(prediction, instances=tuple(instance for instance in prediction if instance.text))
        if self.lexicon is not None:
            texts = [instance.text for instance in prediction]
            prediction = prediction.with_texts(self.lexicon.of(image_name).correct(texts))
        return prediction

    def score(self, prediction: Prediction, ground_truth: AnnotatedImage) -> ImageResult:
        """The result of one image, without adding it: in another process, for instance.

        Detections are taken in the order of the prediction, as official scripts take file order. Matches refer to the
        instances that `see` gives.
        """
        return self.rule.score(compare(self.see(prediction, ground_truth.name), ground_truth))

    def add(self, image_name: str, result: ImageResult) -> None:
        """Add the result of one image. An image that was added before is a `ValueError`."""
        if image_name in self.results:
            raise ValueError(
                f"{self.name}: image {image_name!r} was scored before; every image needs a name of its own"
            )
        self.results[image_name] = result

    def update(self, prediction: Prediction, ground_truth: AnnotatedImage) -> ImageResult:
        """Score one image and add the result, under the name of the ground truth."""
        result = self.score(prediction, ground_truth)
        self.add(ground_truth.name, result)
        return result

    def figures(self) -> Figures:
        """The pooled figures so far."""
        return pool_figures(self.results.values())

    def compute(self) -> dict[str, float]:
        """The pooled figures so far: `{"<protocol>/precision": ..., "<protocol>/recall": ..., ".../hmean": ...}`."""
        return {f"{self.name}/{key}": value for key, value in self.figures().to_dict().items()}

    def per_image(self) -> dict[str, dict[str, float]]:
        """`{image name: {"precision", "recall", "hmean"}}`."""
        return {name: result.figures.to_dict() for name, result in self.results.items()}


def build_protocol(name: str, lexicon: AnyLexicon | None = None, unread_counts: bool = True) -> Protocol:
    """The protocol called `name`, one of `PROTOCOLS`, without any image yet.

    With a lexicon, a protocol that reads corrects the texts by it first and carries its name in its figures:
    `icdar2015/end_to_end/strong`. The official scripts count a detection with an empty text as a false alarm; with
    `unread_counts=False` a protocol that reads does not see it, as a spotter does not report what it could not read.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}")
    protocol = Protocol(name, PROTOCOLS[name], lexicon, unread_counts)
    if lexicon is not None and protocol.reads:
        protocol.name = f"{name}/{lexicon.name}"
    return protocol


def compare(prediction: Prediction, ground_truth: AnnotatedImage) -> Comparison:
    """Lay a prediction over the ground truth of its image."""
    return Comparison(
        measure_overlaps(ground_truth.polygons, [instance.polygon for instance in prediction]),
        ground_truth.transcripts,
        np.asarray(ground_truth.ignore, dtype=bool),
        [instance.text for instance in prediction],
    )
