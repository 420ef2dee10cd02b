"""A layer is a matrix product over its unfolded input."""

import numpy as np
import pytest
import torch
from torch import nn

from textspot.quant.matrix_form import (
    COLUMNS_PER_CALL,
    InputStatistics,
    by_input_channel,
    over_columns,
    over_weight,
    to_matrix,
    unfold,
)

LAYERS = {
    "linear": lambda: nn.Linear(6, 4),
    "1x1": lambda: nn.Conv2d(6, 4, 1),
    "strided": lambda: nn.Conv2d(6, 4, 3, stride=2, padding=1),
    "oblong": lambda: nn.Conv2d(6, 4, (1, 5), stride=(2, 1), padding=(0, 2)),
    "dilated": lambda: nn.Conv2d(6, 4, 3, dilation=2, padding="same"),
    "grouped": lambda: nn.Conv2d(6, 4, 3, padding=1, groups=2),
    "depthwise": lambda: nn.Conv2d(6, 12, 3, padding=1, groups=6),
    "circular": lambda: nn.Conv2d(6, 4, (3, 2), padding=(1, 0), padding_mode="circular"),
    "reflected": lambda: nn.Conv2d(6, 4, 3, padding=1, padding_mode="reflect", bias=False),
}


def build(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    return layer, torch.randn((5, 3, 6) if name == "linear" else (3, 6, 9, 8), dtype=torch.float64)


@pytest.mark.parametrize("name", LAYERS)
def test_the_layer_is_its_matrix_times_the_columns(name):
    layer, x = build(name)
    product = to_matrix(layer) @ unfold(layer, x)
    axis = -1 if name == "linear" else 1
    expected = layer(x).movedim(axis, 0).flatten(1).detach()
    if layer.bias is not None:
        expected = expected - layer.bias.detach()[:, None]
    np.testing.assert_allclose(product.flatten(0, 1), expected, atol=1e-12)


def test_an_image_without_a_batch_is_one_image():
    layer, x = build("grouped")
    assert torch.equal(unfold(layer, x[0]), unfold(layer, x[:1]))


@pytest.mark.parametrize("name", LAYERS)
def test_values_of_input_channels_meet_their_weights(name):
    """Dividing the input and multiplying the weight is no change, in the layer and in its matrix."""
    layer, x = build(name)
    factors = torch.rand(6, dtype=torch.float64) + 0.5
    expected = layer(x)
    columns = unfold(layer, x)
    smaller = x / factors.reshape(6, *([] if name == "linear" else [1, 1]))
    with torch.no_grad():
        layer.weight *= over_weight(layer, factors)
    np.testing.assert_allclose(layer(smaller).detach(), expected.detach(), atol=1e-12)
    np.testing.assert_allclose(unfold(layer, smaller) * over_columns(layer, factors)[..., None], columns, atol=1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_the_weights_of_an_input_channel_are_those_its_gradient_meets(name):
    layer, _ = build(name)
    weights = by_input_channel(layer)
    assert weights.numel() == layer.weight.numel()
    for channel in range(6):
        mask = over_weight(layer, torch.eye(6, dtype=torch.float64)[channel])
        assert weights[channel].sum().item() == pytest.approx((layer.weight * mask).sum().item())


@pytest.mark.parametrize("name", LAYERS)
def test_statistics_add_up_over_calls(name):
    layer, x = build(name)
    statistics = InputStatistics(layer, num_examples=9)
    for part in (x[:1], x[1:1], x[1:]):
        statistics.update(part)
    columns = unfold(layer, x)
    np.testing.assert_allclose(statistics.gram, columns @ columns.mT, atol=1e-10)
    channels = x.movedim(-1 if name == "linear" else 1, 0).flatten(1).abs()
    np.testing.assert_allclose(statistics.absolute_mean, channels.mean(1))
    np.testing.assert_allclose(statistics.absolute_max, channels.amax(1))
    assert len(statistics.examples) == 2


def test_of_large_images_a_sample_of_the_columns_stands_for_all():
    torch.manual_seed(0)
    layer, x = nn.Conv2d(2, 4, 3, padding=1), torch.randn(1, 2, COLUMNS_PER_CALL, 4)
    x = x * torch.linspace(0.2, 2, x.shape[3])  # every fourth place would see one column only
    statistics = InputStatistics(layer)
    statistics.update(x)
    columns = unfold(layer, x).double()
    exact = columns @ columns.mT
    assert (statistics.gram - exact).norm() < 0.15 * exact.norm()
    again = InputStatistics(layer)
    again.update(x)
    assert torch.equal(again.gram, statistics.gram)


def test_of_several_images_other_columns_are_sampled_each_time():
    """Sixty-four times the same image: the sample is as good as one of all its columns, not of the few of one image."""
    torch.manual_seed(0)
    image = torch.randn(6, 60, 60)
    layer = nn.Conv2d(6, 4, 1)
    statistics = InputStatistics(layer)
    statistics.update(image.expand(64, -1, -1, -1))
    columns = unfold(layer, image[None])[0].double()
    expected = 64 * columns @ columns.T
    assert (statistics.gram[0] - expected).norm() < 0.1 * expected.norm()


def test_a_few_examples_are_kept_and_no_gram_unless_wanted():
    layer, x = build("strided")
    statistics = InputStatistics(layer, with_gram=False, num_examples=3)
    for _ in range(5):
        statistics.update(x)
    assert [tuple(example.shape) for example in statistics.examples] == [(1, 6, 9, 8)] * 3
    assert not statistics.gram.numel()


def test_values_that_are_not_finite():
    layer, x = build("linear")
    with pytest.raises(ValueError, match="not finite"):
        InputStatistics(layer).update(x / 0)
