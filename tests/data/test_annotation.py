"""Repairs of polygons: each remedy, counted; what is in order stays as it is."""

import numpy as np
import pytest

from textspot.data.annotation import Instance, repair_polygons, sample_to_instances, tighten_quads
from textspot.geometry import polygon_area
from textspot.structures import Sample

SIZE = (60, 100)
TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT = (10.0, 10.0), (50.0, 10.0), (50.0, 20.0), (10.0, 20.0)


def test_no_instances() -> None:
    assert repair_polygons([], SIZE) == ([], {})


@pytest.mark.parametrize(
    "polygon",
    [
        (TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT),
        (TOP_LEFT, (30.0, 5.0), TOP_RIGHT, BOTTOM_RIGHT, (30.0, 15.0), BOTTOM_LEFT),
        ((-5.0, -5.0), (500.0, 0.0), (500.0, 70.0), (-5.0, 70.0)),  # reaches over the border
        ((10.0, 10.0), (50.0, 10.0), (50.0, 10.03), (10.0, 10.03)),  # 1.2 square pixels
    ],
)
def test_in_order(polygon) -> None:
    instance = Instance(polygon, "word", language="en")
    assert repair_polygons([instance], SIZE) == ([instance], {})


@pytest.mark.parametrize(
    ("polygon", "remedy"),
    [
        ((TOP_LEFT,) * 4, "dropped: no area"),
        ((TOP_LEFT, TOP_RIGHT, TOP_RIGHT, TOP_LEFT), "dropped: no area"),
        (((-9.0, 10.0), (0.0, 10.0), (0.0, 20.0), (-9.0, 20.0)), "dropped: outside the image"),
        (((10.0, 60.0), (50.0, 60.0), (50.0, 70.0), (10.0, 70.0)), "dropped: outside the image"),
    ],
)
def test_dropped(polygon, remedy: str) -> None:
    instance = Instance((TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT), "stays")
    assert repair_polygons([Instance(polygon, "goes"), instance, Instance(polygon)], SIZE) == ([instance], {remedy: 2})


def test_anticlockwise_keeps_its_first_corner() -> None:
    repaired, remedies = repair_polygons([Instance((TOP_LEFT, BOTTOM_LEFT, BOTTOM_RIGHT, TOP_RIGHT), "word")], SIZE)
    assert repaired == [Instance((TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT), "word")]
    assert remedies == {"repaired: ran anticlockwise, now clockwise from the same first corner": 1}


@pytest.mark.parametrize(
    "polygon",
    [(TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT), (TOP_LEFT, BOTTOM_RIGHT, TOP_RIGHT, BOTTOM_LEFT)],
)
def test_crossed_quad_becomes_a_rectangle(polygon) -> None:
    repaired, remedies = repair_polygons([Instance(polygon, "word", ignore=True)], SIZE)
    assert repaired == [Instance((TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT), "word", ignore=True)]
    assert remedies == {"repaired: sides crossed, now the smallest rectangle around the corners": 1}


def test_crossed_outline_stays() -> None:
    polygon = (TOP_LEFT, (30.0, 10.0), (29.0, 10.5), (31.0, 10.0), TOP_RIGHT, BOTTOM_RIGHT, (28.0, 9.0), BOTTOM_LEFT)
    repaired, remedies = repair_polygons([Instance(polygon, "word")], SIZE)
    assert [instance.polygon for instance in repaired] == [polygon]
    assert polygon_area(polygon) > 0
    assert remedies == {"kept: the outline crosses itself": 1}


def test_sample_to_instances() -> None:

    polygons = [np.array([TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT], np.float32), np.array([TOP_LEFT] * 3, np.float32)]
    sample = Sample(np.zeros((*SIZE, 3), np.uint8), polygons, ["word", "###"], np.array([False, True]))
    assert sample_to_instances(sample) == [
        Instance((TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT), "word"),
        Instance((TOP_LEFT,) * 3, "###", ignore=True),
    ]


def test_a_score_is_that_of_a_program() -> None:
    by_hand, read = Instance((TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT), "word"), {"score": 0.97}
    assert by_hand.score == 1
    assert "score" not in by_hand.to_dict()
    scored = Instance.from_dict(by_hand.to_dict() | read)
    assert (scored.score, scored.to_dict()["score"]) == (0.97, 0.97)
    assert Instance.from_dict(by_hand.to_dict() | {"score": 0}).score == 0


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (1.5, r"score is 1.5, expected a value in \[0, 1\]"),
        (float("nan"), "score is nan, expected a value"),
        ("0.9", "score is '0.9', expected a number"),
        (True, "score is True, expected a number"),
        (None, "score is None, expected a number"),
    ],
)
def test_a_score_that_cannot_be(score: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Instance.from_dict({"polygon": [[0, 0], [9, 0], [9, 9]], "score": score})


def tighten(corners: list[tuple[float, float]], across: float, along: float) -> np.ndarray:
    (tightened,) = tighten_quads([Instance(tuple(corners), "word")], (across, along))
    assert tightened.transcript == "word"
    return np.array(tightened.polygon)


def test_a_margin_is_taken_off_all_sides() -> None:
    corners = [TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT, BOTTOM_LEFT]  # 40 x 10 pixels
    np.testing.assert_allclose(tighten(corners, 0.1, 0.2), [[12, 11], [48, 11], [48, 19], [12, 19]])
    np.testing.assert_allclose(tighten(corners, -0.1, -0.2), [[8, 9], [52, 9], [52, 21], [8, 21]])
    np.testing.assert_allclose(tighten(corners, 0, 0), corners)
    assert tighten_quads([], (0.1, 0.1)) == []


def test_a_margin_lies_along_the_reading_direction() -> None:
    upwards = [(10.0, 50.0), (10.0, 10.0), (20.0, 10.0), (20.0, 50.0)]
    np.testing.assert_allclose(tighten(upwards, 0.1, 0.2), [[11, 48], [11, 12], [19, 12], [19, 48]])


def test_a_narrow_word_keeps_half_of_its_width() -> None:
    narrow = [(10.0, 10.0), (14.0, 10.0), (14.0, 30.0), (10.0, 30.0)]
    np.testing.assert_allclose(tighten(narrow, 0, 0.2), [[11, 10], [13, 10], [13, 30], [11, 30]])


def test_a_margin_is_of_quads() -> None:
    with pytest.raises(ValueError, match="off quads, not off 3 points"):
        tighten_quads([Instance((TOP_LEFT, TOP_RIGHT, BOTTOM_RIGHT))], (0.1, 0.1))
