"""From regions to text instances."""

from functools import partial

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from textspot.geometry import box_to_quad, polygon_area, polygon_to_ribbon, quad_to_ribbon, ribbon_to_polygon
from textspot.postprocess import PostprocessConfig, decode_instances, suppress
from textspot.structures import TextInstance
from textspot.text.charset import Charset
from textspot.text.ctc import decode_best_path

CHARSET = Charset("abc")
DECODE = partial(decode_best_path, charset=CHARSET)
CONFIG = PostprocessConfig(text_power=0.0)
SIZE = (100, 200)
QUAD = box_to_quad([10, 10, 50, 30])
ARC = np.array([[0, 40], [30, 10], [70, 10], [100, 40], [90, 55], [65, 30], [35, 30], [10, 55]])
CURVED, _ = polygon_to_ribbon(ARC)


def text_to_logits(*texts: str) -> np.ndarray:
    """Logits (K, 4, C) that read as the texts."""
    logits = np.zeros((len(texts), 4, CHARSET.num_classes), np.float32)
    for number, text in enumerate(texts):
        for step, token in enumerate((CHARSET.encode(text) + [0] * 4)[:4]):
            logits[number, step, token] = 9
    return logits


def build_instance(polygon: np.ndarray, score: float) -> TextInstance:
    return TextInstance(np.asarray(polygon, np.float32), "a", score)


def test_a_language_that_does_not_ship_is_said_at_once():
    assert PostprocessConfig(language="english").language == "english"
    with pytest.raises(ValueError, match=r"postprocess\.language is 'englsh', expected null or one of auto, bulgarian"):
        PostprocessConfig(language="englsh")


def test_no_regions():
    ribbons, logits = np.zeros((0, 2, 4, 2), np.float32), np.zeros((0, 16, 4), np.float32)
    assert decode_instances(ribbons, np.zeros(0, np.float32), logits, SIZE, DECODE, 0.5, CONFIG) == []
    assert suppress([], 0.3) == []


def test_an_instance_has_the_polygon_the_text_and_both_scores():
    (instance,) = decode_instances(
        quad_to_ribbon(QUAD)[None], np.float32([0.75]), text_to_logits("ab"), SIZE, DECODE, 0.5, CONFIG
    )
    np.testing.assert_allclose(instance.polygon, QUAD, atol=1e-5)
    assert (instance.text, instance.score) == ("ab", 0.75)
    assert instance.text_score == pytest.approx(np.exp(9) / (np.exp(9) + 3))


def test_a_region_that_is_not_read_stays():
    (instance,) = decode_instances(
        quad_to_ribbon(QUAD)[None], np.ones(1), text_to_logits(""), SIZE, DECODE, 0.5, CONFIG
    )
    assert instance.text == ""


def test_a_score_at_the_threshold_is_kept_and_a_slot_without_a_peak_never():
    ribbons = np.array([quad_to_ribbon(box_to_quad([60 * k, 0, 60 * k + 40, 20])) for k in range(3)])
    logits = text_to_logits("a", "b", "c")
    found = decode_instances(ribbons, np.array([0.5, 0.51, 0.49]), logits, SIZE, DECODE, 0.5, CONFIG)
    assert [instance.text for instance in found] == ["b", "a"]
    found = decode_instances(ribbons, np.array([0.0, 0.01, 0.0]), logits, SIZE, DECODE, 0.0, CONFIG)
    assert [instance.text for instance in found] == ["b"]


def test_the_best_score_comes_first():
    ribbons = np.array([quad_to_ribbon(box_to_quad([60 * k, 0, 60 * k + 40, 20])) for k in range(3)])
    scores = np.array([0.6, 0.9, 0.7])
    found = decode_instances(ribbons, scores, text_to_logits("a", "b", "c"), SIZE, DECODE, 0.5, CONFIG)
    assert [(instance.text, instance.score) for instance in found] == [("b", 0.9), ("c", 0.7), ("a", 0.6)]


def test_the_reader_has_a_say_in_the_score():
    """In the order, in what is kept, and in which of two that overlap stays."""
    ribbons = np.array([quad_to_ribbon(box_to_quad([60 * k, 0, 60 * k + 40, 20])) for k in (0, 1, 2, 2)])
    logits = text_to_logits("a", "b", "c", "ab")
    logits[[0, 2]] /= 4  # read with doubt
    doubt = np.exp(9 / 4) / (np.exp(9 / 4) + 3)
    config = PostprocessConfig(text_power=2.0)
    first, second = decode_instances(ribbons, np.array([0.6, 0.7, 0.9, 0.8]), logits, SIZE, DECODE, 0.5, config)
    assert (first.text, second.text) == ("ab", "b")
    assert first.score == pytest.approx(0.8 * first.text_score**2)
    (third,) = decode_instances(ribbons[:1], np.array([0.8]), logits[:1], SIZE, DECODE, 0.4, config)
    assert third.score == pytest.approx(0.8 * doubt**2)


