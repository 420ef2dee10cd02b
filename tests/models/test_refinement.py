"""A second look at regions: what it is before training, in which frame it moves, that it learns, that it exports."""

import math

import pytest
import torch
from torch import Tensor, nn

from textspot.models.choice import Choice
from textspot.models.neck import NeckConfig, TopDownNeck
from textspot.models.refinement import (
    PatchRefinement,
    PatchRefinementConfig,
    lengthen,
    move_in_frame,
    refinement_loss,
    ribbon_frames,
)
from textspot.models.ribbon_head import RibbonConfig, RibbonHead
from textspot.models.text_pooling import RoiConfig

ROI = RoiConfig(width=16)
SMALL = Choice("patch", PatchRefinementConfig(widths=(4, 4, 4)))
LEVEL = torch.tensor([[[0.0, 0], [10, 0], [20, 0], [30, 0]], [[0.0, 10], [10, 10], [20, 10], [30, 10]]])


def turn(points: Tensor, angle: float) -> Tensor:
    """Points (..., 2) turned about the origin, by radians."""
    cosine, sine = math.cos(angle), math.sin(angle)
    return points @ torch.tensor([[cosine, sine], [-sine, cosine]])


def build_refinement(**settings) -> PatchRefinement:
    torch.manual_seed(0)
    return PatchRefinement(PatchRefinementConfig(widths=(8, 8, 8), **settings), ROI, 4)


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match=r"ends -0.1 and edges 0.3, expected shares of 0 and more"):
        PatchRefinementConfig(ends=-0.1)


def test_it_starts_as_the_identity():
    ribbons = torch.rand(2, 3, 2, 4, 2) * 60
    assert torch.equal(build_refinement()(torch.rand(2, 4, 16, 16), ribbons), ribbons)


def test_no_region_gives_none():
    assert build_refinement()(torch.rand(2, 4, 16, 16), torch.zeros(2, 0, 2, 4, 2)).shape == (2, 0, 2, 4, 2)


def test_a_region_of_no_extent_stays_finite():
    point = torch.full((1, 1, 2, 4, 2), 9.0)
    refinement = build_refinement()
    torch.nn.init.ones_(refinement.offsets.bias)
    assert refinement(torch.rand(1, 4, 16, 16), point).isfinite().all()


@pytest.mark.parametrize("angle", [0, 0.4, math.pi / 2, 3])
def test_a_frame_turns_with_its_ribbon(angle):
    height, axes = ribbon_frames(turn(LEVEL, angle))
    assert height == pytest.approx(10)
    torch.testing.assert_close(axes, turn(torch.eye(2), angle))
    moves = torch.rand(2, 4, 2, generator=torch.Generator().manual_seed(0)) - 0.5
    expected = turn(LEVEL + 10 * moves, angle)
    torch.testing.assert_close(move_in_frame(turn(LEVEL, angle), moves), expected)


def test_a_longer_ribbon_has_the_same_edges():
    longer = lengthen(LEVEL, 0.5)
    torch.testing.assert_close(longer[..., 1], LEVEL[..., 1])
    torch.testing.assert_close(longer[0, :, 0], torch.tensor([-5, 25 / 3, 65 / 3, 35]))
    assert torch.equal(lengthen(LEVEL, 0), LEVEL)


def test_the_loss_knows_neither_size_nor_what_nobody_knows():
    truth = torch.stack([LEVEL, 3 * LEVEL, LEVEL])
    refined = truth + torch.tensor([2.0, 6.0, 50.0])[:, None, None, None]  # a fifth of the height; the last is unknown
    total, count = refinement_loss(refined, truth, torch.tensor([1.0, 1.0, 0.0]))
    assert count == 2
    assert total == pytest.approx(2 * (0.2 - 0.05 / 2))
    assert refinement_loss(truth, truth, torch.ones(3))[0] == 0


