"""Repairs of polygons: each remedy, counted; what is in order stays as it is."""

import numpy as np
import pytest

from textspot.data.annotation import Instance, repair_polygons, sample_to_instances
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
