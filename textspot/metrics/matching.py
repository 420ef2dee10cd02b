"""Which detection is which word: the matching rules of the RRC protocols, arrays in, matches out.

Dimension letters: G words of the ground truth, D detections. `word_counts (G,)` and `detection_counts (D,)` are masks:
False is don't-care, counted neither way.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Match:
    """Words and detections, by their positions, that belong together.

    One of each is the usual case; DetEval also knows one word in several detections (split) and several words in one
    detection (merged). `correct` is False when an end-to-end rule found the right place and the wrong text.
    """

    words: tuple[int, ...]
    detections: tuple[int, ...]
    correct: bool = True


def find_dont_care_detections(precision: np.ndarray, word_counts: np.ndarray, above: float) -> np.ndarray:
    """The detections (D,) of which more than the share `above` lies in one don't-care word; `precision` is (G, D)."""
    return (precision[~word_counts] > above).any(axis=0)


def match_iou(
    iou: np.ndarray, word_counts: np.ndarray, detection_counts: np.ndarray, above: float = 0.5
) -> list[Match]:
    """Match by intersection over union `iou (G, D)`: each word, in file order, takes the first free detection above.

    The first, not the best: the official script's rule (RRC, Challenge 4).
    """
    fits = (iou > above) & word_counts[:, None] & detection_counts
    free = np.ones(iou.shape[1], dtype=bool)
    matches = []
    for word in np.flatnonzero(fits.any(axis=1)):
        candidates = np.flatnonzero(fits[word] & free)
        if len(candidates):
            free[candidates[0]] = False
            matches.append(Match((int(word),), (int(candidates[0]),)))
    return matches


@dataclass(frozen=True)
class DetEvalLimits:
    """From where on areas count in DetEval (Wolf and Jolion 2006): shares of the word and of the detection.

    Args:
        recall: least share of a word that its detections must cover.
        precision: least share of a detection that its words must cover.
        center_distance: a one-to-one match needs a normalised centre distance below this.
    """

    recall: float = 0.8
    precision: float = 0.4
    center_distance: float = 1.0


def match_deteval(
    recall: np.ndarray,
    precision: np.ndarray,
    center_distances: np.ndarray,
    word_counts: np.ndarray,
    detection_counts: np.ndarray,
    limits: DetEvalLimits,
) -> list[Match]:
    """Match as DetEval does: one-to-one first, then split words, then merged words; all matrices are (G, D).

    Order and conditions are the RRC script's, its surprises included: a pair is one-to-one only if nothing else fits
    either side, don't-care or not, and nothing else that counts so much as overlaps either. A duplicate or an
    overlapping neighbour sends a pair to the later rules, where it may find no match.
    """
    fits = (recall >= limits.recall) & (precision >= limits.precision)
    touches = recall > 0
    detections_at_word = touches[:, detection_counts].sum(axis=1)
    words_at_detection = touches[word_counts].sum(axis=0)

    one_to_one = fits & (fits.sum(axis=1, keepdims=True) == 1) & (fits.sum(axis=0) == 1)
    one_to_one &= (detections_at_word == 1)[:, None] & (words_at_detection == 1)
    one_to_one &= center_distances < limits.center_distance
    one_to_one &= word_counts[:, None] & detection_counts

    matches = [Match((int(word),), (int(detection),)) for word, detection in np.argwhere(one_to_one)]
    free_words = word_counts & ~one_to_one.any(axis=1)
    free_detections = detection_counts & ~one_to_one.any(axis=0)

    for word in np.flatnonzero(free_words & (detections_at_word >= 2)):
        parts = np.flatnonzero(free_detections & (precision[word] >= limits.precision))
        if round(float(recall[word, parts].sum()), 4) >= limits.recall:
            free_words[word], free_detections[parts] = False, False
            matches.append(Match((int(word),), tuple(parts.tolist())))

    for detection in np.flatnonzero(free_detections & (words_at_detection >= 2)):
        parts = np.flatnonzero(free_words & (recall[:, detection] >= limits.recall))
        if round(float(precision[parts, detection].sum()), 4) >= limits.precision:
            free_words[parts], free_detections[detection] = False, False
            matches.append(Match(tuple(parts.tolist()), (int(detection),)))
    return matches
