"""The twins: what they are, what they compute, what they refuse."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import build_toy

from textspot.quant.affine import (
    QuantizerConfig,
    affine_parameters,
    fake_quantize,
    fake_quantize_channels,
    fake_quantize_tokens,
)
from textspot.quant.calibration import calibrate, freeze
from textspot.quant.correction import CorrectionConfig
from textspot.quant.layers import LayerConfig, MatMul, NotCalibratedError, QuantConv2d, QuantLinear, QuantSoftmax
from textspot.quant.matrix_form import to_matrix, unfold
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.smoothing import SmoothingConfig

CHANNEL_4 = QuantizerConfig(4, symmetric=True, granularity="channel")
CONVOLUTIONS = {
    "plain": {"kernel_size": 3},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1},
    "grouped": {"kernel_size": (3, 2), "padding": (1, 0), "groups": 4},
    "depthwise": {"kernel_size": 3, "padding": "same", "groups": 8},
    "circular": {"kernel_size": 3, "padding": 1, "padding_mode": "circular", "groups": 2, "bias": False},
}


def quantize_layer(layer: nn.Module, config: LayerConfig, x: torch.Tensor) -> QuantLinear | QuantConv2d:
    network = quantize(nn.Sequential(layer), QuantConfig(config))
    calibrate(network, [x])
    return network[0]


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("smoothing", ["none", "smoothquant", "aser"])
@torch.no_grad()
def test_a_corrected_convolution_is_its_matrix_form(name, smoothing):
    """Two small convolutions beside the layer are L_A L_B beside W_q, whatever groups, stride and padding."""
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 16, **CONVOLUTIONS[name])
    x = torch.randn(2, 8, 7, 9)
    config = LayerConfig(
        CHANNEL_4, None, SmoothingConfig(smoothing, outlier_share=0.2), CorrectionConfig("whitened", 2, budget=9)
    )
    twin = quantize_layer(layer, config, x)
    groups = layer.groups
    assert twin.factor_in.shape == (groups * 2, 8 // groups, *layer.kernel_size)
    assert twin.factor_out.shape == (16, 2, 1, 1)
    matrix = twin.quantized_weight().reshape(to_matrix(layer).shape)
    matrix = matrix + twin.factor_out.reshape(groups, -1, 2) @ twin.factor_in.reshape(groups, 2, -1)
    smooth = x if twin.smoothing is None else x / twin.smoothing[:, None, None]
    y = twin(x)
    expected = (matrix @ unfold(layer, smooth)).flatten(0, 1).unflatten(1, (2, *y.shape[2:])).movedim(1, 0)
    if layer.bias is not None:
        expected = expected + layer.bias[:, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-4)


@torch.no_grad()
def test_a_1x1_convolution_is_a_linear_layer():
    torch.manual_seed(0)
    linear, x = nn.Linear(6, 10), torch.randn(20, 6)
    convolution = nn.Conv2d(6, 10, 1)
    convolution.weight.copy_(linear.weight[:, :, None, None])
    convolution.bias.copy_(linear.bias)
    for granularity in ("tensor", "token"):
        config = LayerConfig(
            CHANNEL_4,
            QuantizerConfig(granularity=granularity),
            SmoothingConfig("smoothquant"),
            CorrectionConfig("whitened", 2),
        )
        image = x.T.reshape(1, 6, 4, 5)
        one = quantize_layer(linear, config, x)(x)
        other = quantize_layer(convolution, config, image)(image)
        np.testing.assert_allclose(other.flatten(2)[0].T, one, atol=1e-4)


@torch.no_grad()
def test_the_correction_reads_the_quantised_input():
    """As an integer engine would."""
    torch.manual_seed(0)
    layer, x = nn.Linear(6, 5), torch.randn(20, 6)
    twin = quantize_layer(layer, LayerConfig(CHANNEL_4, QuantizerConfig(3), correction=CorrectionConfig("whitened")), x)
    on_grid = fake_quantize(
        x, *(v.item() for v in affine_parameters(x.min()[None], x.max()[None], QuantizerConfig(3))), QuantizerConfig(3)
    )
    weight = twin.quantized_weight() + twin.factor_out @ twin.factor_in
    np.testing.assert_allclose(twin(x), on_grid @ weight.T + layer.bias, atol=1e-5)


@torch.no_grad()
def test_a_twin_is_what_it_replaces():
    network, inputs = build_toy("transformer")
    quantized = quantize(network)
    assert type(quantized.up) is QuantLinear
    assert isinstance(quantized.up, nn.Linear)
    assert (quantized.up.in_features, quantized.up.out_features) == (16, 32)
    convolution = quantize(build_toy("convolutions")[0]).grouped
    assert isinstance(convolution, nn.Conv2d)
    assert (convolution.groups, convolution.kernel_size, convolution.padding) == (4, (3, 5), (1, 2))
    calibrate(quantized, inputs)
    assert repr(quantized.up).startswith("QuantLinear(\n  in_features=16, out_features=32, bias=True")


def test_after_relu_codes_are_unsigned_with_zero_point_0():
    network, inputs = build_toy("convolutions")
    quantized = quantize(network)
    calibrate(quantized, inputs)
    assert quantized.head.input_quantizer.grids[0][1] == 0
    assert quantized.stem[0].input_quantizer.grids[0][1] > 100


def test_a_module_called_twice_has_a_grid_per_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.linear(self.linear(x) * 100)

    torch.manual_seed(0)
    network, x = Twice(), torch.randn(8, 4)
    quantized = quantize(network)
    calibrate(quantized, [x, x[:3]])
    (first, _), (second, _) = quantized.linear.input_quantizer.grids
    assert first == pytest.approx((x.max() - x.min()).item() / 255)
    assert second == pytest.approx(((network.linear(x) * 100).max() - (network.linear(x) * 100).min()).item() / 255)
    y = quantized(x)
    assert torch.equal(quantized(x), y)
    assert (y - network(x)).norm() < 0.05 * network(x).norm()
    quantized.linear(x)  # a pass that is broken off
    assert torch.equal(quantized(x), y)


def test_a_module_whose_number_of_calls_depends_on_the_input_is_named():
    class Varying(nn.Sequential):
        def forward(self, x):
            for _ in range(len(x)):
                x = self[0](x)
            return x

    with pytest.raises(ValueError, match=r"0 ran 1 or 2 times in a pass, depending on the input.*keep_float"):
        calibrate(quantize(Varying(nn.Linear(3, 3))), [torch.randn(1, 3), torch.randn(2, 3)])


def test_a_layer_at_two_places_has_one_twin():
    layer = nn.Linear(4, 4)
    quantized = quantize(nn.Sequential(layer, nn.ReLU(), layer))
    assert quantized[0] is quantized[2]
    calibrate(quantized, [torch.randn(5, 4)])
    assert len(quantized[0].input_quantizer.grids) == 2


def test_softmax_and_matrix_products():
    network, inputs = build_toy("transformer")
    quantized = quantize(network)
    calibrate(quantized, inputs)
    probabilities = quantized.softmax(torch.randn(2, 5, 5))
    powers = torch.log2(probabilities / quantized.softmax.probability_quantizer.grids[0][0])
    np.testing.assert_allclose(powers, powers.round(), atol=1e-4)
    a, b = torch.rand(3, 4), torch.rand(4, 5)
    right = quantized.mix.right_quantizer
    np.testing.assert_allclose(quantized.mix(a, b), a @ fake_quantize(b, *right.grids[0], QuantizerConfig()), atol=1e-6)
    uniform = quantize(network, QuantConfig(LayerConfig(probabilities="uniform")))
    calibrate(uniform, inputs)
    probabilities = uniform.softmax(torch.randn(2, 5, 5))
    codes = probabilities / uniform.softmax.probability_quantizer.grids[0][0]
    np.testing.assert_allclose(codes, codes.round(), atol=1e-3)


def test_tokens_of_a_matrix_product_are_rows_and_columns():
    config = LayerConfig(activation=QuantizerConfig(4, granularity="token"))
    quantized = quantize(nn.ModuleDict({"product": MatMul()}), QuantConfig(config))
    a, b = torch.randn(3, 4), torch.randn(4, 5)
    calibrate(quantized, [(a, b)], run=lambda network, item: network["product"](*item))
    expected = fake_quantize_tokens(a, config.activation, -1) @ fake_quantize_tokens(b, config.activation, -2)
    assert torch.equal(quantized["product"](a, b), expected)


def test_use_before_calibration_is_an_error():
    for name, quantized_name in (("linear", "0"), ("convolutions", "stem.0"), ("transformer", "qkv")):
        network, inputs = build_toy(name)
        with pytest.raises(NotCalibratedError, match=f"^{quantized_name} is not calibrated: call calibrate"):
            quantize(network)(inputs[0])
        with pytest.raises(NotCalibratedError):
            freeze(quantize(network))
    with pytest.raises(NotCalibratedError, match="0 is not calibrated"):
        quantize(nn.Sequential(nn.Softmax(-1)))(torch.randn(2, 3))
    weights_only = QuantConfig(LayerConfig(activation=None))
    with pytest.raises(NotCalibratedError, match="0 is not calibrated"):
        quantize(nn.Sequential(nn.Linear(3, 3)), weights_only)(torch.randn(2, 3))


def test_a_softmax_with_tokens_still_needs_calibration_for_log2():
    config = LayerConfig(activation=QuantizerConfig(granularity="token"))
    quantized = quantize(nn.Sequential(nn.Softmax(-1)), QuantConfig(config))
    with pytest.raises(NotCalibratedError):
        quantized(torch.randn(2, 3))
    calibrate(quantized, [torch.randn(2, 3)])
    assert isinstance(quantized[0], QuantSoftmax)
    assert (quantized(torch.randn(2, 3)) > 0).all()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weight": QuantizerConfig(granularity="token")}, "weight.granularity is token, expected tensor or channel"),
        ({"activation": QuantizerConfig(granularity="channel")}, "activation.granularity is channel, expected tensor"),
        ({"smoothing": SmoothingConfig("aser")}, "smoothing.kind is aser, whose outlier weights need a correction"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        LayerConfig(**values)


def test_activations_only_cannot_stay_float_in_a_matrix_product():
    with pytest.raises(ValueError, match="scores multiplies activations only and activation is null"):
        quantize(build_toy("transformer")[0], QuantConfig(LayerConfig(activation=None)))


@pytest.mark.parametrize("granularity", ["tensor", "channel"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_weights_share_a_scale_as_told(granularity, symmetric):
    torch.manual_seed(0)
    layer = nn.Conv2d(3, 4, 3)
    config = LayerConfig(QuantizerConfig(4, symmetric, granularity))
    twin = quantize_layer(copy.deepcopy(layer), config, torch.randn(1, 3, 6, 6))
    assert twin.weight_scale.shape == ((4,) if granularity == "channel" else (1,))
    assert (twin.weight_zero_point == 0).all() == symmetric
    rows = layer.weight.detach().reshape(len(twin.weight_scale), -1)
    grid = affine_parameters(rows.amin(1), rows.amax(1), config.weight)
    assert torch.equal(twin.quantized_weight().reshape(rows.shape), fake_quantize_channels(rows, *grid, config.weight))


def test_weights_follow_their_observer():
    layer, x = nn.Linear(200, 3), torch.randn(5, 200)
    with torch.no_grad():
        layer.weight[:, 0] = 0.12
    scales = {
        kind: quantize_layer(
            copy.deepcopy(layer), LayerConfig(dataclasses.replace(CHANNEL_4, observer=kind, percentile=98)), x
        ).weight_scale
        for kind in ("minmax", "percentile", "mse")
    }
    assert (scales["percentile"] < scales["mse"]).all()
    assert (scales["mse"] < scales["minmax"]).all()
