"""Polygons and ribbons against shapely, and against what their definitions say."""

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st

from textspot.geometry import (
    bernstein,
    box_to_quad,
    min_area_quad,
    polygon_area,
    polygon_to_box,
    polygon_to_ribbon,
    quad_to_ribbon,
    ribbon_points,
    ribbon_section,
    ribbon_size,
    ribbon_to_polygon,
)

POINT = np.full((4, 2), 7.0)
LINE = np.array([[0, 0], [10, 0], [10, 0], [0, 0]], dtype=np.float32)
QUAD = np.array([[10, 20], [110, 30], [105, 62], [6, 50]], dtype=np.float32)

coordinates = st.integers(-500, 500).map(lambda number: number / 4)
polygons = st.lists(st.tuples(coordinates, coordinates), min_size=3, max_size=9).map(np.array)
quads = st.lists(st.tuples(coordinates, coordinates), min_size=4, max_size=4).map(np.array)


def draw_arc(num_points: int, radius: float, height: float, start: float, stop: float) -> np.ndarray:
    """A word bent along a circle, from angle `start` to `stop`, with `num_points` on each edge."""
    angle = np.linspace(start, stop, num_points)
    rays = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.concatenate([(radius + height) * rays, (radius * rays)[::-1]])


@pytest.mark.parametrize("polygon", [POINT, LINE])
def test_polygons_without_extent(polygon):
    assert polygon_area(polygon) == 0
    assert polygon_area(min_area_quad(polygon)) == 0
    assert shapely.LineString(min_area_quad(polygon)).hausdorff_distance(shapely.MultiPoint(polygon)) == 0
    ribbon, residual = polygon_to_ribbon(polygon)
    assert residual == 0
    np.testing.assert_allclose(ribbon_to_polygon(ribbon), polygon, atol=1e-5)


def test_three_equal_vertices_are_a_ribbon_without_size():
    ribbon, residual = polygon_to_ribbon(POINT[:3])
    assert residual == 0
    assert ribbon.tolist() == np.full((2, 4, 2), 7.0).tolist()
    assert ribbon_size(ribbon) == (0, 0)


def test_the_area_is_positive_clockwise_as_seen():
    assert polygon_area(box_to_quad([1, 2, 4, 4])) == 6
    assert polygon_area(box_to_quad([1, 2, 4, 4])[::-1]) == -6


@given(polygons)
def test_the_area_is_that_of_shapely(polygon):
    ring = shapely.Polygon(polygon)
    assume(ring.is_valid)
    expected = ring.area if ring.exterior.is_ccw else -ring.area  # y down: counterclockwise there is clockwise here
    assert polygon_area(polygon) == pytest.approx(expected, abs=1e-6)


def test_a_box_and_back():
    quad = box_to_quad([1, 2, 5, 9])
    assert quad.tolist() == [[1, 2], [5, 2], [5, 9], [1, 9]]
    assert quad.dtype == np.float32
    assert polygon_to_box(quad).tolist() == [1, 2, 5, 9]


@given(polygons)
def test_the_smallest_rectangle_is_that_of_shapely(polygon):
    quad = min_area_quad(polygon)
    expected = shapely.MultiPoint(polygon).minimum_rotated_rectangle.area
    assert polygon_area(quad) == pytest.approx(expected, abs=1e-2, rel=1e-4)
    if expected > 1:
        distances = shapely.distance(shapely.Polygon(quad), shapely.points(polygon))
        assert distances.max() < 1e-3


@given(polygons)
def test_the_smallest_rectangle_is_read_along_its_longer_side_left_to_right(polygon):
    top_left, top_right, bottom_right, _ = min_area_quad(polygon)
    along, across = top_right - top_left, bottom_right - top_right
    assert np.linalg.norm(along) >= np.linalg.norm(across) - 1e-3
    assert along[0] >= -1e-3


@pytest.mark.parametrize("first", range(5))
def test_a_vertical_word_is_read_downwards_wherever_its_polygon_starts(first):
    polygon = np.array([[0, 0], [8, 0], [8, 40], [4, 40], [0, 40]])
    for order in (1, -1):
        quad = min_area_quad(np.roll(polygon[::order], first, axis=0))
        np.testing.assert_allclose(quad, [[8, 0], [8, 40], [0, 40], [0, 0]], atol=1e-5)


def test_the_weights_of_a_curve_sum_to_one_and_begin_and_end_at_its_ends():
    weights = bernstein(np.linspace(0, 1, 11))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert weights[0].tolist() == [1, 0, 0, 0]
    assert weights[-1].tolist() == [0, 0, 0, 1]
    assert weights[5] == pytest.approx(np.array([1, 3, 3, 1]) / 8)


@given(quads)
def test_the_ribbon_of_a_quad_is_exact_and_back(quad):
    ribbon, residual = polygon_to_ribbon(quad)
    np.testing.assert_allclose(ribbon, quad_to_ribbon(quad), atol=1e-4)
    np.testing.assert_allclose(ribbon_to_polygon(ribbon), quad, atol=1e-4)
    assert residual < 1e-4


def test_the_inner_control_points_of_a_straight_edge_are_its_thirds():
    ribbon = quad_to_ribbon(box_to_quad([0, 0, 30, 9]))
    assert ribbon.tolist() == [[[0, 0], [10, 0], [20, 0], [30, 0]], [[0, 9], [10, 9], [20, 9], [30, 9]]]


