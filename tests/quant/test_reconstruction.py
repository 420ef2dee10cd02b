"""Block reconstruction brings a block nearer to the float one, and never further away."""

import pytest
import torch
from torch import nn
from toy_networks import ConvolutionalBlock, TransformerBlock, build_toy, relative_error

from textspot.quant.calibration import calibrate, freeze
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


@pytest.mark.parametrize("values", [{"steps": 0}, {"learning_rate": 0.0}])
def test_settings_that_cannot_be(values):
    with pytest.raises(ValueError, match="expected both above 0"):
        ReconstructionConfig(**values)
