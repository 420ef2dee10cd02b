"""What is saved comes back bit by bit, and takes the space that its bits say."""

import dataclasses
import json

import pytest
import torch
from safetensors.torch import safe_open, save_file
from torch import nn
from toy_networks import BUILDERS, build_toy

from textspot.quant.affine import QuantizerConfig
from textspot.quant.calibration import calibrate, freeze
from textspot.quant.layers import LayerConfig
from textspot.quant.methods import METHODS, build_method
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.storage import FORMAT, count_bytes, load, save


def with_integer_factors(layer: LayerConfig, bits: int = 8) -> LayerConfig:
    return dataclasses.replace(layer, correction=dataclasses.replace(layer.correction, bits=bits))


def build_frozen(name: str, config: QuantConfig) -> tuple[nn.Module, nn.Module, list[torch.Tensor]]:
    network, inputs = build_toy(name)
    quantized = quantize(network, config)
    calibrate(quantized, inputs)
    freeze(quantized)
    return quantized, network, inputs


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("method", [*METHODS, "aser with integer factors"])
@pytest.mark.parametrize("name", BUILDERS)
def test_a_saved_network_is_the_same_to_the_bit(tmp_path, name, method, bits):
    layer = build_method(method.split()[0], bits)
    layer = with_integer_factors(layer) if "integer" in method else layer
    config = QuantConfig(layer, outputs=("*.0",) if name == "convolutions" else ())
    quantized, network, inputs = build_frozen(name, config)
    save(quantized, tmp_path / "model.safetensors")
    for parameter in network.parameters():
        nn.init.constant_(parameter, 7)  # only the architecture counts
    loaded = load(tmp_path / "model.safetensors", network)
    assert all(torch.equal(loaded(x), quantized(x)) for x in inputs)
    assert count_bytes(loaded) == count_bytes(quantized)
    state = loaded.state_dict()
    assert state.keys() == quantized.state_dict().keys()
    for key, values in quantized.state_dict().items():
        assert torch.equal(state[key], values), key
    save(loaded, tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "model.safetensors").read_bytes()


@pytest.mark.parametrize("weight", [QuantizerConfig(3), QuantizerConfig(5, granularity="channel", observer="mse")])
def test_grids_of_every_kind_come_back(tmp_path, weight):
    layer = LayerConfig(weight, QuantizerConfig(6, True, "token"), probabilities="uniform")
    config = QuantConfig(layer, overrides={"up": LayerConfig()}, keep_float=("down",))
    quantized, network, inputs = build_frozen("transformer", config)
    save(quantized, tmp_path / "model.safetensors")
    loaded = load(tmp_path / "model.safetensors", network)
    assert all(torch.equal(loaded(x), quantized(x)) for x in inputs)
    assert (loaded.qkv.config, loaded.up.config, type(loaded.down)) == (layer, LayerConfig(), nn.Linear)


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_take_their_bits(tmp_path, bits):
    quantized, network, _ = build_frozen("transformer", QuantConfig(build_method("aser", bits)))
    float_bytes = sum(module.weight.nbytes for module in network.modules() if isinstance(module, nn.Linear))
    sizes = count_bytes(quantized)
    assert sizes["weights"] == float_bytes * bits / 32
    twins = [module for module in quantized.modules() if hasattr(module, "weight_scale")]
    assert sizes["low_rank"] == 2 * sum(twin.factor_in.numel() + twin.factor_out.numel() for twin in twins)
    outputs = sum(twin.out_features for twin in twins)
    assert sizes["scales"] == 8 * (outputs + 4 + 3 + 1)  # channels; inputs of layers, of products, of the softmax
    biases = 4 * outputs + sum(p.nbytes for name, p in network.named_parameters() if name.startswith("norm"))
    assert sizes["float"] == biases
    save(quantized, tmp_path / "model.safetensors")
    with safe_open(tmp_path / "model.safetensors", "pt") as file:
        assert sum(file.get_tensor(name).nbytes for name in file.keys()) == sum(sizes.values())  # noqa: SIM118


