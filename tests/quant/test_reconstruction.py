"""Block reconstruction brings a block nearer to the float one, and never further away."""

import pytest
import torch
from torch import nn
from toy_networks import ConvolutionalBlock, TransformerBlock, build_toy, relative_error

from textspot.quant.affine import QuantizerConfig, code_range
from textspot.quant.calibration import calibrate, freeze
from textspot.quant.layers import ActivationQuantizer, activation_quantizers, quantized_layers
from textspot.quant.learned_grids import LearnedGrid, LearnedRounding
from textspot.quant.methods import METHODS, build_method
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.reconstruction import ReconstructionConfig, reconstruct

BLOCKS = {"transformer": TransformerBlock, "convolutions": ConvolutionalBlock}


class Two(nn.Module):
    """Two blocks, one behind the other; the toys' convolutions end with 5 channels and start with 3."""

    def __init__(self, name: str):
        super().__init__()
        self.first, self.second = build_toy(name)[0], build_toy(name)[0]

    def forward(self, x):
        x = self.first(x)
        return self.second(x[:, :3] if x.ndim == 4 else x)


def build_pair(name: str, method: str, weight_bits: int = 3) -> tuple[nn.Module, nn.Module, list[torch.Tensor]]:
    network, (_, inputs) = Two(name).eval(), build_toy(name)
    quantized = quantize(network, QuantConfig(build_method(method, weight_bits)))
    calibrate(quantized, inputs)
    return quantized, network, inputs


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BLOCKS)
def test_each_block_comes_nearer_on_every_method(name, method):
    quantized, network, inputs = build_pair(name, method)
    before = relative_error(quantized, network, inputs)
    errors = reconstruct(quantized, network, ["first", "second"], inputs, ReconstructionConfig(60, 2e-3))
    assert list(errors) == ["first", "second"]
    assert all(error.after <= error.before for error in errors.values())
    if method in ("rtn", "smoothquant"):  # the others leave little
        assert all(error.after < 0.95 * error.before for error in errors.values())
    after = relative_error(quantized, network, inputs)
    assert after < before
    freeze(quantized)
    assert relative_error(quantized, network, inputs) == pytest.approx(after, rel=3e-2)  # factors become float16


def test_all_parameters_move_also_of_a_network_whose_gradients_are_off():
    network, (_, inputs) = Two("transformer").eval().requires_grad_(False), build_toy("transformer")
    quantized = quantize(network, QuantConfig(build_method("rtn", 3)))
    calibrate(quantized, inputs)
    before = {name: values.clone() for name, values in quantized.first.named_parameters()}
    reconstruct(quantized, network, ["first"], inputs, ReconstructionConfig(20, 1e-3))
    assert any("norm" in name for name in before)
    for name, values in quantized.first.named_parameters():
        assert not torch.equal(values, before[name]), name


def test_tuning_that_made_it_worse_is_undone():
    quantized, network, inputs = build_pair("transformer", "rtn", 8)
    before = {name: values.clone() for name, values in quantized.state_dict().items()}
    errors = reconstruct(quantized, network, ["first"], inputs, ReconstructionConfig(5, 10.0))
    assert errors["first"].after == errors["first"].before
    for name, values in quantized.state_dict().items():
        assert torch.equal(values, before[name]), name


def test_only_the_named_block_changes():
    quantized, network, inputs = build_pair("transformer", "rtn")
    before = {name: values.clone() for name, values in quantized.state_dict().items()}
    reconstruct(quantized, network, ["second"], iter(inputs), ReconstructionConfig(5))
    changed = {name for name, values in quantized.state_dict().items() if not torch.equal(values, before[name])}
    assert changed
    assert all(name.startswith("second.") for name in changed)


def test_what_cannot_be_tuned():
    quantized, network, inputs = build_pair("transformer", "rtn")
    for blocks, given, message in (
        (["third"], inputs, "no module is called third in both networks"),
        (["first.norm_1"], inputs, "first.norm_1 holds no quantised layer"),
        (["first"], [], "first ran 0 times for 0 inputs, expected once for each"),
    ):
        with pytest.raises(ValueError, match=message):
            reconstruct(quantized, network, blocks, given)
    freeze(quantized)
    with pytest.raises(ValueError, match="first is frozen: reconstruct comes between calibrate and freeze"):
        reconstruct(quantized, network, ["first"], inputs)


def test_a_block_that_takes_a_list_or_runs_twice():
    class First(nn.Sequential):
        def forward(self, values):
            return self[0](values[0])

    class Lists(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.twice = First(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3))

        def forward(self, x):
            return self.twice(self.twice(self.inner([x])))

    network, inputs = Lists(), [torch.randn(2, 3)]
    quantized = quantize(nn.Sequential(nn.Linear(3, 3)))
    with pytest.raises(ValueError, match="inner in both networks"):
        reconstruct(quantized, network, ["inner"], inputs)
    quantized = quantize(network)
    calibrate(quantized, inputs)
    with pytest.raises(TypeError, match="inner takes or gives something other than tensors"):
        reconstruct(quantized, network, ["inner"], inputs)
    with pytest.raises(ValueError, match="twice ran 2 times for 1 inputs, expected once for each"):
        reconstruct(quantized, network, ["twice"], inputs)