@pytest.mark.parametrize("points_per_edge", [2, 5])
def test_points_per_edge(points_per_edge):
    config = PostprocessConfig(points_per_edge=points_per_edge)
    (instance,) = decode_instances(CURVED[None], np.ones(1), text_to_logits("abc"), SIZE, DECODE, 0.5, config)
    assert instance.polygon.tolist() == ribbon_to_polygon(CURVED, points_per_edge).tolist()
    assert len(instance.polygon) == 2 * points_per_edge


def find_boxes(*boxes: tuple[int, int, int, int]) -> list[TextInstance]:
    """What is kept of boxes `xyxy` that the network finds in an image of SIZE."""
    ribbons = np.array([quad_to_ribbon(box_to_quad(np.array(box))) for box in boxes])
    return decode_instances(ribbons, np.ones(len(boxes)), text_to_logits(*["a"] * len(boxes)), SIZE, DECODE, 0, CONFIG)


@pytest.mark.parametrize("box", [(-30, 10, 20, 30), (190, 10, 220, 30), (10, -30, 50, 20), (10, 90, 50, 120)])
def test_what_is_found_in_the_padding_goes(box):
    inside = np.clip(np.reshape(box, (2, 2)), (1, 1), (199, 99))
    assert find_boxes(box) == []
    assert len(find_boxes(box, (60, 40, 90, 60), tuple(inside.ravel()))) == 2


def test_the_middle_of_a_bent_word_counts_not_that_of_its_control_points():
    lifted = CURVED - [0, 20]  # its middle lies at y = -3, the mean of its control points at 7, of its corners at 27
    assert decode_instances(lifted[None], np.ones(1), text_to_logits("a"), SIZE, DECODE, 0.5, CONFIG) == []


def test_polygons_end_where_the_image_ends():
    (left,) = find_boxes((-10, -5, 40, 20))
    np.testing.assert_allclose(left.polygon, box_to_quad([0, 0, 40, 20]), atol=1e-5)
    (right,) = find_boxes((170, 85, 220, 110))
    np.testing.assert_allclose(right.polygon, box_to_quad([170, 85, 200, 100]), atol=1e-5)


BOW_TIE = np.array([[0, 0], [40, 20], [40, 0], [0, 20]])


@pytest.mark.parametrize("polygon", [BOW_TIE, QUAD[::-1], np.full((4, 2), 5), QUAD[[0, 1, 1, 0]]])
def test_outlines_that_no_text_has_go_and_take_nobody_with_them(polygon):
    good = build_instance(QUAD + 5, 0.4)
    assert suppress([build_instance(polygon, 0.9), good], 0.3) == [good]


def test_the_threshold_of_the_overlap_is_strict():
    one, half = build_instance(box_to_quad([0, 0, 40, 20]), 0.9), build_instance(box_to_quad([0, 0, 20, 20]), 0.8)
    assert suppress([one, half], 0.5) == [one, half]
    assert suppress([one, half], 0.49) == [one]


def test_of_two_equal_ones_the_first_stays():
    one, same = build_instance(QUAD, 0.9), build_instance(QUAD, 0.9)
    assert suppress([one, same], 0.3)[0] is one
    assert suppress([one, same], 1.0) == [one, same]


def test_one_that_is_gone_removes_no_other():
    """The second overlaps the first, the third only the second."""
    chain = [build_instance(box_to_quad([12 * k, 0, 12 * k + 20, 20]), 0.9 - 0.1 * k) for k in range(3)]
    assert suppress(chain, 0.2) == [chain[0], chain[2]]


def suppress_slowly(instances: list[TextInstance], max_overlap: float) -> list[TextInstance]:
    kept: list[TextInstance] = []
    for instance in sorted(instances, key=lambda one: -one.score):
        shape = shapely.Polygon(instance.polygon)
        if not shape.is_valid or polygon_area(instance.polygon) <= 0:
            continue
        others = [shapely.Polygon(one.polygon) for one in kept]
        if all(shape.intersection(o).area <= max_overlap * shape.union(o).area for o in others):
            kept.append(instance)
    return kept


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.1, 0.3, 0.6]))
def test_suppression_is_that_of_a_plain_loop(seed, max_overlap):
    rng = np.random.default_rng(seed)
    instances = []
    for _ in range(12):
        left, top = rng.uniform(0, 40, 2)
        box = box_to_quad([left, top, left + rng.uniform(5, 40), top + rng.uniform(5, 20)])
        instances.append(build_instance(box + rng.uniform(-6, 6, (4, 2)), float(rng.choice([0.3, 0.5, 0.7, 0.9]))))
    assert suppress(instances, max_overlap) == suppress_slowly(instances, max_overlap)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_regions": 0}, "postprocess.max_regions is 0, expected at least 1"),
        ({"max_overlap": -0.1}, r"postprocess.max_overlap is -0.1, expected a value in \[0, 1\]"),
        ({"max_overlap": 1.1}, "postprocess.max_overlap is 1.1"),
        ({"points_per_edge": 1}, "postprocess.points_per_edge is 1, expected at least 2"),
        ({"text_power": -1.0}, "text_power is -1.0, expected at least 0"),
    ],
)
def test_settings_that_cannot_be(settings, message):
    with pytest.raises(ValueError, match=message):
        PostprocessConfig(**settings)
