"""Box arithmetic against plain loops, the degenerate cases first."""

import numpy as np
import pytest
import torch

from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.models.boxes import (
    OFFSET_UNITS,
    BoxTargets,
    boxes_to_ribbons,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    hardest,
    match_boxes,
    suppress,
)

WORD, IGNORED, NOTHING = 1, -1, 0


def draw_boxes(count: int, seed: int = 0) -> torch.Tensor:
    """Boxes of 2 to 60 pixels in a square of 100."""
    rng = np.random.default_rng(seed)
    low, side = rng.uniform(0, 60, (count, 2)), rng.uniform(2, 60, (count, 2))
    return torch.from_numpy(np.concatenate([low, low + side], axis=1)).float()


def overlap(one, other) -> float:
    """IoU of two boxes, 0 without area."""
    width = max(0, min(one[2], other[2]) - max(one[0], other[0]))
    height = max(0, min(one[3], other[3]) - max(one[1], other[1]))
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (area - width * height) if area else 0.0


def build_targets(boxes: list[list[float]], kinds: list[int]) -> BoxTargets:
    return BoxTargets(torch.tensor(boxes).view(1, -1, 4), torch.tensor([kinds]))


def test_offsets_by_hand():
    anchor, box = torch.tensor([10.0, 10, 30, 20]), torch.tensor([14.0, 12, 54, 17])
    expected = [(34 - 20) / 20, (14.5 - 15) / 10, np.log(40 / 20), np.log(5 / 10)]
    np.testing.assert_allclose(encode_boxes(box, anchor), np.array(expected) / OFFSET_UNITS, rtol=1e-5)


def test_offsets_lead_back_to_the_box():
    boxes, anchors = draw_boxes(50, 1), draw_boxes(50, 2)
    np.testing.assert_allclose(decode_boxes(encode_boxes(boxes, anchors), anchors), boxes, atol=1e-3)
    assert torch.equal(encode_boxes(anchors, anchors), torch.zeros(50, 4))


def test_no_offset_is_infinite():
    nothing = torch.zeros(1, 4)
    assert encode_boxes(nothing, draw_boxes(1)).isfinite().all()
    assert encode_boxes(draw_boxes(1), nothing).isfinite().all()
    assert decode_boxes(torch.full((1, 4), 1e6), draw_boxes(1)).isfinite().all()


def test_what_lies_outside_has_no_size():
    boxes = torch.tensor([[-5.0, 4, 12, 70], [50, 60, 80, 90], [-9, -9, -3, -3]])
    assert clip_boxes(boxes, 40, 30).tolist() == [[0, 4, 12, 40], [30, 40, 30, 40], [0, 0, 0, 0]]


def test_of_two_identical_boxes_the_better_remains():
    box = draw_boxes(1)
    assert suppress(torch.cat([box, box]), torch.tensor([0.3, 0.4]), 0.5).tolist() == [1]


@pytest.mark.parametrize("boxes", [torch.zeros(0, 4), torch.zeros(3, 4), torch.tensor([[5.0, 5, 40, 5.5]])])
def test_boxes_thinner_than_a_pixel_do_not_remain(boxes):
    assert suppress(boxes, torch.ones(len(boxes)), 0.5).tolist() == []


def test_suppression_is_that_of_a_plain_loop():
    boxes, scores = draw_boxes(60), torch.rand(60, generator=torch.Generator().manual_seed(0))
    kept: list[int] = []
    for number in scores.argsort(descending=True).tolist():
        if all(overlap(boxes[number].tolist(), boxes[other].tolist()) <= 0.3 for other in kept):
            kept.append(number)
    assert 3 < len(kept) < 40
    assert suppress(boxes, scores, 0.3).tolist() == kept


def test_a_box_is_a_straight_horizontal_ribbon():
    boxes = draw_boxes(6)
    expected = [quad_to_ribbon(box_to_quad(box)) for box in boxes.numpy()]
    np.testing.assert_allclose(boxes_to_ribbons(boxes.view(2, 3, 4)).flatten(0, 1), expected, atol=1e-5)
    assert boxes_to_ribbons(torch.zeros(2, 0, 4)).shape == (2, 0, 2, 4, 2)


def test_matching_is_that_of_a_plain_loop():
    words, boxes = draw_boxes(5, 1), draw_boxes(400, 2)
    found = match_boxes(boxes[None], build_targets(words.tolist(), [WORD] * 5), 0.5, 0.3)
    for number, box in enumerate(boxes.tolist()):
        overlaps = [overlap(box, word) for word in words.tolist()]
        assert bool(found.foreground[0, number]) == (max(overlaps) >= 0.5)
        assert bool(found.background[0, number]) == (max(overlaps) < 0.3)
        if max(overlaps) >= 0.5:
            assert torch.equal(found.words[0, number], words[int(np.argmax(overlaps))])
    assert 5 < found.foreground.sum() < 100


def test_the_best_box_of_a_word_counts_however_little_it_covers():
    boxes = torch.tensor([[[0.0, 0, 10, 10], [8, 8, 30, 30], [60, 60, 70, 70]]])
    targets = build_targets([[9, 9, 13, 13], [200, 200, 210, 210]], [WORD, WORD])  # nothing comes near the second
    assert match_boxes(boxes, targets, 0.5, 0.3).foreground.tolist() == [[False, False, False]]
    found = match_boxes(boxes, targets, 0.5, 0.3, best_counts=True)
    assert found.foreground.tolist() == [[False, True, False]]
    assert found.background.tolist() == [[True, False, True]]


def test_without_words_everything_is_background_but_boxes_without_size():
    boxes = torch.cat([draw_boxes(3), torch.zeros(1, 4)])[None]
    found = match_boxes(boxes, build_targets([[0.0, 0, 0, 0]], [NOTHING]), 0.5, 0.3, best_counts=True)
    assert found.foreground.tolist() == [[False] * 4]
    assert found.background.tolist() == [[True, True, True, False]]


def test_boxes_in_ignored_words_are_no_examples():
    boxes = torch.tensor([[[10.0, 10, 20, 20], [15, 10, 35, 20], [50, 50, 60, 60]]])
    found = match_boxes(boxes, build_targets([[0.0, 0, 22, 30]], [IGNORED]), 0.5, 0.5, best_counts=True)
    assert not found.foreground.any()
    assert found.background.tolist() == [[False, True, True]]  # 100 %, 35 % and nothing of each lies in it


def test_a_word_counts_within_an_ignored_one():
    word = [10.0, 10, 20, 20]
    found = match_boxes(torch.tensor([[word]]), build_targets([[0.0, 0, 50, 50], word], [IGNORED, WORD]), 0.5, 0.5)
    assert found.foreground.all()


def test_the_hardest_of_each_image():
    loss = torch.tensor([[0.1, 0.9, 0.5, 0.7], [0.4, 0.3, 0.2, 0.1], [0.0, 0.0, 0.0, 0.0]])
    candidates = torch.tensor([[True, False, True, True], [True] * 4, [True, False, False, False]])
    counts = torch.tensor([2, 0, 9])
    assert hardest(loss, candidates, counts).tolist() == [
        [False, False, True, True],
        [False] * 4,
        [True, False, False, False],
    ]
