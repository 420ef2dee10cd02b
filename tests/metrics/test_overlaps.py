import numpy as np
import pytest

from textspot.geometry import box_to_quad
from textspot.metrics.overlaps import measure_overlaps

SQUARE = box_to_quad([0, 0, 10, 10])


@pytest.mark.parametrize(("num_words", "num_detections"), [(0, 0), (0, 2), (2, 0)])
def test_nothing_to_measure(num_words, num_detections):
    overlaps = measure_overlaps([SQUARE] * num_words, [SQUARE] * num_detections)
    for matrix in (overlaps.iou, overlaps.recall, overlaps.precision, overlaps.center_distances):
        assert matrix.shape == (num_words, num_detections)


def test_polygons_without_area_overlap_nothing():
    point, line = np.full((4, 2), 5.0), box_to_quad([0, 5, 10, 5])
    overlaps = measure_overlaps([SQUARE, point, line], [SQUARE, point, line])
    assert overlaps.iou.tolist() == [[1, 0, 0], [0, 0, 0], [0, 0, 0]]
    assert overlaps.recall.tolist() == overlaps.precision.tolist() == overlaps.iou.tolist()


def test_shares_and_center_distance():
    overlaps = measure_overlaps([SQUARE], [box_to_quad([5, 0, 10, 10]), box_to_quad([10, 0, 20, 10])])
    assert overlaps.iou.tolist() == [[0.5, 0]]
    assert overlaps.recall.tolist() == [[0.5, 0]]
    assert overlaps.precision.tolist() == [[1, 0]]
    assert overlaps.center_distances[0, 1] == pytest.approx(10 / np.hypot(10, 10))


def test_a_bow_tie_has_the_area_of_its_wings():
    bow_tie = np.array([[0, 0], [10, 10], [10, 0], [0, 10]], dtype=np.float32)
    overlaps = measure_overlaps([SQUARE], [bow_tie])
    assert overlaps.detection_areas.tolist() == [50]
    assert overlaps.recall.tolist() == [[0.5]]


def test_polygons_of_different_numbers_of_corners():
    triangle = np.array([[0, 0], [10, 0], [0, 10]])
    assert measure_overlaps([SQUARE, triangle], [triangle]).iou.tolist() == [[0.5], [1.0]]


def test_keep_detections_is_the_same_as_measuring_fewer():
    boxes = [box_to_quad([0, 0, 4, 10]), box_to_quad([4, 0, 10, 10]), SQUARE]
    kept = measure_overlaps([SQUARE], boxes).keep_detections(np.array([True, False, True]))
    assert kept.iou.tolist() == measure_overlaps([SQUARE], [boxes[0], boxes[2]]).iou.tolist()
    assert kept.center_distances.shape == (1, 2)
