"""Which detection is which word: the matching rules of the protocols, arrays in, matches out.

Dimension letters: G words of the ground truth, D detections. `word_counts (G,)` and `detection_counts (D,)` are masks:
False is don't-care, counted neither way.
"""

from dataclasses import dataclass

import numpy as np

IOU = 0.5  # RRC Challenge 4: a match needs more

DETEVAL_RECALL = 0.8  # RRC Challenge 2: least share of a word that its detections cover
DETEVAL_PRECISION = 0.4  # and least share of a detection that its words cover
DETEVAL_CENTER_DISTANCE = 1.0  # a one-to-one match needs less

SPLIT_CREDIT = 0.8  # for a word in several pieces, and for each piece; Total-Text gives it to merged words too


@dataclass(frozen=True)
class Match:
    """Words and detections, by their positions, that belong together, and the credit that each of them earns.

    One of each is the usual case; DetEval also knows one word in several detections (split) and several words in one
    detection (merged). The credit is 0 when an end-to-end protocol finds the right place and the wrong text.
    """

    words: tuple[int, ...]
    detections: tuple[int, ...]
    credit: float = 1.0

    @property
    def correct(self) -> bool:
        """Whether it counts as found (and read, where the protocol reads)."""
        return self.credit > 0


def match_iou(iou: np.ndarray, word_counts: np.ndarray, detection_counts: np.ndarray) -> list[Match]:
    """Match by intersection over union `iou (G, D)`: each word, in file order, takes the first free one above 0.5.

    The first, not the best: the official script's rule (RRC, Challenge 4).
    """
    fits = (iou > IOU) & word_counts[:, None] & detection_counts
    free = np.ones(iou.shape[1], dtype=bool)
    matches = []
    for word in np.flatnonzero(fits.any(axis=1)):
        candidates = np.flatnonzero(fits[word] & free)
        if len(candidates):
            free[candidates[0]] = False
            matches.append(Match((int(word),), (int(candidates[0]),)))
    return matches


def match_deteval(
    recall: np.ndarray,
    precision: np.ndarray,
    center_distances: np.ndarray,
    word_counts: np.ndarray,
    detection_counts: np.ndarray,
) -> list[Match]:
    """Match as the RRC script does DetEval: one-to-one first, then split words, then merged words; matrices are (G, D).

    Order and conditions are that script's, its surprises included: a pair is one-to-one only if nothing else fits
    either side, don't-care or not, and nothing else that counts so much as overlaps either. A duplicate or an
    overlapping neighbour sends a pair to the later rules, where it may find no match.
    """
    fits = (recall >= DETEVAL_RECALL) & (precision >= DETEVAL_PRECISION)
    touches = recall > 0
    detections_at_word = touches[:, detection_counts].sum(axis=1)
    words_at_detection = touches[word_counts].sum(axis=0)

    one_to_one = fits & (fits.sum(axis=1, keepdims=True) == 1) & (fits.sum(axis=0) == 1)
    one_to_one &= (detections_at_word == 1)[:, None] & (words_at_detection == 1)
    one_to_one &= center_distances < DETEVAL_CENTER_DISTANCE
    one_to_one &= word_counts[:, None] & detection_counts

    matches = [Match((int(word),), (int(detection),)) for word, detection in np.argwhere(one_to_one)]
    free_words = word_counts & ~one_to_one.any(axis=1)
    free_detections = detection_counts & ~one_to_one.any(axis=0)

    for word in np.flatnonzero(free_words & (detections_at_word >= 2)):
        parts = np.flatnonzero(free_detections & (precision[word] >= DETEVAL_PRECISION))
        if round(float(recall[word, parts].sum()), 4) >= DETEVAL_RECALL:
            free_words[word], free_detections[parts] = False, False
            matches.append(Match((int(word),), tuple(parts.tolist()), SPLIT_CREDIT if len(parts) > 1 else 1.0))

    for detection in np.flatnonzero(free_detections & (words_at_detection >= 2)):
        parts = np.flatnonzero(free_words & (recall[:, detection] >= DETEVAL_RECALL))
        if round(float(precision[parts, detection].sum()), 4) >= DETEVAL_PRECISION:
            free_words[parts], free_detections[detection] = False, False
            matches.append(Match(tuple(parts.tolist()), (int(detection),)))
    return matches


def match_total_text(
    recall: np.ndarray, precision: np.ndarray, least_recall: float, least_precision: float
) -> list[Match]:
    """Match as the Total-Text script does DetEval; `recall` and `precision (G, D)` hold only what counts.

    It differs from the RRC script: shares are rounded to two decimals first; one-to-one asks that one detection alone
    covers the word and one alone lies in it, not that they are the same one, and nothing about centres or touching
    neighbours; merged words need the least *precision* as their share of recall, and get 0.8 like split ones.
    """
    if not recall.size:
        return []
    recall, precision = np.round(recall, 2), np.round(precision, 2)
    covers, lies_in = recall > least_recall, precision > least_precision
    words = np.flatnonzero((covers.sum(axis=1) == 1) & (lies_in.sum(axis=1) == 1))
    covering, lying = covers[words].argmax(axis=1), lies_in[words].argmax(axis=1)
    alone = (covers.sum(axis=0)[covering] == 1) & (lies_in.sum(axis=0)[lying] == 1)
    matches = [Match((int(w),), (int(d),)) for w, d in zip(words[alone], covering[alone], strict=True)]

    free_words, free_detections = np.ones(len(recall), dtype=bool), np.ones(recall.shape[1], dtype=bool)
    free_words[words[alone]], free_detections[covering[alone]] = False, False

    for word in np.flatnonzero(free_words & ((recall > 0).sum(axis=1) >= 2)):
        parts = np.flatnonzero(free_detections & (precision[word] >= least_precision))
        if recall[word, parts].sum() >= least_recall:
            free_words[word], free_detections[parts] = False, False
            matches.append(Match((int(word),), tuple(parts.tolist()), SPLIT_CREDIT if len(parts) > 1 else 1.0))

    for detection in np.flatnonzero(free_detections & ((precision > 0).sum(axis=0) >= 2)):
        parts = np.flatnonzero(free_words & (recall[:, detection] >= least_precision))
        if len(parts) == 1 and recall[parts[0], detection] < least_recall:
            continue
        if precision[parts, detection].sum() >= least_precision:
            free_words[parts], free_detections[detection] = False, False
            matches.append(Match(tuple(parts.tolist()), (int(detection),), SPLIT_CREDIT if len(parts) > 1 else 1.0))
    return matches
