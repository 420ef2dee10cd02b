import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textspot.geometry import box_to_quad
from textspot.metrics import PROTOCOLS, Error, GroundTruth, build_protocol, find_errors
from textspot.metrics.errors import KINDS, count_confusions
from textspot.metrics.overlaps import measure_overlaps
from textspot.structures import Prediction, TextInstance

END_TO_END, DETECTION, DETEVAL = "icdar2015/end_to_end", "icdar2015/detection_iou", "icdar2013/detection_deteval"


def errors_of(protocol, words, detections):
    """Result and errors by a protocol of (box, transcript) and (box, text) pairs; `###` is don't-care."""
    transcripts = [transcript for _, transcript in words]
    ignore = np.array([transcript == "###" for transcript in transcripts], dtype=bool)
    truth = GroundTruth([box_to_quad(box) for box, _ in words], transcripts, ignore, "1")
    found = Prediction(tuple(TextInstance(box_to_quad(box), text, 1.0) for box, text in detections), (100, 100))
    result = build_protocol(protocol).score(found, truth)
    overlaps = measure_overlaps(truth.polygons, [instance.polygon for instance in found])
    return result, find_errors(result, overlaps)


WORD, NEXT, FAR = (0, 0, 40, 10), (44, 0, 84, 10), (0, 50, 40, 60)
LEFT, RIGHT, MOST, REST = (0, 0, 20, 10), (20, 0, 40, 10), (0, 0, 30, 10), (30, 0, 40, 10)
BOTH = (0, 0, 84, 10)


@pytest.mark.parametrize(
    ("words", "detections", "expected"),
    [
        ([], [], []),
        ([(WORD, "a")], [], [Error("missed", (0,))]),
        ([], [(WORD, "a")], [Error("false", (), (0,))]),
        ([(WORD, "a")], [(WORD, "a")], []),
        ([(WORD, "a")], [(WORD, "b")], [Error("misread", (0,), (0,))]),
        ([(WORD, "a")], [(WORD, "")], [Error("misread", (0,), (0,))]),
        ([(WORD, "a")], [(FAR, "a")], [Error("missed", (0,)), Error("false", (), (0,))]),
        ([(WORD, "a")], [(LEFT, "a")], [Error("missed", (0,)), Error("false", (), (0,))]),  # IoU of one half
        ([(WORD, "ab")], [(LEFT, "a"), (RIGHT, "b")], [Error("split", (0,), (0, 1))]),
        ([(WORD, "ab")], [(MOST, "a"), (REST, "b")], [Error("split", (0,), (0, 1))]),  # the first is a match, misread
        ([(WORD, "ab")], [(MOST, "ab"), (REST, "b")], [Error("false", (), (1,))]),  # the first is a match, and right
        (
            [(WORD, "a")],
            [((0, 0, 5, 10), "a"), ((9, 0, 14, 10), "b")],  # too little to be the word in pieces
            [Error("missed", (0,)), Error("false", (), (0,)), Error("false", (), (1,))],
        ),
        ([(WORD, "a"), (NEXT, "b")], [(BOTH, "ab")], [Error("merged", (0, 1), (0,))]),
        ([(WORD, "a"), ((44, 0, 60, 10), "b")], [((0, 0, 60, 10), "a b")], [Error("merged", (0, 1), (0,))]),
        ([(WORD, "a"), ((44, 0, 60, 10), "b")], [((0, 0, 60, 10), "a")], [Error("missed", (1,))]),
        ([(WORD, "a")], [(WORD, "a"), (WORD, "a")], [Error("false", (), (1,))]),
        ([(WORD, "a")], [(WORD, "b"), (WORD, "a")], [Error("false", (), (1,)), Error("misread", (0,), (0,))]),
        ([(WORD, "###")], [], []),
        ([(WORD, "###")], [(WORD, "b")], []),
        ([(WORD, "###"), (NEXT, "b")], [(BOTH, "ab")], [Error("missed", (1,)), Error("false", (), (0,))]),
    ],
)
def test_kinds_where_one_is_matched_with_one(words, detections, expected):
    assert errors_of(END_TO_END, words, detections)[1] == expected


def test_where_texts_do_not_count_nothing_is_misread():
    assert errors_of(DETECTION, [(WORD, "a")], [(WORD, "b")])[1] == []


@pytest.mark.parametrize(
    ("words", "detections", "expected"),
    [
        ([(WORD, "ab")], [(LEFT, "a"), (RIGHT, "b")], [Error("split", (0,), (0, 1))]),
        ([(WORD, "a"), (NEXT, "b")], [(BOTH, "ab")], [Error("merged", (0, 1), (0,))]),
        ([(WORD, "a")], [(WORD, "b")], []),
    ],
)
def test_split_and_merged_words_are_errors_though_deteval_gives_credit(words, detections, expected):
    result, errors = errors_of(DETEVAL, words, detections)
    assert result.recall_credit > 0
    assert errors == expected


# Boxes on a coarse grid, so that they often touch, cover and repeat each other.
corner = st.integers(0, 4)
boxes = st.builds(
    lambda x, y, w, h: (10 * x, 10 * y, 10 * (x + w), 10 * (y + h)), corner, corner, *[st.integers(1, 3)] * 2
)
labelled = st.lists(st.tuples(boxes, st.sampled_from(["abc", "abd", "###"])), max_size=6)


@given(st.sampled_from(sorted(PROTOCOLS)), labelled, labelled)
def test_what_counts_is_right_or_in_one_error(protocol, words, detections):
    result, errors = errors_of(protocol, words, detections)
    assert [KINDS.index(error.kind) for error in errors] == sorted(KINDS.index(error.kind) for error in errors)
    for counts, side in ((result.word_counts, "words"), (result.detection_counts, "detections")):
        wrong = [number for error in errors for number in getattr(error, side)]
        one_to_one = [match for match in result.matches if len(match.words) == len(match.detections) == 1]
        right = [number for match in one_to_one if match.correct for number in getattr(match, side)]
        assert sorted(wrong + right) == np.flatnonzero(counts).tolist()


def test_confusions():
    pairs = [("", ""), ("EXIT", "exit"), ("EXIT", "EX1T"), ("exit", "EX1TS"), ("OH", "H"), ("a b", "ab"), ("", "I")]
    assert count_confusions(pairs) == {("I", "1"): 2, ("", "S"): 1, ("O", ""): 1, (" ", ""): 1, ("", "I"): 1}
