"""The maps the detection head learns, against what they promise to each cell."""

import numpy as np
import pytest
import shapely
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from textspot.geometry import box_to_quad, polygon_to_ribbon, quad_to_ribbon, ribbon_to_polygon
from textspot.models.neck import STRIDE
from textspot.models.rfcn_head import draw_box_targets, draw_no_boxes
from textspot.models.ribbon_head import GEOMETRY_CORE, OFFSET_UNIT, draw_nothing, draw_targets
from textspot.models.spotting_network import DETECTORS

SIZE = (96, 160)
FRAME = (200, 200)
WORD = quad_to_ribbon(box_to_quad([33, 41, 113, 65]))  # rows 10 to 16, columns 8 to 28; its centre in cell (13, 18)
KEEP, IGNORE = np.array([False]), np.array([True])


def restore_ribbons(targets) -> dict[tuple[int, int], np.ndarray]:
    """What the geometry map says at each cell that learns it: (row, column) -> ribbon (2, 4, 2) px."""
    cells = np.stack(np.unravel_index(targets.cells, targets.score.shape), axis=1)
    centres = (cells[:, ::-1] + 0.5) * STRIDE
    ribbons = targets.offsets.reshape(-1, 2, 4, 2) * OFFSET_UNIT + centres[:, None, None]
    return {(int(row), int(column)): ribbon for (row, column), ribbon in zip(cells, ribbons, strict=True)}


def weight_map(targets) -> np.ndarray:
    """The weight of the geometry (h, w), 0 where a cell learns none."""
    weight = np.zeros(targets.score.size, np.float32)
    weight[targets.cells] = targets.weights
    return weight.reshape(targets.score.shape)


def test_no_instance():
    targets = draw_targets([], np.zeros(0, dtype=bool), SIZE)
    assert targets.score.shape == targets.mask.shape == (24, 40)
    assert (targets.cells.shape, targets.offsets.shape, targets.weights.shape) == ((0,), (0, 16), (0,))
    assert not targets.score.any()
    assert targets.mask.all()


def test_of_an_image_nothing_may_count():
    """Its targets have the shapes and types of others, so that both go into one batch."""
    nothing, empty = draw_nothing(SIZE), draw_targets([], np.zeros(0, dtype=bool), SIZE)
    assert [(a.shape, a.dtype) for a in nothing] == [(a.shape, a.dtype) for a in empty]
    assert not nothing.mask.any()
    boxes, no_box = draw_no_boxes(SIZE), draw_box_targets([], np.zeros(0, dtype=bool), SIZE)
    assert [(a.shape, a.dtype) for a in boxes] == [(a.shape, a.dtype) for a in no_box]


@pytest.mark.parametrize("shift", [(-400, 0), (0, -400), (400, 0), (0, 400)])
@pytest.mark.parametrize("ignore", [KEEP, IGNORE])
def test_a_word_outside_leaves_no_trace(shift, ignore):
    targets = draw_targets([WORD + np.float32(shift)], ignore, SIZE)
    assert not targets.score.any()
    assert len(targets.cells) == 0
    assert targets.mask.all()


def test_the_hill_is_1_in_the_cell_of_the_centre_and_falls_from_there():
    score = draw_targets([WORD], KEEP, SIZE).score
    assert score.dtype == np.float32
    assert np.argwhere(score == 1).tolist() == [[13, 18]]
    along, across = score[13, 8:29], score[10:17, 18]
    assert (along > 0).all()
    assert (np.diff(along)[:10] > 0).all()
    assert (np.diff(along)[10:] < 0).all()
    assert (np.diff(across)[:3] > 0).all()
    assert (np.diff(across)[3:] < 0).all()


def test_the_score_is_0_outside_the_word():
    score = draw_targets([WORD], KEEP, SIZE).score
    score[10:17, 8:29] = 0
    assert not score.any()


