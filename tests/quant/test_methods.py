"""Every method on every kind of network and on every base quantiser."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from toy_networks import BUILDERS, build_toy, relative_error

from textspot.quant.affine import QuantizerConfig
from textspot.quant.calibration import calibrate
from textspot.quant.correction import CorrectionConfig
from textspot.quant.fitting import build_statistics, choose_num_outliers, smooth, smooth_outliers
from textspot.quant.layers import LayerConfig, phase, quantized_layers
from textspot.quant.matrix_form import InputStatistics
from textspot.quant.methods import METHODS, build_method
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.smoothing import SmoothingConfig

WEIGHTS = {
    "per channel": QuantizerConfig(4, symmetric=True, granularity="channel"),
    "asymmetric": QuantizerConfig(4, symmetric=False, granularity="channel"),
    "per tensor": QuantizerConfig(4, symmetric=True, granularity="tensor"),
    "percentile": QuantizerConfig(4, symmetric=True, granularity="channel", observer="percentile", percentile=99),
    "squared error": QuantizerConfig(4, symmetric=True, granularity="channel", observer="mse"),
}
ACTIVATIONS = {
    "per tensor": QuantizerConfig(8),
    "symmetric": QuantizerConfig(8, symmetric=True),
    "per token": QuantizerConfig(8, granularity="token"),
    "percentile": QuantizerConfig(8, observer="percentile"),
    "squared error": QuantizerConfig(8, observer="mse"),
}
FLOAT_PRODUCTS = ("scores", "mix", "softmax")


def build_calibrated(network: nn.Module, inputs: list[torch.Tensor], config: LayerConfig) -> nn.Module:
    """Products of activations stay float where the activations do."""
    products = tuple(name for name, _ in network.named_modules() if name in FLOAT_PRODUCTS)
    quantized = quantize(network, QuantConfig(config, keep_float=products if config.activation is None else ()))
    calibrate(quantized, inputs)
    return quantized


@pytest.mark.parametrize("weight", WEIGHTS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BUILDERS)
def test_on_every_grid_of_the_weights(name, method, weight):
    network, inputs = build_toy(name)
    config = dataclasses.replace(build_method(method), weight=WEIGHTS[weight])
    quantized = build_calibrated(network, inputs, config)
    plain = build_calibrated(network, inputs, dataclasses.replace(build_method("rtn"), weight=WEIGHTS[weight]))
    error, plain_error = (relative_error(one, network, inputs) for one in (quantized, plain))
    assert error < (0.5 if method == "smoothquant" else 0.25)
    if config.correction.kind != "none":
        assert error < plain_error


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BUILDERS)
def test_on_every_grid_of_the_activations(name, method, activation):
    network, inputs = build_toy(name)
    config = dataclasses.replace(build_method(method), activation=ACTIVATIONS[activation])
    assert relative_error(build_calibrated(network, inputs, config), network, inputs) < 0.06


@pytest.mark.parametrize("method", ["lorc", "l2qer", "aser"])
@pytest.mark.parametrize("name", BUILDERS)
def test_full_rank_gives_the_float_network_back(name, method):
    network, inputs = build_toy(name)
    config = build_method(method, weight_bits=2)
    correction = CorrectionConfig(config.correction.kind, rank=1000, budget=math.inf)
    config = dataclasses.replace(config, activation=None, correction=correction)
    assert relative_error(build_calibrated(network, inputs, config), network, inputs) < 1e-5


def layer_errors(name: str, kind: str, rank: int) -> dict[str, float]:
    """The squared output error of each layer of a toy on its float inputs, weights at 3 bits without smoothing."""
    network, inputs = build_toy(name)
    config = LayerConfig(
        QuantizerConfig(3, symmetric=True, granularity="channel"),
        None,
        correction=CorrectionConfig(kind, rank, budget=math.inf),
    )
    twins = quantized_layers(build_calibrated(network, inputs, config))
    probe = quantize(network)  # a float network with its BatchNorms folded, while in the phase "float"
    errors = dict.fromkeys(twins, 0.0)

    def build_hook(layer: str):
        def hook(_module, args, output):
            errors[layer] += (twins[layer](args[0]) - output).square().sum().item()

        return hook

    for layer in twins:
        probe.get_submodule(layer).register_forward_hook(build_hook(layer))
    with torch.no_grad(), phase(probe, "float"):
        for x in inputs:
            probe(x)
    return errors


@pytest.mark.parametrize("rank", [1, 2, 4, 8])
@pytest.mark.parametrize("name", BUILDERS)
def test_for_the_same_weights_whitened_is_the_best_correction_of_each_layer(name, rank):
    whitened = layer_errors(name, "whitened", rank)
    for kind in ("diagonal", "unwhitened", "none"):
        for layer, error in layer_errors(name, kind, rank).items():
            assert whitened[layer] <= error * (1 + 1e-4) + 1e-6, (kind, layer)


@pytest.mark.parametrize("kind", ["smoothquant", "aser"])
@pytest.mark.parametrize("name", BUILDERS)
def test_smoothing_alone_changes_nothing_in_float(name, kind):
    network, inputs = build_toy(name)
    correction = CorrectionConfig("whitened" if kind == "aser" else "none")
    config = LayerConfig(smoothing=SmoothingConfig(kind), correction=correction)
    quantized = quantize(network, QuantConfig(config))
    twins = quantized_layers(quantized)
    with phase(quantized, "float"):
        for layer_name, twin in twins.items():
            statistics = InputStatistics(twin)
            handle = twin.register_forward_pre_hook(lambda _m, args, s=statistics: s.update(args[0]))
            for x in inputs:
                quantized(x)
            handle.remove()
            if kind == "aser":
                smooth_outliers(twin, statistics, 3)
            else:
                smooth(twin, statistics)
            assert twin.smoothing is not None, layer_name
        assert relative_error(quantized, network, inputs) < 1e-5


def build_outlier_layer(factor: float) -> tuple[nn.Linear, torch.Tensor]:
    """A wide layer whose first three inputs are `factor` times the others."""
    torch.manual_seed(0)
    layer, x = nn.Linear(64, 48), torch.randn(200, 64)
    x[:, :3] *= factor
    return layer, x


def count_outliers(
    layer: nn.Linear, x: torch.Tensor, share: float = 0.2, rank: int = 16, fixed: int | None = None
) -> int:
    config = LayerConfig(
        QuantizerConfig(4, symmetric=True, granularity="channel"),
        QuantizerConfig(8, granularity="token"),
        SmoothingConfig("aser", outlier_share=share, num_outliers=fixed),
        CorrectionConfig("whitened", rank),
    )
    twin = quantize(nn.Sequential(layer), QuantConfig(config))[0]
    statistics = build_statistics(twin)
    statistics.update(x)
    return choose_num_outliers(twin, statistics)


def test_the_number_of_outliers_follows_the_layer():
    assert count_outliers(*build_outlier_layer(30.0), share=0.2) in (2, 4)
    assert count_outliers(*build_outlier_layer(30.0), share=0.0) == 0
    assert count_outliers(*build_outlier_layer(30.0), share=0.01) <= 1
    assert count_outliers(*build_outlier_layer(30.0), share=0.2, rank=1) == 0  # f < r
    assert count_outliers(*build_outlier_layer(1.0), share=1.0) <= 4


@pytest.mark.parametrize(("fixed", "found"), [(0, 0), (5, 5), (100, 64)])
def test_a_fixed_number_of_outliers_is_taken_as_it_is(fixed, found):
    assert count_outliers(*build_outlier_layer(30.0), fixed=fixed) == found


def test_outlier_weights_are_left_to_the_correction():
    layer, x = build_outlier_layer(30.0)
    config = dataclasses.replace(build_method("aser", 4), smoothing=SmoothingConfig("aser", outlier_share=0.2))
    twin = build_calibrated(nn.Sequential(layer), [x], config)[0]
    unquantised = (twin.weight == 0).all(dim=0).nonzero().flatten().tolist()
    assert {0, 1} & set(unquantised)
    assert (twin.smoothing != 1).sum() == len(unquantised) - 1  # the smallest of them is divided by 1
    assert relative_error(twin, layer, [x]) < 0.05


def test_the_rank_follows_the_config():
    network, inputs = build_toy("transformer")
    for correction, rank in (
        (CorrectionConfig("whitened", 3), 3),
        (CorrectionConfig("whitened", 30, budget=0.5), 4),  # of a layer of 16 x 16
        (CorrectionConfig("whitened", 30, alpha=0.01), 1),
    ):
        twin = build_calibrated(network, inputs, LayerConfig(correction=correction)).projection
        assert (twin.factor_in.shape, twin.factor_out.shape) == ((rank, 16), (16, rank))
    twin = build_calibrated(network, inputs, LayerConfig(correction=CorrectionConfig("whitened", budget=0))).projection
    assert twin.factor_in is None


def test_smoothquant_has_its_strength():
    layer, x = build_outlier_layer(30.0)
    for alpha in (0.0, 0.8):
        config = LayerConfig(smoothing=SmoothingConfig("smoothquant", alpha=alpha))
        twin = build_calibrated(nn.Sequential(layer), [x], config)[0]
        expected = x.abs().amax(0) ** alpha / layer.weight.detach().abs().amax(0) ** (1 - alpha)
        np.testing.assert_allclose(twin.smoothing, expected, rtol=1e-5)


def test_a_method_that_is_none():
    with pytest.raises(
        ValueError, match="no method is called gptq, expected one of rtn, smoothquant, lorc, l2qer, aser"
    ):
        build_method("gptq")
