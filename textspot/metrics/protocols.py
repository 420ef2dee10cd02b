"""The evaluation protocols of the Robust Reading Competition (RRC): one rule per protocol, one dict of them all.

A protocol is updated image by image and computes precision, recall and hmean from the pooled counts:

    protocol = build_protocol("icdar2015/end_to_end")
    protocol.update(prediction, ground_truth)
    protocol.compute()   # {"icdar2015/end_to_end/precision": ..., ".../recall": ..., ".../hmean": ...}

The pure part is `rule.score(compare(prediction, ground_truth))`: the result of one image, which may be computed in any
process and added in any order.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol as TypingProtocol

import numpy as np

from textspot.metrics.matching import DetEvalLimits, Match, find_dont_care_detections, match_deteval, match_iou
from textspot.metrics.overlaps import Overlaps, measure_overlaps
from textspot.metrics.words import agree_end_to_end, agree_word_spotting, dictionary_word
from textspot.structures import Prediction


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
            if polygon.ndim != 2 or polygon.shape[1] != 2 or len(polygon) < 3:
                raise ValueError(
                    f"{self.name}: word {number}: expected a polygon of shape (K, 2) with K >= 3, found {polygon.shape}"
                )


@dataclass(frozen=True)
class Comparison:
    """A prediction laid over a ground truth: all that a rule looks at. G words, D detections."""

    overlaps: Overlaps
    transcripts: Sequence[str]
    ignore: np.ndarray
    texts: Sequence[str]

    def keep_detections(self, keep: np.ndarray) -> "Comparison":
        """The same with only the detections that the mask `keep (D,)` selects, without measuring the polygons again."""
        texts = [text for text, kept in zip(self.texts, keep, strict=True) if kept]
        return replace(self, overlaps=self.overlaps.keep_detections(keep), texts=texts)


def compare(prediction: Prediction, ground_truth: AnnotatedImage) -> Comparison:
    """Lay a prediction over the ground truth of its image."""
    return Comparison(
        measure_overlaps(ground_truth.polygons, [instance.polygon for instance in prediction]),
        ground_truth.transcripts,
        np.asarray(ground_truth.ignore, dtype=bool),
        [instance.text for instance in prediction],
    )


@dataclass(frozen=True)
class Figures:
    """Precision, recall and their harmonic mean, each in [0, 1]."""

    precision: float
    recall: float
    hmean: float

    @classmethod
    def of(cls, precision: float, recall: float) -> "Figures":
        total = precision + recall
        return cls(float(precision), float(recall), float(2 * precision * recall / total) if total else 0.0)

    def to_dict(self) -> dict[str, float]:
        return {"precision": self.precision, "recall": self.recall, "hmean": self.hmean}


@dataclass(frozen=True)
class ImageResult:
    """The score of one image: its own figures, what it adds to the pooled ones, and who matched whom.

    `word_counts (G,)` and `detection_counts (D,)` say which words and detections count; False is don't-care. A credit
    is the number of correct ones, except that DetEval gives less than 1 for a split word.
    """

    figures: Figures
    recall_credit: float
    precision_credit: float
    word_counts: np.ndarray
    detection_counts: np.ndarray
    matches: tuple[Match, ...]


def pool_figures(results: Iterable[ImageResult]) -> Figures:
    """The figures of all images together: sums of credits over sums of counts; 0 where nothing counts."""
    results = list(results)
    num_words = sum(int(result.word_counts.sum()) for result in results)
    num_detections = sum(int(result.detection_counts.sum()) for result in results)
    # fsum rounds once: the figures do not depend on the order of the images.
    recall_credit = math.fsum(result.recall_credit for result in results)
    precision_credit = math.fsum(result.precision_credit for result in results)
    return Figures.of(precision_credit / max(num_detections, 1), recall_credit / max(num_words, 1))


@dataclass(frozen=True)
class TextRule:
    """How an end-to-end protocol treats text.

    Args:
        agree: whether a text agrees with a (reduced) transcript.
        reduce: the part of a transcript that has to be read; None makes the word don't-care.
    """

    agree: Callable[[str, str], bool]
    reduce: Callable[[str], str | None] = str


@dataclass(frozen=True)
class IouRule:
    """One detection per word at an IoU above 0.5: RRC Challenge 4 (ICDAR 2015), tasks 1 and 4.

    With a text rule, the detection takes the word first and its text is compared afterwards: a misread detection keeps
    the word from a correct one later in the file.

    Args:
        text: the text rule; None scores detection alone.
        iou: a match needs an intersection over union above this.
        dont_care: a detection is don't-care when more than this share of it lies in one don't-care word.
    """

    text: TextRule | None = None
    iou: float = 0.5
    dont_care: float = 0.5

    def score(self, comparison: Comparison) -> ImageResult:
        words = self._words_to_read(comparison)
        word_counts = np.array([word is not None for word in words], dtype=bool)
        detection_counts = ~find_dont_care_detections(comparison.overlaps.precision, word_counts, self.dont_care)
        matches = match_iou(comparison.overlaps.iou, word_counts, detection_counts, self.iou)
        if self.text:
            matches = [
                replace(
                    match, correct=self.text.agree(words[match.words[0]] or "", comparison.texts[match.detections[0]])
                )
                for match in matches
            ]
        correct = sum(match.correct for match in matches)
        if word_counts.any():
            figures = Figures.of(correct / max(detection_counts.sum(), 1), correct / word_counts.sum())
        else:
            figures = Figures.of(float(not detection_counts.any()), 1.0)
        return ImageResult(figures, correct, correct, word_counts, detection_counts, tuple(matches))

    def _words_to_read(self, comparison: Comparison) -> list[str | None]:
        """What has to be read of each word; None for a word that is don't-care."""
        reduce = self.text.reduce if self.text else str
        return [
            None if ignored else reduce(transcript)
            for transcript, ignored in zip(comparison.transcripts, comparison.ignore, strict=True)
        ]