@pytest.mark.parametrize("bits", [4, 8])
def test_factors_in_integers_take_a_byte_each(bits):
    layer = with_integer_factors(build_method("lorc"), bits)
    twins = [twin for twin in build_frozen("linear", QuantConfig(layer))[0] if hasattr(twin, "factor_in")]
    sizes, plain = (count_bytes(build_frozen("linear", QuantConfig(one))[0]) for one in (layer, build_method("rtn")))
    assert sizes["low_rank"] == sum(twin.factor_in.numel() + twin.factor_out.numel() for twin in twins)
    rows = sum(len(twin.factor_in) + len(twin.factor_out) for twin in twins)
    assert sizes["scales"] - plain["scales"] == 4 * rows + 8 * 3 * len(twins)  # and three grids with zero points


def test_a_file_from_before_factors_had_bits_has_float_ones(tmp_path):
    quantized, network, inputs = build_frozen("linear", QuantConfig(build_method("aser", 4)))
    path = tmp_path / "model.safetensors"
    save(quantized, path)
    with safe_open(path, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        described = json.loads(file.metadata()[FORMAT])
    for layer in described["layers"].values():
        del layer["correction"]["bits"]
    save_file(tensors, path, {FORMAT: json.dumps(described)})
    loaded = load(path, network)
    assert loaded[0].config.correction.bits is None
    assert all(torch.equal(loaded(x), quantized(x)) for x in inputs)


def test_smoothing_factors_are_counted():
    quantized, _, _ = build_frozen("linear", QuantConfig(build_method("smoothquant")))
    assert count_bytes(quantized)["smoothing"] == 4 * (12 + 20 + 16)


def test_what_is_not_frozen_is_not_saved(tmp_path):
    network, inputs = build_toy("linear")
    quantized = quantize(network)
    calibrate(quantized, inputs)
    with pytest.raises(ValueError, match="0 is not frozen: call freeze"):
        save(quantized, tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match="0 is not frozen"):
        count_bytes(quantized)


def test_files_that_do_not_fit(tmp_path):
    quantized, network, _ = build_frozen("linear", QuantConfig(build_method("aser", 4)))
    path = tmp_path / "model.safetensors"
    with pytest.raises(ValueError, match=r"model.safetensors: missing, cut short, or not a safetensors file"):
        load(path, network)
    save(quantized, path)
    for other in (nn.Sequential(nn.Linear(12, 20)), build_toy("transformer")[0]):
        with pytest.raises(ValueError, match=r"model.safetensors: does not fit the network"):
            load(path, other)
    wider = nn.Sequential(*network)
    wider[5] = nn.Linear(18, 7)
    with pytest.raises(ValueError, match=r"does not fit the network: 56 bytes, expected 63"):
        load(path, wider)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match="cut short"):
        load(path, network)
    save_file({"x": torch.zeros(1)}, path, {"another": "file"})
    with pytest.raises(
        ValueError, match="not a quantised network of this program: its metadata lacks textspot-quant-1"
    ):
        load(path, network)


def test_a_tensor_that_is_missing(tmp_path):
    quantized, network, _ = build_frozen("linear", QuantConfig(with_integer_factors(build_method("lorc"))))
    path = tmp_path / "model.safetensors"
    save(quantized, path)
    with safe_open(path, "pt") as file:
        tensors, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    usual = ("5.bias", "3.weight_packed", "0.weight_scale", "0.input_quantizer.scale")
    for name in (*usual, "0.factor_out", "3.integer_correction.factor_in_scale", "5.integer_correction.main.scale"):
        save_file({key: values for key, values in tensors.items() if key != name}, path, metadata)
        with pytest.raises(ValueError, match=f"missing are {name}"):
            load(path, network)
