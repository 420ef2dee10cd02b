"""quantize, calibrate, freeze: patterns, ways to call, and everything that can be wrong with the inputs."""

import copy

import pytest
import torch
from torch import nn
from toy_networks import BUILDERS, build_toy, relative_error

from textspot.quant.affine import QuantizerConfig
from textspot.quant.calibration import calibrate, freeze
from textspot.quant.layers import LayerConfig, QuantLinear, quantized_layers
from textspot.quant.methods import METHODS, build_method
from textspot.quant.network import QuantConfig, quantize

FOUR_BITS = LayerConfig(QuantizerConfig(4, symmetric=True, granularity="channel"))


@pytest.mark.parametrize("name", BUILDERS)
def test_eight_bits_are_nearly_float_and_the_float_network_stays(name):
    network, inputs = build_toy(name)
    before = copy.deepcopy(network.state_dict())
    quantized = quantize(network)
    calibrate(quantized, inputs)
    assert 0 < relative_error(quantized, network, inputs) < 0.05
    for key, values in network.state_dict().items():
        assert torch.equal(values, before[key]), key


@pytest.mark.parametrize(("method", "tolerance"), [("rtn", 0), ("aser", 3e-3)])
@pytest.mark.parametrize("name", BUILDERS)
def test_freezing_changes_no_output_but_by_the_rounding_of_factors_to_float16(name, method, tolerance):
    network, inputs = build_toy(name)
    quantized = quantize(network, QuantConfig(build_method(method, 4)))
    calibrate(quantized, inputs)
    before = [quantized(x) for x in inputs]
    freeze(quantized)
    for x, y in zip(inputs, before, strict=True):
        assert (quantized(x) - y).norm() <= tolerance * y.norm()
    assert not any(parameter.requires_grad for parameter in quantized.parameters())


def test_the_last_matching_pattern_counts_and_keep_float_before_all():
    config = QuantConfig(
        overrides={"*": FOUR_BITS, "stem.*": LayerConfig()}, keep_float=("head",), layer=LayerConfig(activation=None)
    )
    twins = quantized_layers(quantize(build_toy("convolutions")[0], config))
    assert {name: twin.config.weight.bits for name, twin in twins.items()} == {"stem.0": 8, "grouped": 4}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (QuantConfig(keep_float=("haed",)), "no layer is called haed; there are stem.0, grouped, head"),
        (QuantConfig(overrides={"stem": FOUR_BITS, "x*": FOUR_BITS}), r"no layer is called stem or x\*"),
        (QuantConfig(keep_float=("relu",)), "no layer is called relu"),
        (QuantConfig(outputs=("nothing*",)), r"no module is called nothing\*"),
        (QuantConfig(LayerConfig(activation=None), outputs=("relu",)), "layer.activation, their grid, is null"),
    ],
)
def test_a_pattern_that_matches_nothing_is_an_error(config, message):
    with pytest.raises(ValueError, match=message):
        quantize(build_toy("convolutions")[0], config)


def test_a_network_that_is_a_layer():
    with pytest.raises(ValueError, match=r"wrap it in nn.Sequential"):
        quantize(nn.Linear(3, 3))


def test_only_the_very_types_are_replaced():
    """nn.MultiheadAttention reads its projection's weight without calling it."""
    attention = nn.MultiheadAttention(8, 2, batch_first=True)
    quantized = quantize(nn.ModuleDict({"attention": attention, "linear": nn.Linear(8, 8)}))
    assert list(quantized_layers(quantized)) == ["linear"]


def test_outputs_are_quantised_where_asked():
    network, inputs = build_toy("convolutions")
    quantized = quantize(network, QuantConfig(outputs=("grouped", "relu")))
    seen = {}
    for name in ("grouped", "relu"):
        quantized.get_submodule(name).register_forward_hook(lambda _m, _a, y, name=name: seen.update({name: y}))
    calibrate(quantized, inputs)
    quantized(inputs[0])
    assert len(seen["grouped"].unique()) <= 256
    assert len(seen["relu"].unique()) <= 256
    assert quantized.relu.output_quantizer.grids[0][1] == 0
    assert torch.equal(quantized.relu.output_quantizer(seen["relu"]), seen["relu"])


def test_an_output_that_is_no_tensor():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(TypeError, match=r"0 \(output\) is a tuple, expected one tensor: name a module inside it"):
        calibrate(quantize(nn.Sequential(Pair()), QuantConfig(outputs=("0",))), [torch.randn(2)])


