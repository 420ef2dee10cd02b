"""The terms of data-free objectives, each against what it should be."""

import math

import pytest
import torch
from torch import nn

from textspot.quant.synthesis.classifier import OBJECTIVES, ObjectiveConfig, depth_weights
from textspot.quant.synthesis.image_space import ImageSpace
from textspot.quant.synthesis.priors import Mixtures, PriorConfig, spread_of
from textspot.quant.synthesis.semantics import Semantics, SemanticsConfig, crop, draw_boxes
from textspot.quant.synthesis.synthesis import Jitter, SynthesisConfig
from textspot.quant.synthesis.terms import (
    DENSITY_FLOOR,
    kernel_entropy,
    soft_cross_entropy,
    total_variation,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def slow_entropy(values: list[float], bandwidth: float, num_points: int) -> float:
    """By the book, one number at a time."""
    low, high = min(values), max(values)
    points = [low + (high - low) * number / (num_points - 1) for number in range(num_points)]
    heights = []
    for point in points:
        kernels = [math.exp(-(((point - value) / bandwidth) ** 2) / 2) / math.sqrt(2 * math.pi) for value in values]
        density = sum(kernels) / (len(values) * bandwidth) + DENSITY_FLOOR
        heights.append(-density * math.log(density))
    return sum((points[k + 1] - points[k]) * (heights[k + 1] + heights[k]) / 2 for k in range(num_points - 1))


@pytest.mark.parametrize("num_points", [2, 10, 40])
def test_entropy_against_a_slow_one(num_points):
    values = torch.rand(3, 25, generator=generator(), dtype=torch.float64) * torch.tensor([[1.0], [0.2], [2.0]])
    expected = [slow_entropy(row.tolist(), 0.1, num_points) for row in values]
    assert kernel_entropy(values, 0.1, num_points).tolist() == pytest.approx(expected, rel=1e-6)


def test_entropy_of_a_normal_density_is_that_of_the_formula():
    values = torch.randn(1, 20000, generator=generator(), dtype=torch.float64)
    expected = 0.5 * math.log(2 * math.pi * math.e * (1 + 0.1**2))
    assert kernel_entropy(values, 0.1, 200).item() == pytest.approx(expected, abs=0.02)


def test_the_gradient_of_a_patch_reaches_only_that_patch():
    images = torch.randn(3, 3, 24, 32, generator=generator()).requires_grad_()
    boxes, owner = torch.tensor([[2, 3, 7], [12, 20, 11], [0, 0, 2]]), torch.tensor([0, 2, 2])
    patches = crop(images, owner, boxes)
    assert patches.shape == (3, 3, 24, 32)
    weights = torch.rand(patches.shape, generator=generator(1)) + 0.1
    for number, (image, (top, left, side)) in enumerate(zip(owner.tolist(), boxes.tolist(), strict=True)):
        (gradient,) = torch.autograd.grad((patches[number] * weights[number]).sum(), images, retain_graph=True)
        reached = torch.zeros_like(images, dtype=torch.bool)
        reached[image, :, top : top + side, left : left + side] = True
        assert torch.equal(gradient != 0, reached)
    assert crop(images, owner[:0], boxes[:0]).shape == (0, 3, 24, 32)


@pytest.mark.parametrize("size", [(64, 64), (32, 48), (7, 5)])
def test_boxes_lie_inside_and_apart(size):
    chance = generator()
    for count in [*range(5), *[4] * 30]:
        boxes = draw_boxes(count, size, chance)
        covered = torch.zeros(size)
        for top, left, side in (box.tolist() for box in boxes):
            assert side >= 1
            assert top >= 0
            assert left >= 0
            assert top + side <= size[0]
            assert left + side <= size[1]
            covered[top : top + side, left : left + side] += 1
        assert len(boxes) == count
        assert covered.max() <= 1


def test_soft_labels_are_sure_of_the_relevant_classes():
    semantics = Semantics.draw(40, 30, (64, 64), SemanticsConfig(irrelevant_std=0.5), seed=0)
    torch.testing.assert_close(semantics.targets.sum(dim=1), torch.ones(40))
    assert set(torch.bincount(semantics.image_of_patch, minlength=40).tolist()) == {1, 2, 3, 4}
    for image in range(40):
        patches = semantics.patches_of(range(image, image + 1))
        labels = semantics.patch_targets[patches].argmax(dim=1)
        assert len(labels.unique()) == len(labels)
        assert set(semantics.targets[image].topk(len(labels)).indices.tolist()) == set(labels.tolist())
    logits = semantics.patch_targets.log()
    gap = logits.amax(dim=1) - logits.median(dim=1).values
    assert gap.min() > 4
    assert gap.max() < 11.5
    assert gap.std() > 0.5


def test_hard_labels_and_one_label():
    hard = Semantics.draw(30, 6, (32, 32), SemanticsConfig(soft=False), seed=0)
    assert set(hard.patch_targets.unique().tolist()) == {0.0, 1.0}
    for image in range(30):
        of_patches = hard.patch_targets[hard.patches_of(range(image, image + 1))]
        torch.testing.assert_close(hard.targets[image], of_patches.mean(dim=0))
    one = Semantics.draw(5, 6, (32, 32), SemanticsConfig(max_patches=0, soft=False), seed=0)
    assert len(one.boxes) == len(one.image_of_patch) == len(one.patch_targets) == 0
    assert one.targets.sum(dim=1).tolist() == one.targets.amax(dim=1).tolist() == [1.0] * 5
    assert len(Semantics.draw(4, 2, (32, 32), SemanticsConfig(), seed=0).boxes) <= 8


def test_cross_entropy_is_torchs_where_labels_are_hard():
    logits, labels = torch.randn(5, 7, generator=generator()), torch.tensor([0, 3, 6, 1, 1])
    expected = nn.functional.cross_entropy(logits, labels, reduction="none")
    torch.testing.assert_close(soft_cross_entropy(logits, nn.functional.one_hot(labels, 7).float()), expected)


def test_total_variation_of_a_step_and_of_nothing():
    images = torch.zeros(2, 1, 4, 4, requires_grad=True)
    total_variation(images).sum().backward()
    assert torch.equal(images.grad, torch.zeros_like(images))
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1  # four neighbours across, none down, three along either diagonal
    expected = math.sqrt(32) * (math.sqrt(4) + 2 * math.sqrt(3))
    assert total_variation(step).item() == pytest.approx(expected)
    assert total_variation(torch.cat([step, 3 * step])).tolist() == pytest.approx([expected, 3 * expected])


def test_total_variation_is_that_of_a_batch_of_32_where_all_are_equally_rough():
    images = torch.randn(1, 3, 20, 24, generator=generator()).expand(32, -1, -1, -1)
    whole = 0.0
    for down, across in ((0, 1), (1, 0), (1, 1)):
        whole += (images[:, :, down:, across:] - images[:, :, : 20 - down, : 24 - across]).norm().item()
    whole += (images[:, :, 1:, :-1] - images[:, :, :-1, 1:]).norm().item()
    assert total_variation(images).tolist() == pytest.approx([whole] * 32)


def test_what_is_to_be_seen_does_not_depend_on_what_else_is_switched():
    """Ablations of one seed differ in their switch alone."""
    one, patches, soft, both = (
        Semantics.draw(20, 30, (64, 64), SemanticsConfig(max_patches, soft), seed=3)
        for max_patches, soft in ((0, False), (4, False), (0, True), (4, True))
    )
    assert torch.equal(patches.boxes, both.boxes)
    assert torch.equal(patches.image_of_patch, both.image_of_patch)
    assert torch.equal(patches.patch_targets.argmax(dim=1), both.patch_targets.argmax(dim=1))
    first = [int(both.patches_of(range(image, image + 1))[0]) for image in range(20)]
    assert torch.equal(one.targets.argmax(dim=1), both.patch_targets[first].argmax(dim=1))
    assert torch.equal(one.targets.argmax(dim=1), soft.targets.argmax(dim=1))


def test_a_prior_is_the_mixture_it_says():
    widths, angles = torch.tensor([[[[0.1, 0.3], [0.2, 0.2]]]]), torch.tensor([[[0.6, 0.0]]])
    mixtures = Mixtures(
        torch.tensor([[[1.0, 0.5]]]), torch.tensor([[[[0.3, 0.6], [0.8, 0.1]]]]), spread_of(widths, angles), 0.01
    )
    points = torch.rand(2, 9, 2, generator=generator())
    got = mixtures.at(points, range(1))[0, 0]
    turn = torch.tensor([[math.cos(0.6), -math.sin(0.6)], [math.sin(0.6), math.cos(0.6)]])
    covariance = turn @ torch.diag(torch.tensor([0.1, 0.3]) ** 2) @ turn.T
    for window, got_N in zip(points, got, strict=True):
        values = []
        for point in window:
            first, second = point - torch.tensor([0.3, 0.6]), point - torch.tensor([0.8, 0.1])
            value = math.exp(-0.5 * first @ torch.linalg.inv(covariance) @ first)
            values.append(value + 0.5 * math.exp(-0.5 * (second @ second) / 0.2**2) + 0.01)
        expected = torch.tensor(values) / sum(values)
        torch.testing.assert_close(got_N, expected)


def test_priors_differ_between_heads_and_images_and_are_what_was_asked_for():
    config = PriorConfig(max_components=3, min_width=0.1, max_width=0.15, background=0.0)
    mixtures = Mixtures.draw(20, 4, config, generator())
    assert set((mixtures.heights > 0).sum(dim=2).flatten().tolist()) == {1, 2, 3}
    widths = 1 / torch.linalg.svdvals(mixtures.spread)
    assert widths.min() >= 0.0999
    assert widths.max() <= 0.1501
    points = torch.rand(1, 50, 2, generator=generator())
    maps = mixtures.at(points, range(2, 4)).flatten(0, 1)
    assert (maps[:, None] - maps[None]).abs().amax(dim=(2, 3)).fill_diagonal_(1).min() > 0.001
    torch.testing.assert_close(mixtures.at(points, range(20))[2:4].flatten(0, 1), maps)
    far = Mixtures(mixtures.heights * 0, mixtures.centres, mixtures.spread, 0.0).at(points, range(20))
    torch.testing.assert_close(far, torch.full_like(far, 1 / 50))
    with pytest.raises(ValueError, match="do not fit together"):
        Mixtures(mixtures.heights[:1], mixtures.centres, mixtures.spread, 0.0)


@pytest.mark.parametrize("jitter", [Jitter(3, -5), Jitter(-1, 2, True), Jitter()])
def test_points_go_back_where_their_pixels_came_from(jitter):
    size = (6, 8)
    y, x = torch.meshgrid((torch.arange(6) + 0.5) / 6, (torch.arange(8) + 0.5) / 8, indexing="ij")
    where = torch.stack([x, y])[None]  # an image that shows at every pixel where it was
    seen = jitter.apply(where)[0].permute(1, 2, 0)
    torch.testing.assert_close(jitter.origin(torch.stack([x, y], dim=-1), size), seen)


def test_jitter_is_drawn_within_its_bounds():
    chance = generator()
    drawn = [Jitter.draw((20, 40), 0.1, True, chance) for _ in range(100)]
    assert {jitter.down for jitter in drawn} == set(range(-2, 3))
    assert {jitter.right for jitter in drawn} == set(range(-4, 5))
    assert {jitter.flip for jitter in drawn} == {True, False}
    assert Jitter.draw((20, 40), 0.0, False, chance) == Jitter()


def test_what_a_block_counts():
    assert depth_weights(4, True, True) == [0, 0, 0.75, 1]
    assert depth_weights(5, True, False) == [0, 0, 1, 1, 1]
    assert depth_weights(2, False, True) == [0.5, 1]


def test_methods_are_combinations():
    assert OBJECTIVES["attention+patches+soft"] == OBJECTIVES["sardfq"]
    assert len(OBJECTIVES) == 11
    psaq = OBJECTIVES["psaq"]
    assert (psaq.entropy, psaq.attention, psaq.semantics.max_patches, psaq.semantics.soft) == (1, 0, 0, False)
    assert OBJECTIVES["attention"].attention > OBJECTIVES["labels"].attention == 0
    assert OBJECTIVES["patches"].semantics == SemanticsConfig(soft=False)
    assert OBJECTIVES["soft"].semantics == SemanticsConfig(max_patches=0)


def test_an_image_is_clipped_to_black_and_white():
    space = ImageSpace((4, 4), (10.0, 20.0), (5.0, 5.0), 30.0)
    extreme = torch.tensor([[-9.0, 9.0], [-9.0, 9.0]]).view(1, 2, 1, 2)
    assert space.to_pixels(space.clip(extreme)).flatten().tolist() == [0, 30, 0, 30]
    torch.testing.assert_close(space.from_pixels(space.to_pixels(extreme)), extreme)
    noise = ImageSpace((64, 64)).draw_noise(4, generator())
    assert noise.shape == (4, 3, 64, 64)
    assert torch.equal(noise, ImageSpace((64, 64)).clip(noise))
    assert 0.8 < noise.std() < 1


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ImageSpace((0, 3)), "describes no images"),
        (lambda: SynthesisConfig(num_images=0), "synthesis.num_images is 0"),
        (lambda: SynthesisConfig(roll=()), "synthesis.roll is ()"),
        (lambda: SynthesisConfig(learning_rate=0), "synthesis.learning_rate is 0, expected a number above 0"),
        (lambda: PriorConfig(min_width=0.3, max_width=0.2), "min_width <= max_width"),
        (lambda: SemanticsConfig(max_patches=5), "semantics.max_patches is 5, expected 0 to 4"),
        (lambda: SemanticsConfig(relevant=(9, 8)), r"expected relevant as \(low, high\)"),
        (lambda: ObjectiveConfig(attention=-1), "objective.attention is -1"),
        (lambda: ObjectiveConfig(num_points=1), "num_points of at least 2"),
    ],
)
def test_settings_that_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_learning_rate_rises_and_falls():
    config = SynthesisConfig(steps=30, warmup_steps=10, learning_rate=0.5)
    rates = [config.learning_rate_at(step) for step in range(30)]
    assert rates[:10] == pytest.approx([0.05 * (step + 1) for step in range(10)])
    assert rates[10] == 0.5
    assert rates[20] == pytest.approx(0.25)
    assert sorted(rates[10:], reverse=True) == rates[10:]
