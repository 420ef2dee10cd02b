import numpy as np
import pytest

from textspot.geometry import box_to_quad
from textspot.metrics import GroundTruth, average_precision, select_threshold, two_fold
from textspot.structures import Prediction, TextInstance

IOU, END_TO_END = "icdar2015/detection_iou", "icdar2015/end_to_end"
BOX, ELSEWHERE = box_to_quad([0, 0, 20, 10]), box_to_quad([50, 50, 70, 60])
WORD = GroundTruth([BOX], ["word"], np.array([False]))


def found(*instances):
    """A prediction of (quad, text, score) triples."""
    return Prediction(tuple(TextInstance(*instance) for instance in instances), (100, 100))


def test_no_image_and_no_detection():
    assert select_threshold(IOU, [], []) == (0, 0)
    assert select_threshold(IOU, [found()], [WORD]) == (0, 0)


def test_the_threshold_is_halfway_between_false_alarms_and_words():
    prediction = found((BOX, "word", 0.7), (ELSEWHERE, "no", 0.3))
    assert select_threshold(IOU, [prediction] * 2, [WORD] * 2) == (0.5, 1.0)


def test_of_equal_thresholds_the_lowest():
    prediction = found((BOX, "word", 0.7), (ELSEWHERE, "", 0.3))
    assert select_threshold(END_TO_END, [prediction], [WORD]) == (0.15, 1.0)


def test_empty_texts_count_as_detections_but_are_not_read():
    prediction = found((BOX, "", 0.9), (BOX, "word", 0.8))
    assert select_threshold(IOU, [prediction], [WORD])[1] == 1.0
    assert select_threshold(END_TO_END, [prediction], [WORD]) == (0.4, 1.0)


def test_two_fold_measures_each_half_at_the_threshold_of_the_other():
    even = found((BOX, "word", 0.9), (ELSEWHERE, "no", 0.5))  # best at 0.7
    odd = found((BOX, "word", 0.4), (ELSEWHERE, "no", 0.2))  # best at 0.3
    figures = two_fold(IOU, [even, odd, even, odd], [WORD] * 4)
    # at 0.3 both detections of the even images are kept, at 0.7 none of the odd ones
    assert figures == {
        f"{IOU}/precision": 0.5,
        f"{IOU}/recall": 0.5,
        f"{IOU}/hmean": 0.5,
        f"{IOU}/threshold_even": pytest.approx(0.3),
        f"{IOU}/threshold_odd": 0.7,
    }


def test_many_distinct_scores_are_thinned_to_quantiles():
    scores = np.linspace(0, 1, 1001)
    prediction = found((BOX, "word", 1.0), *((ELSEWHERE, "no", float(score)) for score in scores[:-1]))
    threshold, hmean = select_threshold(IOU, [prediction], [WORD])
    assert threshold == pytest.approx(0.9995)
    assert hmean == 1.0


def test_average_precision():
    assert average_precision(IOU, [], []) == 0
    assert average_precision(IOU, [found()], [WORD]) == 0
    two_words = GroundTruth([BOX, ELSEWHERE], ["word", "other"], np.array([False, False]))
    wrong = box_to_quad([80, 80, 90, 90])
    prediction = found((BOX, "word", 0.5), (wrong, "no", 0.7), (ELSEWHERE, "misread", 0.9))
    assert average_precision(IOU, [prediction], [two_words]) == pytest.approx((1 / 1 + 2 / 3) / 2)
    assert average_precision(END_TO_END, [prediction], [two_words]) == pytest.approx((1 / 3) / 2)


def test_average_precision_ranks_over_images_and_matches_the_best_score_first():
    duplicates = found((BOX, "word", 0.2), (BOX, "word", 0.8))
    false_alarm = found((ELSEWHERE, "no", 0.5))
    assert average_precision(IOU, [duplicates, false_alarm], [WORD, WORD]) == pytest.approx(1 / 2)


def test_average_precision_leaves_dont_care_out():
    ignored = GroundTruth([BOX, ELSEWHERE], ["word", "###"], np.array([False, True]))
    prediction = found((ELSEWHERE, "x", 0.9), (BOX, "word", 0.5))
    assert average_precision(IOU, [prediction], [ignored]) == 1


def test_complaints():
    with pytest.raises(ValueError, match="deteval has no average precision"):
        average_precision("icdar2013/detection_deteval", [found()], [WORD])
    with pytest.raises(ValueError, match="1 predictions for 2 ground truths"):
        select_threshold(IOU, [found()], [WORD, WORD])
    with pytest.raises(ValueError, match=r"at least two images .* found 1"):
        two_fold(IOU, [found()], [WORD])