@pytest.mark.parametrize("num_points", [3, 4, 5, 7, 15])
def test_a_quarter_of_a_circle_fits_within_a_hundredth_of_its_radius(num_points):
    polygon = draw_arc(num_points, radius=100, height=30, start=-2.36, stop=-0.79)
    ribbon, residual = polygon_to_ribbon(polygon)
    assert residual < 1
    np.testing.assert_allclose(ribbon_to_polygon(ribbon), polygon[[0, num_points - 1, num_points, -1]], 1e-5)
    if num_points >= 4:  # three points on an edge leave the curve between them open
        radii = np.linalg.norm(ribbon_to_polygon(ribbon, 20), axis=1)
        np.testing.assert_allclose(radii, [130] * 20 + [100] * 20, atol=1)


def test_an_edge_of_one_inner_vertex_goes_through_it():
    polygon = np.array([[0, 10], [20, 0], [60, 10], [60, 30], [0, 30], [-1, 30]], dtype=np.float32)
    ribbon, residual = polygon_to_ribbon(polygon)
    assert residual < 0.1
    assert ribbon_to_polygon(ribbon, 200)[:200, 1].min() < 0.5  # the bend is there, not cut off


@given(st.lists(st.tuples(coordinates, coordinates), min_size=5, max_size=5).map(np.array))
def test_the_residual_is_the_distance_of_the_vertex_that_fits_worst(edge):
    straight = np.stack([np.linspace(40, 0, 5), np.full(5, 500)], axis=1)
    ribbon, residual = polygon_to_ribbon(np.concatenate([edge, straight]))
    curve = shapely.LineString(ribbon_to_polygon(ribbon, 1000)[:1000])
    assert residual == pytest.approx(max(curve.distance(shapely.points(edge))), abs=0.5, rel=0.01)


def test_repeated_vertices_change_nothing():
    arc = draw_arc(7, radius=80, height=20, start=-2, stop=-1)
    doubled = np.repeat(arc, 2, axis=0)
    np.testing.assert_allclose(polygon_to_ribbon(doubled)[0], polygon_to_ribbon(arc)[0], atol=2)
    assert polygon_to_ribbon(doubled)[1] < 0.5


def test_an_odd_polygon_becomes_its_smallest_rectangle_and_says_how_far_off_that_is():
    flag = np.array([[0, 0], [100, 0], [92, 15], [100, 30], [0, 30]], dtype=np.float32)
    ribbon, residual = polygon_to_ribbon(flag)
    np.testing.assert_allclose(ribbon_to_polygon(ribbon), [[0, 0], [100, 0], [100, 30], [0, 30]], atol=1e-4)
    assert residual == pytest.approx(8)


def test_points_of_a_ribbon():
    points = ribbon_points(quad_to_ribbon(QUAD), np.array([0.0, 0.5, 1.0]), np.array([0.0, 1.0]))
    assert points.shape == (2, 3, 2)
    np.testing.assert_allclose(points[[0, 0, 1, 1], [0, 2, 2, 0]], QUAD, atol=1e-5)
    np.testing.assert_allclose(points[:, 1], [(QUAD[0] + QUAD[1]) / 2, (QUAD[2] + QUAD[3]) / 2], atol=1e-5)


def test_the_outline_of_a_curved_ribbon_is_clockwise_and_simple():
    ribbon, _ = polygon_to_ribbon(draw_arc(7, radius=100, height=30, start=-3, stop=-0.2))
    for points_per_edge in (2, 3, 10):
        outline = ribbon_to_polygon(ribbon, points_per_edge)
        assert outline.shape == (2 * points_per_edge, 2)
        assert outline.dtype == np.float32
        assert polygon_area(outline) > 0
        assert shapely.Polygon(outline).is_valid


def test_the_size_of_a_ribbon():
    assert ribbon_size(quad_to_ribbon(box_to_quad([0, 0, 80, 20]))) == pytest.approx((20, 80))
    half_circle, _ = polygon_to_ribbon(draw_arc(15, radius=90, height=20, start=-np.pi, stop=0))
    assert ribbon_size(half_circle) == pytest.approx((20, np.pi * 100), rel=0.02)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0.2, 0.7), (-0.3, 1.4), (0.5, 0.5)])
def test_a_section_of_a_ribbon_is_the_same_surface(start, end):
    """Also where it is prolonged: u of the section is start + u (end - start) of the ribbon."""
    ribbon, _ = polygon_to_ribbon(draw_arc(5, 100.0, 20.0, -2.0, -1.0))
    u, v = np.linspace(0, 1, 7), np.linspace(0, 1, 3)
    section = ribbon_section(ribbon, start, end)
    assert section.shape == (2, 4, 2)
    np.testing.assert_allclose(ribbon_points(section, u, v), ribbon_points(ribbon, start + u * (end - start), v))


def test_a_straight_ribbon_is_prolonged_straight():
    section = ribbon_section(quad_to_ribbon(QUAD), -0.5, 2)
    top_left, top_right, bottom_right, bottom_left = QUAD
    along_top, along_bottom = top_right - top_left, bottom_right - bottom_left
    quad = [
        top_left - along_top / 2,
        top_right + along_top,
        bottom_right + along_bottom,
        bottom_left - along_bottom / 2,
    ]
    np.testing.assert_allclose(section, quad_to_ribbon(quad), atol=1e-4)
    np.testing.assert_allclose(ribbon_section(quad_to_ribbon(POINT), -1, 2), quad_to_ribbon(POINT), atol=1e-9)