@dataclass(frozen=True)
class DetEvalRule:
    """Area recall and area precision; words may be split or merged (Wolf and Jolion 2006; RRC Challenge 2, ICDAR 2013).

    Args:
        limits: from where on an overlap counts.
        split_credit: credit of a word found in several pieces, and of each of the pieces.
        dont_care: a detection is don't-care when more than this share of it lies in one don't-care word.
    """

    limits: DetEvalLimits = field(default_factory=DetEvalLimits)
    split_credit: float = 0.8
    dont_care: float = 0.4

    def score(self, comparison: Comparison) -> ImageResult:
        overlaps, word_counts = comparison.overlaps, ~comparison.ignore
        recall, precision = overlaps.recall, overlaps.precision
        detection_counts = ~find_dont_care_detections(precision, word_counts, self.dont_care)
        matches = match_deteval(
            recall, precision, overlaps.center_distances, word_counts, detection_counts, self.limits
        )
        credits = [self.split_credit if len(match.detections) > 1 else 1.0 for match in matches]
        pairs = list(zip(credits, matches, strict=True))
        recall_credit = math.fsum(credit * len(match.words) for credit, match in pairs)
        precision_credit = math.fsum(credit * len(match.detections) for credit, match in pairs)
        if word_counts.any():
            figures = Figures.of(precision_credit / max(detection_counts.sum(), 1), recall_credit / word_counts.sum())
        else:
            figures = _deteval_without_words(num_words=len(word_counts), num_detections=len(detection_counts))
        return ImageResult(figures, recall_credit, precision_credit, word_counts, detection_counts, tuple(matches))


def _deteval_without_words(num_words: int, num_detections: int) -> Figures:
    """The official script's own figures for an image without a word that counts; the pooled figures do not use them.

    Don't-care detections count here, and the hmean is 0 even where both other figures are 1.
    """
    if num_detections:
        return Figures(precision=0.0, recall=1.0, hmean=0.0)
    return Figures(0.0, 0.0, 0.0) if num_words else Figures(precision=1.0, recall=1.0, hmean=0.0)


Rule = IouRule | DetEvalRule

PROTOCOLS: dict[str, Rule] = {
    "icdar2015/detection_iou": IouRule(),
    "icdar2015/end_to_end": IouRule(text=TextRule(agree_end_to_end)),
    "icdar2015/word_spotting": IouRule(text=TextRule(agree_word_spotting, dictionary_word)),
    "icdar2013/detection_deteval": DetEvalRule(),
}


class Protocol:
    """One protocol over a set of images: `update` with each image, then `compute`. Made by `build_protocol`."""

    def __init__(self, name: str, rule: Rule) -> None:
        self.name = name
        self.rule = rule
        self.results: dict[str, ImageResult] = {}

    @property
    def reads(self) -> bool:
        """Whether the texts count (end-to-end and word spotting), not the places alone."""
        return isinstance(self.rule, IouRule) and self.rule.text is not None

    def update(self, prediction: Prediction, ground_truth: AnnotatedImage) -> ImageResult:
        """Score one image. Detections are taken in the order of the prediction, as official scripts take file order."""
        result = self.rule.score(compare(prediction, ground_truth))
        self.add(ground_truth.name, result)
        return result

    def add(self, name: str, result: ImageResult) -> None:
        """Add the result of an image that was scored elsewhere, in another process for instance."""
        if name in self.results:
            raise ValueError(f"{self.name}: image {name!r} was scored before; every image needs a name of its own")
        self.results[name] = result

    def compute(self) -> dict[str, float]:
        """The pooled figures so far: `{"<protocol>/precision": ..., "<protocol>/recall": ..., ".../hmean": ...}`."""
        return {f"{self.name}/{key}": value for key, value in self.figures().to_dict().items()}

    def figures(self) -> Figures:
        """The pooled figures so far."""
        return pool_figures(self.results.values())

    def per_image(self) -> dict[str, dict[str, float]]:
        """`{image name: {"precision", "recall", "hmean"}}`."""
        return {name: result.figures.to_dict() for name, result in self.results.items()}


def build_protocol(name: str) -> Protocol:
    """The protocol called `name`, one of `PROTOCOLS`, without any image yet."""
    if name not in PROTOCOLS:
        raise ValueError(f"unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}")
    return Protocol(name, PROTOCOLS[name])
