"""Numbers per layer against what they are defined as."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import BUILDERS, build_toy, relative_error

from textspot.quant.affine import QuantizerConfig
from textspot.quant.calibration import calibrate
from textspot.quant.correction import CorrectionConfig
from textspot.quant.layers import LayerConfig, quantized_layers
from textspot.quant.matrix_form import InputStatistics, over_weight
from textspot.quant.methods import build_method
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.sensitivity import channel_errors, effective_rank, measure_layers


def test_effective_rank():
    assert effective_rank(torch.tensor([3.0, 3.0, 3.0, 3.0])) == pytest.approx(4)
    assert effective_rank(torch.tensor([5.0, 0.0, 0.0])) == pytest.approx(1)
    p = np.array([0.5, 0.25, 0.25])
    assert effective_rank(torch.tensor([2.0, 1.0, 1.0])) == pytest.approx(math.exp(-(p * np.log(p)).sum()))
    assert effective_rank(torch.zeros(3)) == 0


@pytest.mark.parametrize("name", BUILDERS)
def test_fewer_bits_are_more_error_in_every_layer(name):
    network, inputs = build_toy(name)
    errors = {}
    for bits in (8, 4):
        quantized = quantize(network, QuantConfig(build_method("rtn", bits)))
        calibrate(quantized, inputs)
        errors[bits] = {layer.name: layer.relative_error for layer in measure_layers(quantized, network, inputs)}
    assert all(0 < errors[8][layer] < 0.03 for layer in errors[8])
    assert all(errors[4][layer] > 2 * errors[8][layer] for layer in errors[8])


def test_one_layer_is_the_whole_network():
    torch.manual_seed(0)
    network, inputs = nn.Sequential(nn.Linear(6, 5)), [torch.randn(30, 6) for _ in range(2)]
    quantized = quantize(network, QuantConfig(build_method("smoothquant", 4)))
    calibrate(quantized, inputs)
    (layer,) = measure_layers(quantized, network, iter(inputs))
    assert layer.name == "0"
    no_bias = nn.Sequential(nn.Linear(6, 5, bias=False))
    no_bias[0].weight = network[0].weight
    assert layer.relative_error == pytest.approx(relative_error(quantized, network, inputs), rel=1e-5)


@pytest.mark.parametrize("method", ["rtn", "smoothquant", "aser"])
def test_the_singular_values_are_the_squared_error_of_the_output(method):
    """Without correction and with float inputs, their squares sum up to it; smoothing leaves that true."""
    torch.manual_seed(0)
    layer, x = nn.Linear(12, 8, bias=False), torch.randn(100, 12) * torch.logspace(0, 1, 12)
    smoothing, correction = (
        build_method(method).smoothing,
        CorrectionConfig("whitened", 3) if method == "aser" else None,
    )
    config = LayerConfig(
        QuantizerConfig(3, symmetric=True, granularity="channel"), None, smoothing, correction or CorrectionConfig()
    )
    quantized = quantize(nn.Sequential(layer), QuantConfig(config))
    calibrate(quantized, [x])
    (found,) = measure_layers(quantized, nn.Sequential(layer), [x])
    values = np.array(found.singular_values)
    assert (np.diff(values) <= 0).all()
    rank = 3 if method == "aser" else 0
    with torch.no_grad():
        left = (quantized(x) - layer(x)).square().sum().item()
    assert left == pytest.approx((values[rank:] ** 2).sum(), rel=1e-3)
    assert found.effective_rank == pytest.approx(effective_rank(torch.tensor(values)))


def test_a_layer_called_twice_is_compared_call_by_call():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)

        def forward(self, x):
            return self.linear(self.linear(x) * 50)

    torch.manual_seed(0)
    network, inputs = Twice(), [torch.randn(20, 4)]
    quantized = quantize(network)
    calibrate(quantized, inputs)
    assert measure_layers(quantized, network, inputs)[0].relative_error < 0.02


def test_inputs_that_are_missing_or_do_not_reach():
    network, inputs = build_toy("linear")
    quantized = quantize(network)
    calibrate(quantized, inputs)
    with pytest.raises(ValueError, match="no calibration inputs"):
        measure_layers(quantized, network, [])
    with pytest.raises(ValueError, match="3, 5 never ran on a value"):
        measure_layers(quantized, network, inputs, run=lambda network, x: network[0](x))


def test_a_layer_that_is_always_zero():
    network = nn.Sequential(nn.Linear(3, 2, bias=False))
    quantized = quantize(network)
    calibrate(quantized, [torch.randn(4, 3)])
    (layer,) = measure_layers(quantized, network, [torch.zeros(4, 3)])
    assert (layer.relative_error, layer.effective_rank) == (0, 0)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [(nn.Linear(6, 5, bias=False), (30, 6)), (nn.Conv2d(6, 4, 3, padding=1, groups=2, bias=False), (2, 6, 7, 5))],
)
@pytest.mark.parametrize("method", ["rtn", "smoothquant"])
def test_the_error_of_a_channel_is_that_of_its_weights_alone(layer, shape, method):
    torch.manual_seed(0)
    network, x = nn.Sequential(layer), torch.randn(shape)
    quantized = quantize(network, QuantConfig(build_method(method, 3)))
    calibrate(quantized, [x])
    statistics = InputStatistics(layer)
    statistics.update(x)
    (twin,) = quantized_layers(quantized).values()
    rounded = twin.quantized_weight()
    if twin.smoothing is not None:  # of channels that are smoothed, the weights hold the factor
        rounded = rounded / over_weight(twin, twin.smoothing)
    expected = []
    for channel in range(6):
        only = torch.zeros_like(x)
        index = (slice(None), channel)
        only[index] = x[index]
        expected.append((twin.transform(only, layer.weight - rounded, None)).square().sum().item())
    assert channel_errors(layer, twin, statistics).tolist() == pytest.approx(expected, rel=1e-3)
