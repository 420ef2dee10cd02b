import numpy as np
import pytest

from textspot.layout.reading_order import boxes_along, find_relations, order_boxes, page_direction
from textspot.layout.strips import words_to_strips


def order(*boxes):
    boxes = np.array(boxes, dtype=float)
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    return order_boxes(boxes, centers, np.full(len(boxes), 10.0))


HEAD = (0, 0, 210, 20)
LEFT, LEFT_2 = (0, 40, 100, 100), (0, 110, 100, 200)
RIGHT, RIGHT_2 = (110, 40, 210, 90), (110, 105, 210, 200)


@pytest.mark.parametrize(
    ("boxes", "expected"),
    [
        ([HEAD, LEFT, LEFT_2, RIGHT, RIGHT_2], [0, 1, 2, 3, 4]),
        ([RIGHT_2, RIGHT, LEFT_2, LEFT, HEAD], [4, 3, 2, 1, 0]),
        ([LEFT, RIGHT, (0, 240, 210, 260), (0, 280, 100, 300), (110, 280, 210, 300)], [0, 1, 2, 3, 4]),
        ([(0, 500, 90, 520), (300, 0, 400, 20)], [1, 0]),
        ([(0, 0, 50, 10)], [0]),
        ([(0, 0, 50, 10), (0, 0, 50, 10)], [0, 1]),
    ],
    ids=["columns", "backwards", "a heading in between", "far signs", "one", "twice the same"],
)
def test_order(boxes, expected):
    assert order(*boxes) == expected


def test_no_boxes():
    assert order_boxes(np.zeros((0, 4)), np.zeros((0, 2)), np.zeros(0)) == []


def test_boxes_that_stand_in_a_ring_all_come_once():
    boxes = np.array([[0, 0, 60, 60], [40, 10, 100, 70], [10, 40, 70, 100]], dtype=float)
    centers = np.array([[50, 50], [70, 20], [20, 70]], dtype=float)
    assert sorted(order_boxes(boxes, centers, np.full(3, 10.0))) == [0, 1, 2]


def test_nothing_is_before_itself_and_no_two_are_before_each_other():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (30, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (30, 2))], axis=1)
    above, beside = find_relations(boxes, (boxes[:, :2] + boxes[:, 2:]) / 2, np.full(30, 5.0))
    before = above | beside
    assert not (before & before.T).any()


@pytest.mark.parametrize("degrees", [0, 20, 90, 200])
def test_the_direction_of_a_page_is_that_of_most_text(degrees):
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    words = [np.array([[0, 0], [80, 0], [80, 20], [0, 20]]) + np.array([100 * number, 0]) for number in range(3)]
    across = np.array([[0, 0], [0, 60], [-20, 60], [-20, 0]])
    direction = page_direction(words_to_strips([*(word @ turn for word in words), across @ turn]))
    np.testing.assert_allclose(direction, turn[0], atol=1e-6)


def test_without_text_the_direction_is_that_of_the_width():
    np.testing.assert_array_equal(page_direction(words_to_strips([])), [1, 0])


def test_boxes_along_a_direction():
    square = np.array([[0, 0], [4, 0], [4, 2], [0, 2]], dtype=float)
    np.testing.assert_allclose(boxes_along([square], np.array([0.0, 1.0])), [[0, -4, 2, 0]])
    assert boxes_along([], np.array([1.0, 0.0])).shape == (0, 4)
