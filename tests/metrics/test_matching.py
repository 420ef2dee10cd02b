"""The matching rules against plain loops written from the RRC scripts' descriptions, and on drawn cases."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.metrics.matching import Match, match_deteval, match_iou, match_total_text


def loop_iou(iou, word_counts, detection_counts):
    taken, matches = set(), []
    for word in range(iou.shape[0]):
        for detection in range(iou.shape[1]):
            if detection in taken or not word_counts[word] or not detection_counts[detection]:
                continue
            if iou[word, detection] > 0.5:
                taken.add(detection)
                matches.append(Match((word,), (detection,)))
                break
    return matches


def loop_deteval(recall, precision, distance, word_counts, detection_counts):
    words, detections = range(recall.shape[0]), range(recall.shape[1])
    free_word, free_detection = list(word_counts), list(detection_counts)
    matches = []

    def fits(word, detection):
        return recall[word, detection] >= 0.8 and precision[word, detection] >= 0.4

    def overlaps_of_word(word):
        return sum(1 for d in detections if detection_counts[d] and recall[word, d] > 0)

    def overlaps_of_detection(detection):
        return sum(1 for w in words if word_counts[w] and recall[w, detection] > 0)

    for word in words:
        for detection in detections:
            if not (free_word[word] and free_detection[detection] and fits(word, detection)):
                continue
            if sum(fits(word, d) for d in detections) != 1 or sum(fits(w, detection) for w in words) != 1:
                continue
            if overlaps_of_word(word) == 1 and overlaps_of_detection(detection) == 1 and distance[word, detection] < 1:
                free_word[word] = free_detection[detection] = False
                matches.append(Match((word,), (detection,)))
    for word in words:
        parts = [d for d in detections if free_word[word] and free_detection[d] and precision[word, d] >= 0.4]
        if round(sum(recall[word, d] for d in parts), 4) >= 0.8 and overlaps_of_word(word) >= 2:
            free_word[word] = False
            for detection in parts:
                free_detection[detection] = False
            matches.append(Match((word,), tuple(parts), 1.0 if len(parts) == 1 else 0.8))
    for detection in detections:
        parts = [w for w in words if free_word[w] and free_detection[detection] and recall[w, detection] >= 0.8]
        if round(sum(precision[w, detection] for w in parts), 4) >= 0.4 and overlaps_of_detection(detection) >= 2:
            free_detection[detection] = False
            for word in parts:
                free_word[word] = False
            matches.append(Match(tuple(parts), (detection,)))
    return matches


def loop_total_text(recall, precision, tr, tp):
    words, detections = range(recall.shape[0]), range(recall.shape[1])
    recall, precision = np.round(recall, 2), np.round(precision, 2)
    free_word, free_detection = [True] * len(words), [True] * len(detections)
    matches = []
    for word in words:
        covering = [d for d in detections if recall[word, d] > tr]
        lying = [d for d in detections if precision[word, d] > tp]
        if len(covering) != 1 or len(lying) != 1:
            continue
        covered_too = [w for w in words if recall[w, covering[0]] > tr]
        holding_too = [w for w in words if precision[w, lying[0]] > tp]
        if len(covered_too) == 1 and len(holding_too) == 1:
            free_word[word] = free_detection[covering[0]] = False
            matches.append(Match((word,), (covering[0],)))
    for word in words:
        if not free_word[word] or sum(recall[word, d] > 0 for d in detections) < 2:
            continue
        parts = [d for d in detections if free_detection[d] and precision[word, d] >= tp]
        if sum(recall[word, d] for d in parts) >= tr:
            free_word[word] = False
            for detection in parts:
                free_detection[detection] = False
            matches.append(Match((word,), tuple(parts), 1.0 if len(parts) == 1 else 0.8))
    for detection in detections:
        if not free_detection[detection] or sum(precision[w, detection] > 0 for w in words) < 2:
            continue
        parts = [w for w in words if free_word[w] and recall[w, detection] >= tp]
        if len(parts) == 1:
            matched = precision[parts[0], detection] >= tp and recall[parts[0], detection] >= tr
        else:
            matched = sum(precision[w, detection] for w in parts) >= tp
        if matched:
            free_detection[detection] = False
            for word in parts:
                free_word[word] = False
            matches.append(Match(tuple(parts), (detection,), 1.0 if len(parts) == 1 else 0.8))
    return matches


@st.composite
def cases(draw):
    """Recall, precision, centre distances and both masks, with many ties, zeros and values at the limits."""
    num_words, num_detections = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    share = st.sampled_from([0.0, 0.0, 0.2, 0.4, 0.5, 0.8, 1.0])

    def matrix(values):
        size = num_words * num_detections
        return np.array(draw(st.lists(values, min_size=size, max_size=size))).reshape(num_words, num_detections)

    def mask(size):
        return np.array(draw(st.lists(st.booleans(), min_size=size, max_size=size)), dtype=bool)

    recall, precision = matrix(share), matrix(share)
    return recall, precision, matrix(st.sampled_from([0.0, 1.0])), mask(num_words), mask(num_detections)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_match_iou_agrees_with_the_loop(case):
    iou, _, _, word_counts, detection_counts = case
    assert match_iou(iou, word_counts, detection_counts) == loop_iou(iou, word_counts, detection_counts)


@settings(max_examples=150, deadline=None)
@given(cases())
def test_match_deteval_agrees_with_the_loop(case):
    assert match_deteval(*case) == loop_deteval(*case)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from([(0.7, 0.6), (0.8, 0.4)]))
def test_match_total_text_agrees_with_the_loop(case, limits):
    recall, precision, *_ = case
    assert match_total_text(recall, precision, *limits) == loop_total_text(recall, precision, *limits)


def all_count(size):
    return np.ones(size, dtype=bool)


def test_the_first_detection_takes_the_word_not_the_best():
    iou = np.array([[0.6, 0.9]])
    assert match_iou(iou, all_count(1), all_count(2)) == [Match((0,), (0,))]


def test_an_iou_of_exactly_one_half_is_no_match():
    assert match_iou(np.array([[0.5]]), all_count(1), all_count(1)) == []


SPLIT_AND_MERGED = (
    np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]),
    np.array([[1.0, 1.0, 0.0], [0.0, 0.0, 0.4], [0.0, 0.0, 0.4]]),
)


def test_the_rrc_discounts_split_words_only():
    matches = match_deteval(*SPLIT_AND_MERGED, np.zeros((3, 3)), all_count(3), all_count(3))
    assert matches == [Match((0,), (0, 1), 0.8), Match((1, 2), (2,), 1.0)]


def test_total_text_discounts_split_and_merged_words():
    assert match_total_text(*SPLIT_AND_MERGED, 0.7, 0.6) == [Match((0,), (0, 1), 0.8), Match((1, 2), (2,), 0.8)]


def test_a_duplicate_spoils_the_one_to_one_match():
    shares = np.array([[1.0, 1.0]])
    assert match_deteval(shares, shares, np.zeros((1, 2)), all_count(1), all_count(2)) == [Match((0,), (0, 1), 0.8)]
    assert match_total_text(shares, shares, 0.7, 0.6) == [Match((0,), (0, 1), 0.8)]


def test_a_far_centre_spoils_the_one_to_one_match():
    shares = np.array([[1.0]])
    assert match_deteval(shares, shares, np.array([[1.0]]), all_count(1), all_count(1)) == []
    assert match_deteval(shares, shares, np.array([[0.99]]), all_count(1), all_count(1)) == [Match((0,), (0,))]
