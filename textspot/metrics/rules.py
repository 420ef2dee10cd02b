"""The rules by which the protocols score one image: what counts, who matches whom, how much credit that gives.

Dimension letters: G words of the ground truth, D detections.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from textspot.metrics.matching import Match, match_deteval, match_iou, match_total_text
from textspot.metrics.overlaps import Overlaps

DONT_CARE_SHARE = 0.5  # more than this of a detection in one don't-care word: the detection is don't-care
DONT_CARE_SHARE_DETEVAL = 0.4  # RRC Challenge 2


@dataclass(frozen=True)
class Comparison:
    """A prediction laid over a ground truth: all that a rule looks at. `ignore (G,)` marks don't-care words."""

    overlaps: Overlaps
    transcripts: Sequence[str]
    ignore: np.ndarray
    texts: Sequence[str]

    def keep_detections(self, keep: np.ndarray) -> "Comparison":
        """The same with only the detections that the mask `keep (D,)` selects, without measuring the polygons again."""
        texts = [text for text, kept in zip(self.texts, keep, strict=True) if kept]
        return replace(self, overlaps=self.overlaps.keep_detections(keep), texts=texts)


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
    """The score of one image: its own figures, who matched whom, and what counts.

    `word_counts (G,)` and `detection_counts (D,)` are masks; False is don't-care.
    """

    figures: Figures
    matches: tuple[Match, ...]
    word_counts: np.ndarray
    detection_counts: np.ndarray

    @property
    def recall_credit(self) -> float:
        """How many of the words that count were found (and read); a split word may count as less than one."""
        return math.fsum(match.credit * len(match.words) for match in self.matches)

    @property
    def precision_credit(self) -> float:
        """How many of the detections that count are right."""
        return math.fsum(match.credit * len(match.detections) for match in self.matches)


def pool_figures(results: Iterable[ImageResult]) -> Figures:
    """The figures of many images together: sums of credits over sums of counts; 0 where nothing counts."""
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
        agree: whether a text (second) agrees with a reduced transcript (first).
        reduce: the part of a transcript that has to be read; None makes the word don't-care.
    """

    agree: Callable[[str, str], bool]
    reduce: Callable[[str], str | None] = str


@dataclass(frozen=True)
class IouRule:
    """One detection per word, by intersection over union: RRC Challenge 4 (ICDAR 2015), tasks 1 and 4.

    With a text rule, the detection takes the word first and its text is compared afterwards: a misread detection keeps
    the word from a correct one later in the file.

    Args:
        text: the text rule; None scores detection alone.
    """

    text: TextRule | None = None

    def score(self, comparison: Comparison) -> ImageResult:
        words = self._words_to_find(comparison)
        word_counts = np.array([word is not None for word in words], dtype=bool)
        detection_counts = ~_lies_in_dont_care(comparison.overlaps.precision, word_counts, DONT_CARE_SHARE)
        matches = match_iou(comparison.overlaps.iou, word_counts, detection_counts)
        if self.text:
            matches = [_read(match, self.text, words, comparison.texts) for match in matches]
        correct = sum(match.correct for match in matches)
        if word_counts.any():
            figures = Figures.of(correct / max(detection_counts.sum(), 1), correct / word_counts.sum())
        else:
            figures = Figures.of(float(not detection_counts.any()), 1.0)
        return ImageResult(figures, tuple(matches), word_counts, detection_counts)

    def _words_to_find(self, comparison: Comparison) -> list[str | None]:
        """What there is to be read of each word; None for a word that is don't-care."""
        reduce = self.text.reduce if self.text else str
        return [
            None if ignored else reduce(transcript)
            for transcript, ignored in zip(comparison.transcripts, comparison.ignore, strict=True)
        ]


def _read(match: Match, rule: TextRule, words: Sequence[str | None], texts: Sequence[str]) -> Match:
    """The match of one word and one detection, without credit if the text is wrong."""
    word, text = words[match.words[0]], texts[match.detections[0]]
    return match if word is not None and rule.agree(word, text) else replace(match, credit=0.0)


@dataclass(frozen=True)
class DetEvalRule:
    """Area recall and area precision; words may be split or merged (Wolf and Jolion 2006; RRC Challenge 2, ICDAR 2013).

    On the areas of polygons, as the RRC script for quadrilaterals measures them, not on axis-parallel boxes.
    """

    def score(self, comparison: Comparison) -> ImageResult:
        overlaps, word_counts = comparison.overlaps, ~comparison.ignore
        recall, precision = overlaps.recall, overlaps.precision
        detection_counts = ~_lies_in_dont_care(precision, word_counts, DONT_CARE_SHARE_DETEVAL)
        matches = match_deteval(recall, precision, overlaps.center_distances, word_counts, detection_counts)
        result = _with_pooled_figures(matches, word_counts, detection_counts)
        if word_counts.any():
            return result
        # The official script's own answers for an image without a word that counts: don't-care detections count here,
        # and the hmean is 0 even where both other figures are 1. Pooled figures do not use them.
        if len(detection_counts):
            figures = Figures(precision=0.0, recall=1.0, hmean=0.0)
        elif len(word_counts):
            figures = Figures(precision=0.0, recall=0.0, hmean=0.0)
        else:
            figures = Figures(precision=1.0, recall=1.0, hmean=0.0)
        return replace(result, figures=figures)


@dataclass(frozen=True)
class TotalTextRule:
    """DetEval as the Total-Text authors' script has it (cs-chan/Total-Text-Dataset, `Deteval.py`).

    That script truncates coordinates to integers; here they are taken as they are.

    Args:
        least_recall: the script's tr.
        least_precision: the script's tp.
    """

    least_recall: float
    least_precision: float

    def score(self, comparison: Comparison) -> ImageResult:
        overlaps, word_counts = comparison.overlaps, ~comparison.ignore
        # The script adds a pixel to the area of the detection, in this place only.
        share = overlaps.intersections / (overlaps.detection_areas + 1)
        detection_counts = ~_lies_in_dont_care(share, word_counts, DONT_CARE_SHARE)
        words, detections = np.flatnonzero(word_counts), np.flatnonzero(detection_counts)
        counting = np.ix_(words, detections)
        matches = match_total_text(
            overlaps.recall[counting], overlaps.precision[counting], self.least_recall, self.least_precision
        )
        matches = [
            replace(
                match,
                words=tuple(int(words[position]) for position in match.words),
                detections=tuple(int(detections[position]) for position in match.detections),
            )
            for match in matches
        ]
        return _with_pooled_figures(matches, word_counts, detection_counts)


def _lies_in_dont_care(shares: np.ndarray, word_counts: np.ndarray, above: float) -> np.ndarray:
    """The detections (D,) of which more than `above` lies in one don't-care word; `shares (G, D)` of the detection."""
    return (shares[~word_counts] > above).any(axis=0)


def _with_pooled_figures(
    matches: Sequence[Match], word_counts: np.ndarray, detection_counts: np.ndarray
) -> ImageResult:
    """The result of an image whose own figures are what pooling it alone gives."""
    result = ImageResult(Figures(0.0, 0.0, 0.0), tuple(matches), word_counts, detection_counts)
    return replace(result, figures=pool_figures([result]))


Rule = IouRule | DetEvalRule | TotalTextRule
