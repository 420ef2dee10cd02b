"""Attention in the open: the twins compute what they replace, and say where their tokens lie."""

import pytest
import torch
import transformers_of_others as others
from torch import nn

from textspot.quant.attention import (
    ExplicitAttention,
    ExplicitMultihead,
    ExplicitWindows,
    attention_blocks,
    expose_attention,
    watch_attention,
)

KINDS = list(others.BUILDERS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_twin_computes_what_it_replaces_with_the_same_gradient(kind):
    network, images = others.build(kind)
    twin = expose_attention(network)
    given = [images.clone().requires_grad_() for _ in range(2)]
    expected, got = network(given[0]), twin(given[1])
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)
    for output in (expected, got):
        output.square().sum().backward()
    torch.testing.assert_close(given[1].grad, given[0].grad, atol=1e-4, rtol=1e-4)


def test_without_gradients_too_where_torch_takes_another_way():
    network, images = others.build("vit")
    with torch.no_grad():
        torch.testing.assert_close(expose_attention(network)(images), network(images), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_watched(kind):
    network, images = others.build(kind)
    twin = expose_attention(network)
    with watch_attention(twin) as seen:
        twin(images)
    assert len(seen) == len(attention_blocks(twin)) == others.NUM_BLOCKS
    for one in seen:
        torch.testing.assert_close(one.probabilities.sum(dim=-1), torch.ones(one.probabilities.shape[:-1]))
        points, received = one.token_points(images.shape[-2:]), one.received(len(images))
        assert received.shape == (len(images), one.twin.num_heads, *points.shape[:2])
        torch.testing.assert_close(received.sum(dim=-1), torch.ones(received.shape[:-1]))
        assert points.shape[2] == 2
        assert len(torch.unique(points.flatten(0, 1), dim=0)) == points.shape[0] * points.shape[1]
    seen.clear()
    twin(images)
    assert not seen


def test_attention_received_is_the_class_tokens():
    network, images = others.build("vit")
    twin = expose_attention(network)
    with watch_attention(twin) as seen:
        twin(images)
    from_class = seen[1].probabilities[:, :, 0, 1:]
    torch.testing.assert_close(
        seen[1].received(len(images))[:, :, 0], from_class / from_class.sum(dim=-1, keepdim=True)
    )
    points = seen[1].token_points((32, 32))
    torch.testing.assert_close(points[0, :5], torch.tensor([[1, 1], [3, 1], [5, 1], [7, 1], [1, 3]]) / 8)


def test_a_token_of_a_window_lies_where_its_pixels_are():
    """A value written into one place of the plane arrives at the token whose point is that place."""
    network, images = others.build("swin")
    twin = expose_attention(network)
    with watch_attention(twin) as seen:
        twin(images)
    for one in seen:
        window: ExplicitWindows = one.twin
        h, w = window.grid
        points = one.token_points(images.shape[-2:])
        inside = (points < 1).all(dim=-1)
        assert inside.sum() == h * w
        y, x = torch.meshgrid(torch.arange(h) + 0.5, torch.arange(w) + 0.5, indexing="ij")
        pad = [-h % window.window[0], -w % window.window[1]]
        plane = torch.stack([x / w, y / h], dim=-1)[None]
        plane = nn.functional.pad(plane, (0, 0, 0, pad[1], 0, pad[0]))
        torch.testing.assert_close(window.to_windows(plane)[0][inside], points[inside])
    assert any(sum(window._shift(*window.grid)) for window in (one.twin for one in seen))


def test_a_grid_follows_the_shape_of_the_image():
    attention = ExplicitMultihead(nn.MultiheadAttention(8, 2, batch_first=True))
    points = attention.token_points(2 * 6, (32, 96))
    assert points[0, :, 1].unique().tolist() == [0.25, 0.75]
    with pytest.raises(ValueError, match=r"11 tokens \(and 0 class tokens\) are no grid"):
        attention.token_points(11, (32, 96))


def test_a_copy_is_given_and_parameters_are_not_shared_with_the_original():
    network, images = others.build("vit")
    before = network(images)
    twin = expose_attention(network.train())
    assert network.training
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.zero_()
    assert torch.equal(network.eval()(images), before)
    again = expose_attention(twin)
    assert sum(isinstance(module, ExplicitAttention) for module in again.modules()) == others.NUM_BLOCKS


def test_what_has_no_twin():
    with pytest.raises(ValueError, match="no attention of a kind that is known"):
        attention_blocks(expose_attention(nn.Sequential(nn.Linear(3, 3))))
    with pytest.raises(ValueError, match="batch_first is false"):
        ExplicitMultihead(nn.MultiheadAttention(8, 2))
    with pytest.raises(ValueError, match="another width, it adds a key of its own"):
        ExplicitMultihead(nn.MultiheadAttention(8, 2, kdim=4, add_bias_kv=True, batch_first=True))
    twin, x = ExplicitMultihead(nn.MultiheadAttention(8, 2, batch_first=True)), torch.rand(1, 3, 8)
    with pytest.raises(ValueError, match="only self-attention"):
        twin(x, x + 1, x, need_weights=False)


def test_attention_without_bias():
    torch.manual_seed(0)
    attention, x = nn.MultiheadAttention(8, 2, bias=False, batch_first=True), torch.randn(2, 5, 8)
    expected, _ = attention(x, x, x, need_weights=False)
    torch.testing.assert_close(ExplicitMultihead(attention)(x, x, x, need_weights=False)[0], expected)


def test_timm():
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
    images = torch.randn(2, 3, 32, 32)
    for name in ("deit_tiny_patch16_224", "deit_tiny_distilled_patch16_224", "vit_tiny_patch16_224"):
        network = timm.create_model(name, **shape).eval()
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3)
        twin = expose_attention(network)
        with watch_attention(twin) as seen:
            torch.testing.assert_close(twin(images), network(images), atol=1e-4, rtol=1e-5)
        assert len(seen) == 2
        assert seen[0].token_points((32, 32)).shape == (1, 16, 2)
        assert attention_blocks(twin) == ["blocks.0", "blocks.1"]
