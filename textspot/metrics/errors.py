"""What went wrong in an image: each word and each detection that a protocol gives no credit, put into one of five
kinds.

Dimension letters: G words of the ground truth, D detections.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from rapidfuzz.distance import Levenshtein

from textspot.metrics.overlaps import Overlaps
from textspot.metrics.rules import ImageResult

KINDS = ("missed", "false", "split", "merged", "misread")

MOSTLY = 0.5  # more than this share of a detection lies in the word, or of a word in the detection: it is a part of it


@dataclass(frozen=True)
class Error:
    """One error of one of the `KINDS`, with the positions of its words and of its detections.

    Args:
        kind: `missed`, a word alone; `false`, a detection alone; `split`, a word in several detections; `merged`,
            several words in one detection; `misread`, the place is right and the text is not.
        words: positions in the ground truth.
        detections: positions in the prediction that was scored.
    """

    kind: str
    words: tuple[int, ...] = ()
    detections: tuple[int, ...] = ()


def find_errors(result: ImageResult, overlaps: Overlaps) -> list[Error]:
    """The errors of one image, from who matched whom and how much words and detections overlap; in the order of KINDS.

    Every word and every detection that counts is either part of a match of one with one that earns credit, or of
    exactly one error. DetEval's own split and merged words are such errors, though they earn credit. Else a word is
    split if two or more detections without credit lie mostly in it and cover most of it together, side by side: those
    that cover it twice are not its pieces. Several words without credit are merged if a detection without credit covers
    most of each. Don't-care words and detections are no errors.
    """
    open_words, open_detections = result.word_counts.copy(), result.detection_counts.copy()
    errors: list[Error] = []

    def close(kind: str | None, words: Sequence[int], detections: Sequence[int]) -> None:
        open_words[list(words)], open_detections[list(detections)] = False, False
        if kind:
            errors.append(Error(kind, tuple(words), tuple(detections)))

    for match in result.matches:
        if len(match.detections) > 1:
            close("split", match.words, match.detections)
        elif len(match.words) > 1:
            close("merged", match.words, match.detections)
        elif match.correct:
            close(None, match.words, match.detections)

    for word in np.flatnonzero(open_words).tolist():
        pieces = np.flatnonzero(open_detections & (overlaps.precision[word] > MOSTLY)).tolist()
        if len(pieces) > 1 and MOSTLY < overlaps.recall[word, pieces].sum() <= 1 + MOSTLY:
            close("split", [word], pieces)

    for detection in np.flatnonzero(open_detections).tolist():
        pieces = np.flatnonzero(open_words & (overlaps.recall[:, detection] > MOSTLY)).tolist()
        if len(pieces) > 1:
            close("merged", pieces, [detection])

    for match in result.matches:
        if open_words[list(match.words)].all() and open_detections[list(match.detections)].all():
            close("misread", match.words, match.detections)
    for word in np.flatnonzero(open_words).tolist():
        close("missed", [word], [])
    for detection in np.flatnonzero(open_detections).tolist():
        close("false", [], [detection])
    return sorted(errors, key=lambda error: KINDS.index(error.kind))


def count_confusions(pairs: Iterable[tuple[str, str]]) -> Counter[tuple[str, str]]:
    """How often each character was read as which, of (transcript, text) pairs, without regard to case.

    The characters are aligned by the fewest edits; `("", "I")` is an I that is not there, `("I", "")` one that was left
    out. Characters that were read rightly are not counted.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for transcript, text in pairs:
        transcript, text = transcript.upper(), text.upper()
        for edit in Levenshtein.editops(transcript, text):
            expected = "" if edit.tag == "insert" else transcript[edit.src_pos]
            found = "" if edit.tag == "delete" else text[edit.dest_pos]
            counts[expected, found] += 1
    return counts
