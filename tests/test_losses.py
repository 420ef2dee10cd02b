"""Every term's value and denominator, and what their weighted sum does to the gradient."""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor

from textspot.batch import Batch, Example, collate
from textspot.losses import SpottingLoss, ctc_loss
from textspot.models.ribbon_head import (
    DetectionMaps,
    RibbonHead,
    RibbonTargets,
    draw_nothing,
    geometry_loss,
    score_loss,
)

T, C = 5, 4
EVEN = {"det/score": 1.0, "det/geometry": 1.0, "rec/ctc": 1.0}


def draw_example(seed: int, words: list[list[int]]) -> Example:
    rng = np.random.default_rng(seed)
    score = rng.uniform(size=(6, 8)).astype(np.float32) * bool(words)
    mask = (rng.uniform(size=(6, 8)) > 0.2).astype(np.float32)
    cells = np.flatnonzero(score > 0.5)
    offsets = rng.normal(size=(len(cells), 16)).astype(np.float32)
    targets = RibbonTargets(score, mask, cells, offsets, score.ravel()[cells])
    ribbons = np.zeros((len(words), 2, 4, 2), np.float32)
    return Example(np.zeros((24, 32, 3), np.uint8), targets, ribbons, words, {}, ribbons)


def draw_outputs(batch: Batch, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Score logits, geometry and text logits that a network might give for the batch."""
    generator = torch.Generator().manual_seed(seed)
    B, h, w = batch.targets.score.shape
    shapes = (B, h, w), (B, 16, h, w), (batch.num_regions, T, C)
    return tuple(torch.randn(shape, generator=generator, requires_grad=True) for shape in shapes)


def spotting_loss(weights: dict[str, float], reduce: Callable[[Tensor], Tensor]):
    """The loss of the ribbon detector as a function of (score logits, geometry, text logits, batch)."""
    loss = SpottingLoss(weights, lambda output, batch: RibbonHead.loss_terms(output.maps, batch.targets), reduce)

    def call(score: Tensor, geometry: Tensor, text_logits: Tensor, batch: Batch):
        return loss(SimpleNamespace(maps=DetectionMaps(score, geometry), text_logits=text_logits), batch)

    return call


def same(denominators: Tensor) -> Tensor:
    return denominators


def value(term: tuple[Tensor, Tensor]) -> float:
    return (term[0] / term[1]).item()


def enlarge(tensor: Tensor, fill: float) -> Tensor:
    """Twice as high and wide a map (..., h, w), the new cells holding `fill`."""
    h, w = tensor.shape[-2:]
    return torch.nn.functional.pad(tensor, (0, w, 0, h), value=fill)


@pytest.mark.parametrize("probability", [0.2, 0.5, 0.9])
def test_score_loss_of_one_cell_by_hand(probability):
    logits = torch.logit(torch.tensor([[[probability]]]))
    target, one = torch.tensor([[[0.7]]]), torch.ones(1, 1, 1)
    total, count = score_loss(logits, target, one)
    cross_entropy = -0.7 * math.log(probability) - 0.3 * math.log(1 - probability)
    assert float(total) == pytest.approx((probability - 0.7) ** 2 * cross_entropy, rel=1e-4)
    assert float(count) == pytest.approx(0.7)


def test_the_score_loss_vanishes_where_the_prediction_is_right():
    target = torch.tensor([[[0.0, 0.3, 0.7, 1.0]]])
    total, count = score_loss(torch.logit(target, eps=1e-6), target, torch.ones_like(target))
    assert float(total) == pytest.approx(0, abs=1e-9)
    assert float(count) == 2


def test_the_score_loss_of_huge_logits_is_finite():
    logits = torch.tensor([[[-1e4, 1e4]]], requires_grad=True)
    total, _ = score_loss(logits, torch.tensor([[[1.0, 0.0]]]), torch.ones(1, 1, 2))
    total.backward()
    assert total.item() == pytest.approx(2e4)
    assert logits.grad.isfinite().all()


def test_masked_cells_count_neither_way():
    batch = collate([draw_example(0, [[1]])])
    logits, _, _ = draw_outputs(batch)
    term = score_loss(logits, batch.targets.score, batch.targets.mask)
    disturbed = torch.where(batch.targets.mask == 0, 50.0, logits)
    assert value(score_loss(disturbed, batch.targets.score, batch.targets.mask)) == pytest.approx(value(term))
    ignored = torch.where(batch.targets.mask == 0, 1.0, batch.targets.score)
    assert value(score_loss(logits, ignored, batch.targets.mask)) == pytest.approx(value(term))


def test_padding_leaves_the_detection_terms_as_they_are():
    batch = collate([draw_example(0, [[1]])])
    logits, geometry, _ = draw_outputs(batch)
    before = score_loss(logits, batch.targets.score, batch.targets.mask)
    after = score_loss(enlarge(logits, 3.0), enlarge(batch.targets.score, 0.5), enlarge(batch.targets.mask, 0.0))
    assert value(after) == pytest.approx(value(before))
    _, _, cells, *rest = batch.targets
    before = geometry_loss(geometry, cells, *rest)
    after = geometry_loss(enlarge(geometry, 9.0), cells // 8 * 16 + cells % 8, *rest)
    assert value(after) == pytest.approx(value(before))


def test_empty_area_that_is_seen_as_empty_costs_next_to_nothing():
    batch = collate([draw_example(0, [[1]])])
    logits, _, _ = draw_outputs(batch)
    before = score_loss(logits, batch.targets.score, batch.targets.mask)
    after = score_loss(enlarge(logits, -6.0), enlarge(batch.targets.score, 0.0), enlarge(batch.targets.mask, 1.0))
    assert value(after) == pytest.approx(value(before), rel=1e-4)


def test_geometry_loss_is_the_weighted_mean_distance():
    geometry = torch.zeros(1, 16, 1, 3)
    geometry[:, :, :, 0], geometry[:, :8, :, 1], geometry[:, :, :, 2] = 2, -4, 100
    total, count = geometry_loss(geometry, torch.tensor([[1, 0]]), torch.zeros(1, 2, 16), torch.tensor([[0.5, 1.0]]))
    assert float(total) == 2 * 1 + 2 * 0.5
    assert float(count) == 1.5


def test_the_geometry_of_inner_cells_is_that_of_nearly_empty_maps():
    """Of images with more cells, fewer and none."""
    batch = collate([draw_example(0, [[1]]), draw_example(1, []), draw_example(2, [[2]])])
    _, geometry, _ = draw_outputs(batch)
    target, weight = torch.zeros(3, 16, 6 * 8), torch.zeros(3, 6 * 8)
    counts = [int((image > 0).sum()) for image in batch.targets.weights]
    assert counts[1] == 0 < counts[0] != counts[2]
    for image, count in enumerate(counts):
        for cell, offsets, its_weight in list(zip(*(part[image] for part in batch.targets[2:]), strict=True))[:count]:
            target[image, :, cell], weight[image, cell] = offsets, its_weight
    distance = (geometry.flatten(2) - target).abs().mean(dim=1)
    total, count = geometry_loss(geometry, *batch.targets[2:])
    torch.testing.assert_close(total, (distance * weight).sum())
    torch.testing.assert_close(count, weight.sum())
    (gradient,) = torch.autograd.grad(total, geometry)
    assert ((gradient != 0).any(dim=1).flatten(1) == (weight > 0)).all()


def read_alignment(path: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(token for token, _ in groupby(path) if token)


@pytest.mark.parametrize("tokens", [[], [1], [2, 1], [1, 1], [1, 2, 1], [2, 2, 2]])
def test_ctc_is_the_sum_over_all_alignments(tokens):
    logits = torch.randn(1, T, 3, generator=torch.Generator().manual_seed(0))
    probabilities = logits[0].double().softmax(dim=1).tolist()
    likelihood = sum(
        math.prod(probabilities[step][token] for step, token in enumerate(path))
        for path in itertools.product(range(3), repeat=T)
        if read_alignment(path) == tuple(tokens)
    )
    total, count = ctc_loss(logits, torch.tensor([[*tokens, 0]]), torch.tensor([len(tokens)]))
    assert float(total) == pytest.approx(-math.log(likelihood), rel=1e-5)
    assert int(count) == len(tokens)


def test_ctc_counts_characters_and_not_what_pads_them():
    logits = torch.randn(2, T, C, generator=torch.Generator().manual_seed(0))
    tokens, lengths = torch.tensor([[1, 2, 3], [2, 0, 0]]), torch.tensor([3, 1])
    total, count = ctc_loss(logits, tokens, lengths)
    alone = [ctc_loss(logits[[r]], tokens[[r], : lengths[r]], lengths[[r]])[0] for r in range(2)]
    assert int(count) == 4
    assert float(total) == pytest.approx(float(sum(alone)), rel=1e-6)
    wider = torch.nn.functional.pad(tokens, (0, 3))
    assert float(ctc_loss(logits, wider, lengths)[0]) == pytest.approx(float(total))


def test_ctc_is_computed_in_float32():
    logits = torch.randn(2, T, C, generator=torch.Generator().manual_seed(0)).bfloat16()
    total, _ = ctc_loss(logits, torch.tensor([[1], [2]]), torch.tensor([1, 1]))
    assert total.dtype == torch.float32
    precise, _ = ctc_loss(logits.float(), torch.tensor([[1], [2]]), torch.tensor([1, 1]))
    assert float(total) == pytest.approx(float(precise))


def test_without_regions_ctc_is_zero_and_part_of_the_graph():
    source = torch.ones(3, requires_grad=True)
    logits = source.sum() * torch.zeros(0, T, C)
    total, count = ctc_loss(logits, torch.zeros(0, 1, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))
    assert (total.item(), count.item()) == (0, 0)
    total.backward()
    assert source.grad.tolist() == [0, 0, 0]


def test_the_total_is_the_weighted_sum_of_the_terms():
    batch = collate([draw_example(0, [[1, 2], [3]]), draw_example(1, [[2]])])
    outputs = draw_outputs(batch)
    total, terms = spotting_loss({"det/score": 2.0, "det/geometry": 3.0, "rec/ctc": 0.5}, same)(*outputs, batch)
    assert list(terms) == ["det/score", "det/geometry", "rec/ctc"]
    expected = {
        "det/score": score_loss(outputs[0], batch.targets.score, batch.targets.mask),
        "det/geometry": geometry_loss(outputs[1], *batch.targets[2:]),
        "rec/ctc": ctc_loss(outputs[2], batch.tokens, batch.token_lengths),
    }
    for name, term in expected.items():
        assert float(terms[name]) == pytest.approx(value(term), rel=1e-6)
        assert not terms[name].requires_grad
    weights = {"det/score": 2, "det/geometry": 3, "rec/ctc": 0.5}
    assert total.item() == pytest.approx(sum(weights[name] * float(terms[name]) for name in terms), rel=1e-6)


@pytest.mark.parametrize(("absent", "output"), [("det/score", 0), ("det/geometry", 1), ("rec/ctc", 2)])
def test_a_term_of_weight_0_is_absent_and_trains_nothing(absent, output):
    batch = collate([draw_example(0, [[1, 2], [3]])])
    outputs = draw_outputs(batch)
    total, terms = spotting_loss(EVEN | {absent: 0.0}, same)(*outputs, batch)
    assert terms.keys() == {"det/score", "det/geometry", "rec/ctc"} - {absent}
    total.backward()
    for number, tensor in enumerate(outputs):
        assert bool(tensor.grad.any()) == (number != output)


def test_an_image_without_text_is_background_and_nothing_else():
    """Its hills have no area to divide by: the loss stays of the order of what a batch with text costs."""
    batch = collate([draw_example(0, [])])
    untrained = torch.full_like(batch.targets.score, -4.6).requires_grad_()
    total, terms = spotting_loss(EVEN, same)(untrained, *draw_outputs(batch)[1:], batch)
    assert terms["det/geometry"] == terms["rec/ctc"] == 0
    assert 0 < total.item() < 1e-3
    total.backward()
    assert (untrained.grad[batch.targets.mask > 0] > 0).all()


@pytest.mark.parametrize("words", [[], [[1, 2]]])
def test_images_of_which_nothing_counts_teach_the_reader_alone(words):
    """The terms of the detector are 0 and not 0 / 0, and its gradient is 0, alone in a batch and beside others."""
    nothing = draw_nothing((24, 32))
    examples = [replace(draw_example(seed, words), targets=nothing) for seed in (0, 1)]
    batch, full = collate(examples), draw_example(2, [[1], [2]])
    outputs = draw_outputs(batch)
    total, values = spotting_loss(EVEN, same)(*outputs, batch)
    total.backward()
    assert (values["det/score"], values["det/geometry"]) == (0, 0)
    assert [bool(output.grad.any()) for output in outputs] == [False, False, bool(words)]
    both, alone = collate([full, *examples]), collate([full])
    outputs = draw_outputs(both)
    parts = outputs[0][:1], outputs[1][:1], outputs[2][:2]
    _, beside = spotting_loss(EVEN, same)(*outputs, both)
    _, single = spotting_loss(EVEN, same)(*parts, alone)
    assert beside["det/score"] == pytest.approx(float(single["det/score"]))
    assert beside["det/geometry"] == pytest.approx(float(single["det/geometry"]))


def test_halves_with_the_mean_denominator_average_to_the_whole():
    """As several processes do: each divides by the mean of all denominators, then gradients are averaged."""
    words = [[[1, 2, 3], [1]], [], [[2]], [[3, 1]]]
    examples = [draw_example(seed, texts) for seed, texts in enumerate(words)]
    whole = collate(examples)
    logits, geometry, text_logits = draw_outputs(whole)
    total, terms = spotting_loss(EVEN, same)(logits, geometry, text_logits, whole)
    parts = []
    for images, regions in ((slice(0, 2), slice(0, 2)), (slice(2, 4), slice(2, 4))):
        parts.append((logits[images], geometry[images], text_logits[regions], collate(examples[images])))
    seen = []
    for part in parts:
        spotting_loss(EVEN, lambda counts: seen.append(counts) or counts)(*part)
    mean = torch.stack(seen).mean(dim=0)
    halves = [spotting_loss(EVEN, lambda _: mean)(*part) for part in parts]
    torch.testing.assert_close(sum(half for half, _ in halves) / 2, total)
    for name in terms:
        torch.testing.assert_close(sum(half[name] for _, half in halves) / 2, terms[name])
    gradients = torch.autograd.grad(total, (logits, geometry, text_logits))
    averaged = torch.autograd.grad(sum(half for half, _ in halves) / 2, (logits, geometry, text_logits))
    for one, other in zip(gradients, averaged, strict=True):
        torch.testing.assert_close(one, other)