@pytest.mark.parametrize(
    "polygon",
    [
        box_to_quad([32, 40, 112, 64]),
        np.array([[20, 60], [100, 10], [112, 28], [30, 80]]),  # rotated
        np.array([[20, 60], [40, 30], [80, 20], [120, 40], [110, 60], [80, 42], [50, 50], [36, 70]]),  # curved
    ],
)
def test_every_core_cell_knows_the_whole_ribbon(polygon):
    ribbon, _ = polygon_to_ribbon(polygon)
    targets = draw_targets([ribbon], KEEP, SIZE)
    restored = restore_ribbons(targets)
    assert len(restored) >= 6
    for found in restored.values():
        np.testing.assert_allclose(found, ribbon, atol=1e-4)
    assert (weight_map(targets) > 0).tolist() == (targets.score > GEOMETRY_CORE).tolist()


def test_the_weight_of_the_geometry_is_relative_to_the_height():
    low, high = (quad_to_ribbon(box_to_quad([0, 0, 80, height])) for height in (16, 32))
    low_weight, high_weight = (draw_targets([ribbon], KEEP, SIZE).weights.max() for ribbon in (low, high))
    assert low_weight == pytest.approx(OFFSET_UNIT / 16)
    assert high_weight == pytest.approx(OFFSET_UNIT / 32)


@pytest.mark.parametrize("extent", [0, 1e-3, 3.9])
def test_a_word_of_one_cell(extent):
    ribbon = quad_to_ribbon(box_to_quad([20, 24, 20 + extent, 24 + extent]))
    targets = draw_targets([ribbon], KEEP, SIZE)
    assert targets.score[6, 5] == 1
    assert targets.score.sum() == 1
    np.testing.assert_allclose(restore_ribbons(targets)[6, 5], ribbon, atol=1e-4)
    assert targets.weights.max() == OFFSET_UNIT / STRIDE  # bounded, however low the word


def test_an_ignored_word_counts_neither_way():
    targets = draw_targets([WORD], IGNORE, SIZE)
    assert not targets.score.any()
    assert len(targets.cells) == 0
    expected = np.ones((24, 40))
    expected[10:17, 8:29] = 0
    assert targets.mask.tolist() == expected.tolist()


@pytest.mark.parametrize("ignored_first", [True, False])
def test_a_word_that_counts_keeps_its_core_under_an_ignored_one(ignored_first):
    ribbons = [WORD, quad_to_ribbon(box_to_quad([0, 0, 160, 96]))]
    ignore = np.array([False, True])
    if ignored_first:
        ribbons, ignore = ribbons[::-1], ignore[::-1]
    targets = draw_targets(ribbons, ignore, SIZE)
    alone = draw_targets([WORD], KEEP, SIZE)
    assert targets.mask.tolist() == (weight_map(alone) > 0).tolist()
    assert targets.score.tolist() == alone.score.tolist()


def test_where_two_words_overlap_the_higher_hill_owns_the_cell():
    other = WORD + np.float32([24, 8])
    both = draw_targets([WORD, other], np.array([False, False]), SIZE)
    alone = [draw_targets([ribbon], KEEP, SIZE) for ribbon in (WORD, other)]
    assert both.score.tolist() == np.maximum(alone[0].score, alone[1].score).tolist()
    owners = set()
    for (row, column), found in restore_ribbons(both).items():
        owner = int(alone[1].score[row, column] > alone[0].score[row, column])
        np.testing.assert_allclose(found, (WORD, other)[owner], atol=1e-4)
        assert weight_map(both)[row, column] == weight_map(alone[owner])[row, column]
        owners.add(owner)
    assert owners == {0, 1}


def test_the_order_of_words_does_not_matter():
    words = [WORD, WORD + np.float32([23, 7]), WORD + np.float32([-11, 13])]
    there, back = (draw_targets(order, np.zeros(3, bool), SIZE) for order in (words, words[::-1]))
    for name in ("score", "mask", "cells", "offsets", "weights"):
        np.testing.assert_array_equal(getattr(there, name), getattr(back, name))


