"""The transformer trunk: any size of image, every token everywhere, and attention that can be seen and quantised."""

import pytest
import torch
from torch import nn

from textspot.models.vit import VisionTransformerTrunk, VitConfig
from textspot.quant.attention import attention_blocks, expose_attention, watch_attention


def build() -> VisionTransformerTrunk:
    torch.manual_seed(0)
    trunk = VisionTransformerTrunk(VitConfig(16, 2, 4))
    for module in trunk.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
    return trunk.eval()


def test_the_config_is_what_is_built():
    trunk = build()
    assert trunk.channels == (2, 4, 8, 16, 16)
    assert len(trunk.blocks) == 2
    assert {block.self_attention.num_heads for block in trunk.blocks} == {4}
    assert {block.self_attention.embed_dim for block in trunk.blocks} == {16}


@torch.no_grad()
@pytest.mark.parametrize("size", [(32, 32), (64, 160), (96, 64)])
def test_a_batch_of_any_size_gives_what_its_images_give(size):
    trunk, images = build(), torch.randn(3, 3, *size)
    together = trunk(images)
    for number, image in enumerate(images):
        for level, alone in zip(together, trunk(image[None]), strict=True):
            torch.testing.assert_close(level[number], alone[0], atol=1e-5, rtol=1e-4)
    assert [tuple(level.shape[2:]) for level in together] == [(size[0] // s, size[1] // s) for s in (2, 4, 8, 16, 32)]


def test_every_patch_of_the_image_reaches_every_token_and_the_pyramid():
    images = torch.randn(1, 3, 64, 96, requires_grad=True)
    for level in build()(images)[1:]:
        (gradient,) = torch.autograd.grad(level[0, :, 0, 0].square().sum(), images, retain_graph=True)
        assert (nn.functional.max_pool2d(gradient.abs(), 16) > 0).all()


@torch.no_grad()
def test_tokens_know_where_they_are():
    """On an image all of one colour, without the edges that the stem's zeros make, they would all be the same."""
    trunk = build()
    features = torch.randn(1, 16, 1, 1).expand(1, 16, 5, 7)
    places = trunk.position(features)
    assert (places[..., 1:-1, 1:-1] - places[..., 2:3, 2:3]).abs().max() < 1e-5
    for row, column in ((0, 0), (0, 3), (4, 6), (2, 0)):
        assert (places[..., row, column] - places[..., 2, 3]).abs().max() > 0.01


@torch.no_grad()
def test_its_attention_can_be_seen():
    trunk, images = build(), torch.randn(2, 3, 64, 96)
    exposed = expose_attention(trunk)
    with watch_attention(exposed) as seen:
        maps = exposed(images)
    for ours, theirs in zip(maps, trunk(images), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    assert attention_blocks(exposed) == ["blocks.0", "blocks.1"]
    assert seen[0].received(2).shape == (2, 4, 1, 4 * 6)
    points = seen[0].token_points((64, 96))
    torch.testing.assert_close(
        points[0, [0, 1, 6]], torch.tensor([[0.5 / 6, 0.125], [1.5 / 6, 0.125], [0.5 / 6, 0.375]])
    )
