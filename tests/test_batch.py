from dataclasses import replace

import numpy as np
import pytest
import torch

from textspot.batch import Example, collate
from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.models.boxes import BoxTargets
from textspot.models.ribbon_head import RibbonTargets

SIZE = (32, 64)


def build_example(words: list[list[int]], number: int = 0, **dropped: int) -> Example:
    """An example with one word per list of tokens; what it holds can be told from `number`."""
    rng = np.random.default_rng(number)
    score, mask = rng.random((2, 8, 16), dtype=np.float32)
    cells = np.flatnonzero(score > 0.8) if words else np.zeros(0, np.int64)
    maps = RibbonTargets(score, mask, cells, *(rng.random((len(cells), *n), dtype=np.float32) for n in ((16,), ())))
    ribbons = [quad_to_ribbon(box_to_quad([10 * number + slot, 0, 20, 10])) for slot in range(len(words))]
    image = rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    regions = np.array(ribbons, np.float32).reshape(-1, 2, 4, 2)
    return Example(image, maps, regions, words, dropped, outlines=regions + 1, outlines_fit=number != 2)


@pytest.mark.parametrize("num_images", [1, 3])
def test_no_text_at_all(num_images):
    batch = collate([build_example([], number) for number in range(num_images)])
    assert batch.num_regions == 0
    assert batch.ribbons.shape == (num_images, 1, 2, 4, 2)
    assert batch.region_slot.shape == (0,)
    assert batch.targets.offsets.shape == (num_images, 0, 16)
    assert batch.tokens.shape == (0, 1)
    assert batch.token_lengths.shape == (0,)
    assert {batch.region_slot.dtype, batch.tokens.dtype, batch.token_lengths.dtype} == {torch.int64}
    assert batch.dropped == {}


def test_every_slot_in_use_points_at_its_own_ribbon_and_tokens():
    words = [[], [[1], [2, 3], [4, 4, 4]], [[5, 6]]]
    examples = [build_example(texts, number) for number, texts in enumerate(words)]
    batch = collate(examples)
    assert batch.num_regions == 4
    assert batch.ribbons.shape == (3, 3, 2, 4, 2)
    assert batch.region_slot.tolist() == [3, 4, 5, 6]
    regions = batch.ribbons.flatten(0, 1)[batch.region_slot]
    assert regions.tolist() == np.concatenate([example.ribbons for example in examples]).tolist()
    assert batch.tokens.tolist() == [[1, 0, 0], [2, 3, 0], [4, 4, 4], [5, 6, 0]]
    assert batch.token_lengths.tolist() == [1, 2, 3, 2]


def test_images_and_maps_are_those_of_the_examples():
    examples = [build_example([[1]], number) for number in range(2)]
    batch = collate(examples)
    assert batch.image.shape == (2, 3, *SIZE)
    assert batch.image.dtype == torch.uint8
    for number, example in enumerate(examples):
        assert batch.image[number].permute(1, 2, 0).tolist() == example.image.tolist()
        for name in ("score", "mask"):
            assert getattr(batch.targets, name)[number].tolist() == getattr(example.targets, name).tolist()


def test_boxes_of_images_with_fewer_are_followed_by_none():
    """Their kind is 0."""
    counts = (1, 3, 2)
    targets = [BoxTargets(np.full((n, 4), 9, np.float32), np.full(n, 1)) for n in counts]
    batch = collate([replace(build_example([]), targets=boxes) for boxes in targets])
    assert isinstance(batch.targets, BoxTargets)
    assert batch.targets.kind.tolist() == [[1, 0, 0], [1, 1, 1], [1, 1, 0]]
    assert (batch.targets.boxes.amax(dim=2) / 9).tolist() == batch.targets.kind.tolist()
    assert batch.to(torch.device("meta")).targets.boxes.shape == (3, 3, 4)


def test_inner_cells_of_images_with_fewer_are_followed_by_some_of_weight_0():
    examples = [build_example(words, number) for number, words in enumerate(([[1]], [], [[2], [3]]))]
    targets = collate(examples).targets
    counts = [len(example.targets.cells) for example in examples]
    assert counts[1] == 0 < counts[0] != counts[2] > 0
    assert targets.offsets.shape == (3, max(counts), 16)
    for number, count in enumerate(counts):
        for name in ("cells", "offsets", "weights"):
            values, expected = getattr(targets, name)[number], getattr(examples[number].targets, name)
            assert values[:count].tolist() == expected.tolist()
            assert not values[count:].any()


def test_memory_stays_channels_last():
    batch = collate([build_example([]), build_example([])])
    assert batch.image.is_contiguous(memory_format=torch.channels_last)


def test_what_was_dropped_is_added_up():
    batch = collate([build_example([], a=1), build_example([], a=2, b=4), build_example([])])
    assert batch.dropped == {"a": 3, "b": 4}


def test_moving_a_batch_moves_every_tensor():
    batch = collate([build_example([[1, 2]])]).to(torch.device("meta"))
    tensors = [value for value in (*vars(batch).values(), *batch.targets) if isinstance(value, torch.Tensor)]
    assert len(tensors) == 12
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert batch.dropped == {}


def test_outlines_lie_in_the_order_of_the_regions_and_say_whether_they_fit():
    examples = [build_example([[1]] * count, number) for number, count in enumerate((2, 0, 1))]
    batch = collate(examples)
    expected = batch.ribbons.flatten(0, 1)[batch.region_slot] + 1
    assert torch.equal(batch.outlines, expected)
    assert batch.outline_weight.tolist() == [1, 1, 0]
    assert collate(examples[1:2]).outlines.shape == (0, 2, 4, 2)
