"""Words are read where they were detected, if they were; else where they are annotated."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from textspot.geometry import box_to_quad, polygon_to_ribbon, quad_to_ribbon
from textspot.models.choice import Choice
from textspot.models.predicted_regions import NEAREST, NUM_PREDICTED, exchange_regions
from textspot.models.spotting_network import DETECTORS, SpottingNetwork

STRAIGHT = quad_to_ribbon(box_to_quad(np.array([10, 20, 70, 32])))
TURNED = quad_to_ribbon(np.array([[80, 20], [140, 44], [132, 62], [72, 38]]))
CURVED = polygon_to_ribbon(np.array([[10, 70], [40, 50], [90, 58], [86, 78], [40, 70], [18, 86]]))[0]
WORDS = torch.from_numpy(np.stack([[STRAIGHT, TURNED], [CURVED, np.zeros_like(CURVED)]]))  # one slot is not in use
EVERY = torch.ones(2, 2, dtype=torch.bool)


def exchange_slowly(ribbons: np.ndarray, predicted: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The same, word by word."""
    result = ribbons.copy()
    for image, slot in np.argwhere(wanted):
        word = ribbons[image, slot]
        height = np.linalg.norm(word[1] - word[0], axis=1).mean()
        farthest = [np.linalg.norm(other - word, axis=2).max() for other in predicted[image]]
        if min(farthest) < NEAREST * height:
            result[image, slot] = predicted[image, np.argmin(farthest)]
    return result


@pytest.mark.parametrize("seed", range(5))
def test_a_loop_over_the_words_agrees(seed: int) -> None:
    rng = np.random.default_rng(seed)
    near = WORDS.numpy()[:, [1, 0, 0]] + rng.normal(0, 1.5, (2, 3, 2, 4, 2))
    predicted = np.concatenate([near, rng.uniform(0, 100, (2, 4, 2, 4, 2))], axis=1).astype(np.float32)
    wanted = rng.random((2, 2)) < 0.7
    expected = exchange_slowly(WORDS.numpy(), predicted, wanted)
    found = exchange_regions(WORDS, torch.from_numpy(predicted), torch.from_numpy(wanted))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        (lambda word: word + 2.0, True),
        (lambda word: word + torch.tensor([3.9, 0.0]), True),
        (lambda word: word + torch.tensor([4.1, 0.0]), False),  # a third of 12 pixels
        (lambda word: word.flip(0, 1), False),  # upside down: read in the other direction
        (lambda word: word * 1.2, False),
    ],
    ids=["near", "just near", "a character is cut", "turned round", "larger"],
)
def test_only_the_same_word_is_taken(change: Callable[[Tensor], Tensor], taken: bool) -> None:
    predicted = change(WORDS[:1, :1])
    found = exchange_regions(WORDS[:1, :1], predicted, EVERY[:1, :1])
    assert torch.equal(found, predicted if taken else WORDS[:1, :1])


def test_slots_that_are_not_wanted_or_not_in_use_stay() -> None:
    predicted = torch.cat([WORDS + 1, torch.zeros(2, 1, 2, 4, 2)], dim=1)
    assert torch.equal(exchange_regions(WORDS, predicted, ~EVERY), WORDS)
    found = exchange_regions(WORDS, predicted, EVERY)
    assert torch.equal(found[0], WORDS[0] + 1)
    assert torch.equal(found[1], torch.stack([WORDS[1, 0] + 1, WORDS[1, 1]]))


def test_the_network_reads_where_it_detects(build_tiny: Callable[[], SpottingNetwork]) -> None:
    """A detector that sees every word one pixel lower."""
    network, slot = build_tiny().eval(), torch.tensor([0, 1, 2])
    image = torch.randint(0, 256, (2, 3, 96, 160), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    lower = WORDS + torch.tensor([0.0, 1.0])
    network.predict_regions = lambda _: lower  # type: ignore[method-assign]
    first = torch.tensor([[True, False], [False, False]])
    output = network(image, WORDS, slot, first)
    assert torch.equal(output.ribbons[0], torch.stack([lower[0, 0], WORDS[0, 1]]))
    assert torch.equal(output.ribbons[1], WORDS[1])
    assert torch.equal(output.text_logits, network(image, output.ribbons, slot).text_logits)
    given = network(image, WORDS, slot)
    assert torch.equal(output.text_logits[1:], given.text_logits[1:])
    assert not torch.equal(output.text_logits[0], given.text_logits[0])


def test_predictions_are_peaks_and_no_gradient_flows_through_them(build_tiny: Callable[[], SpottingNetwork]) -> None:
    network = build_tiny()
    image = torch.zeros(1, 3, 32, 64, dtype=torch.uint8)
    _, maps = network.detect(image)
    predicted = network.predict_regions(maps)
    assert predicted.shape == (1, 64, 2, 4, 2)
    assert torch.equal(predicted, network.detector.peaks(maps, 64)[0])
    assert not predicted.requires_grad
    words = predicted[:, :3] + 0.01
    output = network(image, words, torch.arange(3), torch.ones(1, 3, dtype=torch.bool))
    output.text_logits.sum().backward()
    assert network.detector.geometry.weight.grad is None
    assert network.neck.lateral[0].weight.grad is not None


@pytest.mark.parametrize("kind", ["ribbon", "rfcn"])
def test_the_smallest_image_has_as_many_regions_as_are_looked_at(
    build_tiny: Callable[..., SpottingNetwork], kind: str
) -> None:
    network = build_tiny(detector=Choice(kind, DETECTORS[kind].Config())).eval()
    _, maps = network.detect(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    assert network.predict_regions(maps).shape == (1, NUM_PREDICTED, 2, 4, 2)