@pytest.mark.slow
def test_it_learns_where_the_word_is():
    """Bright words on a dark map: after training a region that lies beside its word is moved onto it."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.stack([LEVEL + torch.rand(2, generator=generator) * 30 for _ in range(16)]).unsqueeze(1)
    features = torch.zeros(16, 4, 16, 20)
    for image, (left, top) in zip(features, truth[:, 0, 0, 0], strict=True):
        y, x = torch.meshgrid(torch.arange(16) * 4 + 2, torch.arange(20) * 4 + 2, indexing="ij")
        image[0] = ((x > left) & (x < left + 30) & (y > top) & (y < top + 10)).float()
    refinement = build_refinement().train()
    optimizer = torch.optim.Adam(refinement.parameters(), 3e-3)
    weight = torch.ones(16)

    def shift() -> Tensor:
        return truth + (torch.rand(16, 1, 1, 1, 2, generator=generator) - 0.5) * 8

    for _ in range(150):
        optimizer.zero_grad()
        refinement_loss(refinement(features, shift()).flatten(0, 1), truth.flatten(0, 1), weight)[0].backward()
        optimizer.step()
    moved = shift()
    before, after = ((ribbons - truth).abs().mean() for ribbons in (moved, refinement.eval()(features, moved)))
    assert after < 0.5 * before


def test_no_gradient_reaches_the_detector():
    ribbons = LEVEL[None, None].clone().requires_grad_()
    refinement = build_refinement()
    torch.nn.init.normal_(refinement.offsets.weight)
    features = torch.rand(1, 4, 16, 16, requires_grad=True)
    refinement(features, ribbons).sum().backward()
    assert ribbons.grad is None
    assert features.grad.abs().sum() > 0


def test_a_network_reads_where_the_refinement_moves(build_tiny):
    image = torch.rand(1, 3, 64, 64) * 255
    plain, refining = build_tiny().eval(), build_tiny(refinement=SMALL).eval()
    refining.load_state_dict(plain.state_dict(), strict=False)
    before, same = plain.spot(image, 0.0, 3), refining.spot(image, 0.0, 3)
    torch.testing.assert_close(same.ribbons, before.ribbons)
    torch.testing.assert_close(same.text_logits, before.text_logits)
    torch.nn.init.constant_(refining.refinement.offsets.bias, 0.5)
    moved = refining.spot(image, 0.0, 3)
    assert (moved.ribbons - before.ribbons).abs().max() > 0.1
    features, _ = refining.detect(image)
    torch.testing.assert_close(moved.text_logits, refining.read(features, moved.ribbons))


def test_words_may_be_read_without_a_second_look(build_tiny):
    network = build_tiny(refinement=SMALL).eval()
    torch.nn.init.constant_(network.refinement.offsets.bias, 0.3)
    ribbons, slots = LEVEL.expand(1, 2, 2, 4, 2), torch.tensor([0, 1])
    unrefined = torch.tensor([[True, False]])
    output = network(torch.rand(1, 3, 64, 64) * 255, ribbons, slots, None, unrefined)
    assert torch.equal(output.ribbons[0, 0], LEVEL)
    assert torch.equal(output.ribbons[0, 1], output.refined[1])
    assert not torch.equal(output.refined[1], LEVEL)


@pytest.mark.parametrize("stride", [4, 8])
def test_the_maps_have_stride_4_whatever_the_tower_has(stride):
    head = RibbonHead(RibbonConfig(stride, tower_channels=12), 8)
    maps = head(torch.rand(2, 8, 16, 24))
    assert maps.score_logits.shape == (2, 16, 24)
    assert maps.geometry.shape == (2, 16, 16, 24)
    assert head.tower[0].out_channels == (8 if stride == 4 else 12)


def test_a_neck_without_the_finest_convolution():
    full, light = TopDownNeck((8, 8), NeckConfig(4)), TopDownNeck((8, 8), NeckConfig(4, smooth_finest=False))
    maps = [torch.rand(1, 8, 16, 16), torch.rand(1, 8, 8, 8)]
    assert light(maps).shape == full(maps).shape
    assert isinstance(light.smooth[0], nn.ReLU)