def test_a_word_partly_outside_is_drawn_as_far_as_it_is_inside():
    inside = draw_targets([WORD], KEEP, SIZE)
    shifted = draw_targets([WORD - np.float32([80, 0])], KEEP, SIZE)  # its left three quarters are gone
    assert shifted.score[:, :8].tolist() == inside.score[:, 20:28].tolist()
    for found in restore_ribbons(shifted).values():
        np.testing.assert_allclose(found, WORD - np.float32([80, 0]), atol=1e-4)


def draw_ribbon(seed: int) -> np.ndarray:
    """A word of any size, turned, sheared and bent, in the middle of `FRAME`."""
    rng = np.random.default_rng(seed)
    width, height = rng.uniform(4, 100), rng.uniform(4, 40)
    angle, bend = rng.uniform(-np.pi, np.pi), rng.uniform(-0.3, 0.3, 2)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    shear = rng.uniform(-0.15, 0.15, (4, 2)) * min(width, height)
    ribbon = quad_to_ribbon((box_to_quad([0, 0, width, height]) + shear) @ turn)
    ribbon[:, 1:3] += (bend * height).astype(np.float32)
    return ribbon - ribbon.mean(axis=(0, 1)) + rng.uniform(98, 102, 2).astype(np.float32)


@given(st.integers(0, 2**32 - 1))
def test_the_score_of_a_word_has_one_peak(seed):
    score = torch.from_numpy(draw_targets([draw_ribbon(seed)], KEEP, FRAME).score)
    is_peak = score == F.max_pool2d(score[None], 3, stride=1, padding=1)[0]
    assert int((is_peak & (score > 0.1)).sum()) == 1


@given(st.integers(0, 2**32 - 1))
def test_every_cell_that_lies_inside_a_word_is_covered(seed):
    """No holes: an ignored word would be taught as background through them."""
    ribbon = draw_ribbon(seed)
    outline = shapely.Polygon(ribbon_to_polygon(ribbon, 16)).buffer(-1e-3)
    left, top = np.meshgrid(np.arange(0, FRAME[1], STRIDE), np.arange(0, FRAME[0], STRIDE))
    within = shapely.contains(outline, shapely.box(left, top, left + STRIDE, top + STRIDE))
    assert not draw_targets([ribbon], IGNORE, FRAME).mask[within].any()


def test_no_instance_is_one_box_of_no_size():
    targets = draw_box_targets([], np.zeros(0, dtype=bool), SIZE)
    assert targets.boxes.tolist() == [[0, 0, 0, 0]]
    assert targets.kind.tolist() == [0]


def test_boxes_are_words_ignored_or_outside_and_end_with_the_image():
    words = [WORD, WORD + np.float32([90, 40]), WORD, WORD + np.float32([0, 200])]
    targets = draw_box_targets(words, np.array([False, False, True, False]), SIZE)
    assert targets.kind.tolist() == [1, 1, -1, 0]
    np.testing.assert_allclose(targets.boxes[:3], [[33, 41, 113, 65], [123, 81, 160, 96], [33, 41, 113, 65]])
    assert targets.boxes.dtype == np.float32


@pytest.mark.parametrize(
    ("kind", "outline"),
    [("ribbon", [[20, 60], [100, 10], [112, 28], [30, 80]]), ("rfcn", [[20, 10], [112, 10], [112, 80], [20, 80]])],
)
def test_what_a_detector_finds_of_a_turned_word(kind, outline):
    """R-FCN its box, which is also what is read then."""
    labeler = DETECTORS[kind].build_labeler(DETECTORS[kind].Config())
    ribbon = labeler.outline(np.array([[20, 60], [100, 10], [112, 28], [30, 80]], dtype=np.float32))
    assert ribbon.dtype == np.float32
    np.testing.assert_allclose(ribbon_to_polygon(ribbon), outline, atol=1e-4)
    assert type(labeler.draw([ribbon], KEEP, SIZE)).__name__ == {"ribbon": "RibbonTargets", "rfcn": "BoxTargets"}[kind]