def test_items_are_passed_as_they_are():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(3, 3)

        def forward(self, x, y):
            return self.linear(x + y)

    torch.manual_seed(0)
    network, x, y = Sum(), torch.randn(5, 3), torch.randn(5, 3)
    scales = []
    for item, run in (
        ((x, y), None),
        ([x, y], None),
        ({"y": y, "x": x}, None),
        (x + y, lambda network, item: network.linear(item)),
    ):
        quantized = quantize(network)
        calibrate(quantized, iter([item]), **({"run": run} if run else {}))
        scales.append(quantized.linear.input_quantizer.grids[0][0])
    assert scales == [scales[0]] * 4


@pytest.mark.parametrize("method", METHODS)
def test_an_iterator_serves_both_passes(method):
    network, inputs = build_toy("linear")
    results = []
    for source in (inputs, iter(inputs), (x for x in inputs)):
        quantized = quantize(network, QuantConfig(build_method(method, 4)))
        calibrate(quantized, source)
        results.append(quantized(inputs[0]))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("method", METHODS)
def test_no_inputs_are_an_error_and_one_is_enough(method):
    network, inputs = build_toy("linear")
    quantized = quantize(network, QuantConfig(build_method(method)))
    with pytest.raises(ValueError, match="no calibration inputs: expected at least one"):
        calibrate(quantized, [])
    calibrate(quantized, [inputs[0][:1]])
    assert quantized(inputs[0][:1]).isfinite().all()
    assert relative_error(quantized, network, [inputs[0][:1]]) < 0.1


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_that_never_ran_is_named(method):
    class Skips(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle, self.empty = nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 3)

        def forward(self, x):
            return self.used(x), self.empty(x[:0])

    config = QuantConfig(build_method(method))
    with pytest.raises(ValueError, match=r"idle.* never ran on a value.*keep_float") as raised:
        calibrate(quantize(Skips(), config), [torch.randn(4, 3)])
    assert "empty" in str(raised.value)
    assert "used" not in str(raised.value)
    quantized = quantize(Skips(), QuantConfig(build_method(method), keep_float=("idle", "empty")))
    calibrate(quantized, [torch.randn(4, 3)])
    assert type(quantized.idle) is nn.Linear


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_activations_that_are_not_finite_name_the_layer(method, bad):
    network, inputs = build_toy("linear")
    inputs[2] = inputs[2].clone()
    inputs[2][5, 1] = bad
    with pytest.raises(ValueError, match=r"^0: values that are not finite \(NaN or infinity\)"):
        calibrate(quantize(network, QuantConfig(build_method(method))), inputs)


@pytest.mark.parametrize("method", METHODS)
def test_inputs_that_do_not_span_the_space(method):
    """A covariance of rank one, and channels that are always zero."""
    network, inputs = build_toy("linear")
    rank_one = [x[:, :1] * torch.linspace(0, 1, 12).round(decimals=1) for x in inputs]
    quantized = quantize(network, QuantConfig(build_method(method)))
    calibrate(quantized, rank_one)
    assert relative_error(quantized, network, rank_one) < 0.05
    silent = quantize(network, QuantConfig(build_method(method)))
    calibrate(silent, [torch.zeros_like(x) for x in inputs])
    assert relative_error(silent, network, [torch.zeros_like(inputs[0])]) < 0.05


def test_a_network_is_calibrated_once():
    network, inputs = build_toy("linear")
    quantized = quantize(network)
    calibrate(quantized, inputs)
    with pytest.raises(ValueError, match="was calibrated before and its float weights are gone: quantize it again"):
        calibrate(quantized, inputs)


def test_a_calibration_that_failed_leaves_no_trace_in_the_next():
    network, inputs = build_toy("linear")
    quantized, fresh = quantize(network), quantize(network)
    with pytest.raises(ValueError, match="not finite"):
        calibrate(quantized, [inputs[0] * 100, inputs[1] / 0])
    for one in (quantized, fresh):
        calibrate(one, inputs)
    assert torch.equal(quantized(inputs[0]), fresh(inputs[0]))


def test_an_error_within_the_calibration_leaves_no_network_that_computes_in_float():
    quantized = quantize(build_toy("linear")[0])
    with pytest.raises(RuntimeError, match="shapes"):
        calibrate(quantized, [torch.randn(2, 5)])
    assert isinstance(quantized[0], QuantLinear)
    with pytest.raises(RuntimeError, match="not calibrated"):
        quantized(torch.randn(2, 12))


def test_without_layers_there_is_nothing_to_quantise_and_nothing_changes():
    quantized = quantize(nn.Sequential(nn.ReLU()))
    calibrate(quantized, [torch.randn(3)])
    freeze(quantized)
    assert quantized(torch.tensor([-1.0, 2.0])).tolist() == [0, 2]