LEARNED = ReconstructionConfig(80, 1e-3, rounding="learned", rounding_rate=3e-2, scale_rate=1e-3, drop=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("name", BLOCKS)
def test_learned_rounding_takes_one_of_the_two_values_around_each_weight(name):
    quantized, network, inputs = build_pair(name, "rtn")
    twins = quantized_layers(quantized.first)
    before = {name: (twin.weight.detach().clone(), twin.weight_scale[0].item()) for name, twin in twins.items()}
    errors = reconstruct(quantized, network, ["first"], inputs, LEARNED)
    assert errors["first"].after < 0.95 * errors["first"].before
    turned = 0
    for name, (weight, _) in before.items():
        scale = twins[name].weight_scale.reshape(-1, *[1] * (weight.ndim - 1))
        low, high = code_range(3, True)
        steps = twins[name].weight / scale
        assert torch.allclose(steps, steps.round(), atol=1e-4)
        lowest, highest = (weight / scale).floor().clamp(low, high), (weight / scale).ceil().clamp(low, high)
        assert ((steps.round() == lowest) | (steps.round() == highest)).all()
        turned += (steps.round() != (weight / scale).round().clamp(low, high)).sum().item()
    assert turned
    freeze(quantized)


@pytest.mark.parametrize(
    ("changes", "moves"), [({"scale_rate": 1e-2}, True), ({"drop": 0.5}, False), ({"rounding": "learned"}, False)]
)
def test_the_scales_of_activations_move_where_they_have_a_rate(changes, moves):
    quantized, network, inputs = build_pair("convolutions", "rtn", 8)
    before = [quantizer.grids for quantizer in activation_quantizers(quantized.first)]
    errors = reconstruct(quantized, network, ["first"], inputs, ReconstructionConfig(20, 1e-3, **changes))
    after = [quantizer.grids for quantizer in activation_quantizers(quantized.first)]
    assert (before != after) == (moves and errors["first"].after < errors["first"].before)
    assert not [name for name, _ in quantized.named_parameters() if "learned" in name]


def test_with_a_drop_of_one_activations_are_float_while_a_block_is_tuned():
    grid = LearnedGrid(calibrated_quantizer(), 1.0, torch.Generator())
    x = torch.randn(50)
    assert torch.equal(grid(x), x)


def test_a_learned_grid_begins_as_the_calibrated_one_and_has_the_gradient_of_lsq():
    quantizer = calibrated_quantizer()
    grid = LearnedGrid(quantizer, 0.0, torch.Generator())
    x = torch.linspace(-3.01, 3.02, 41)  # beyond the grid at both ends
    assert torch.allclose(grid(x), quantizer(x), atol=1e-6)
    grid(x).sum().backward()
    ((scale, zero_point),) = quantizer.grids
    codes, (low, high) = x / scale + zero_point, code_range(4, False)
    inside = (codes >= low) & (codes <= high)
    slope = torch.where(inside, codes.round() - codes, codes.clamp(low, high) - zero_point)
    assert grid.log_factor.grad.item() == pytest.approx((slope * scale).sum().item(), rel=1e-4)


def calibrated_quantizer() -> ActivationQuantizer:
    quantizer = ActivationQuantizer(QuantizerConfig(4), "input")
    quantizer.grids = [(0.25, 6)]
    return quantizer


def test_rounding_starts_where_the_weights_are_and_ends_decided():
    quantized, _, _ = build_pair("convolutions", "rtn")
    twin = next(iter(quantized_layers(quantized).values()))
    learned = LearnedRounding(twin)
    scale = twin.weight_scale.reshape(-1, 1, 1, 1)
    low, high = code_range(3, True)
    assert torch.allclose(learned(), twin.weight.clamp(low * scale, high * scale), atol=1e-5)
    assert torch.allclose(learned.rounded(), twin.quantized_weight(), atol=1e-5)
    assert learned.indecision(2.0).item() > 0.1
    with torch.no_grad():
        learned.share_logits.copy_(torch.where(learned.share_logits > 0, 9.0, -9.0))
    assert learned.indecision(2.0).item() == pytest.approx(0, abs=1e-6)


def test_exponent_of_the_rounding_term():
    config = ReconstructionConfig(steps=100)
    assert config.beta(0) == config.beta(19) == 0
    assert config.beta(20) == 20
    assert config.beta(60) == pytest.approx(11)
    assert config.beta(99) == pytest.approx(2, abs=0.3)


def test_of_all_items_but_the_first_no_more_is_computed_than_the_block():
    quantized, network, inputs = build_pair("convolutions", "rtn")
    calls = []
    quantized.second.register_forward_hook(lambda *_: calls.append(1))
    reconstruct(quantized, network, ["first"], inputs, ReconstructionConfig(1))
    assert len(inputs) > 1
    assert len(calls) == 1


@pytest.mark.parametrize("values", [{"drop": 1.5}, {"scale_rate": -1.0}])
def test_shares_and_rates_out_of_range(values):
    with pytest.raises(ValueError, match=f"reconstruction.{next(iter(values))} is"):
        ReconstructionConfig(**values)


@pytest.mark.parametrize("values", [{"steps": 0}, {"learning_rate": 0.0}])
def test_settings_that_cannot_be(values):
    with pytest.raises(ValueError, match="expected both above 0"):
        ReconstructionConfig(**values)
