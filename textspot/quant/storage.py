"""A frozen network as one safetensors file: weights packed at their bits, low-rank factors in int8 or
float16, everything else as it is.

The metadata holds the config of every quantised layer, so the file and the float network's architecture are enough.
"""

import copy
import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from textspot.quant.affine import QuantizerConfig, code_range
from textspot.quant.calibration import set_codes, weight_codes
from textspot.quant.correction import CorrectionConfig
from textspot.quant.factors import FACTORS, IntegerCorrection
from textspot.quant.folding import FoldedBatchNorm, fold
from textspot.quant.layers import TWINS, ActivationQuantizer, LayerConfig, quantized_layers
from textspot.quant.network import quantize_output, replace_layers
from textspot.quant.packing import pack, unpack
from textspot.quant.smoothing import SmoothingConfig

FORMAT = "textspot-quant-1"
PACKED = ".weight_packed"
PARTS = {  # last word of a tensor's name: what it is counted as
    "weight_packed": "weights",
    "weight_scale": "scales",
    "weight_zero_point": "scales",
    "scale": "scales",
    "zero_point": "scales",
    "factor_in_scale": "scales",
    "factor_out_scale": "scales",
    "smoothing": "smoothing",
    "factor_in": "low_rank",
    "factor_out": "low_rank",
}


def save(network: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a frozen network, with further metadata if there is any. One that is not frozen is a `ValueError`."""
    described = {
        "folded": {name: norm.layer for name, norm in network.named_modules() if isinstance(norm, FoldedBatchNorm)},
        "layers": {
            name: dataclasses.asdict(module.config)
            for name, module in network.named_modules()
            if type(module) in TWINS.values()
        },
        "outputs": {
            name: dataclasses.asdict(module.output_quantizer.config)
            for name, module in network.named_modules()
            if hasattr(module, "output_quantizer")
        },
    }
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in packed_tensors(network).items()}
    # one key of ours: the order of several is random
    save_file(tensors, path, {**(metadata or {}), FORMAT: json.dumps(described)})


def packed_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The state of a frozen network, the weights of its quantised layers packed."""
    tensors = dict(network.state_dict())
    for name, twin in quantized_layers(network).items():
        if not twin.frozen:
            raise ValueError(f"{name} is not frozen: call freeze(network) before it is saved or measured")
        del tensors[f"{name}.weight"]
        bits, lowest = twin.config.weight.bits, code_range(twin.config.weight.bits, twin.config.weight.symmetric)[0]
        tensors[name + PACKED] = pack(weight_codes(twin), bits, lowest)
        integer = twin.integer_correction
        for part in FACTORS:
            if f"{name}.{part}" in tensors:
                stored = integer.codes(twin, part) if integer is not None else getattr(twin, part).half()
                tensors[f"{name}.{part}"] = stored
    for name, quantizer in static_quantizers(network).items():
        scales, zero_points = zip(*quantizer.calibrated_grids(), strict=True)
        tensors[f"{name}.scale"] = torch.tensor(scales)
        tensors[f"{name}.zero_point"] = torch.tensor(zero_points, dtype=torch.int32)
    return tensors


def static_quantizers(network: nn.Module) -> dict[str, ActivationQuantizer]:
    """The quantisers whose grids are known before the network runs, by name."""
    modules = network.named_modules()
    return {name: m for name, m in modules if isinstance(m, ActivationQuantizer) and not m.dynamic}


def count_bytes(network: nn.Module) -> dict[str, int]:
    """What a frozen network takes, in bytes: `weights` (packed), `scales` (and zero points), `low_rank` factors,
    `smoothing` factors, and what is `float` (biases, layers kept float)."""
    counts = dict.fromkeys([*PARTS.values(), "float"], 0)
    for name, tensor in packed_tensors(network).items():
        counts[PARTS.get(name.rsplit(".", 1)[-1], "float")] += tensor.nbytes
    return counts


def load(path: Path, network: nn.Module) -> nn.Module:
    """The frozen network of a file, from a float network of its architecture, whose own weights do not matter and which
    stays as it is. A file of another program or network is a `ValueError` that says what does not fit."""
    tensors, described = _read(path)
    network = copy.deepcopy(network).eval()
    try:
        for norm_name, layer_name in described["folded"].items():
            fold(network, layer_name, norm_name)
        replace_layers(network, {name: _layer_config(config) for name, config in described["layers"].items()})
        for name, config in described["outputs"].items():
            quantize_output(network.get_submodule(name), QuantizerConfig(**config), name)
        _fill(network, tensors)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: does not fit the network: {error}") from error
    return network.requires_grad_(False)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: missing, cut short, or not a safetensors file ({error})") from error
    if FORMAT not in metadata:
        raise ValueError(f"{path}: not a quantised network of this program: its metadata lacks {FORMAT}")
    return tensors, json.loads(metadata[FORMAT])


def _layer_config(values: dict[str, Any]) -> LayerConfig:
    return LayerConfig(
        QuantizerConfig(**values["weight"]),
        QuantizerConfig(**values["activation"]) if values["activation"] else None,
        SmoothingConfig(**values["smoothing"]),
        CorrectionConfig(**values["correction"]),
        values["probabilities"],
    )


def _fill(network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put the tensors into their places; parts that a twin has not yet are made."""
    twins = quantized_layers(network)
    integer = {
        name: twin for name, twin in twins.items() if twin.config.correction.bits and f"{name}.factor_in" in tensors
    }
    for twin in integer.values():
        twin.integer_correction = IntegerCorrection(twin)
    expected = network.state_dict().keys() - {f"{name}.weight" for name in twins}
    expected |= {name + part for name in twins for part in (PACKED, ".weight_scale", ".weight_zero_point")}
    quantizers = static_quantizers(network)
    expected |= {name + part for name in quantizers for part in (".scale", ".zero_point")}
    parts = [key for part in FACTORS for key in (part, f"integer_correction.{part}_scale")]
    expected |= {f"{name}.{part}" for name in integer for part in parts}
    missing = sorted(expected - tensors.keys())
    if missing:
        raise ValueError(f"missing are {', '.join(missing)}")
    for name, quantizer in quantizers.items():
        scales, zero_points = tensors.pop(f"{name}.scale"), tensors.pop(f"{name}.zero_point")
        quantizer.grids = list(zip(scales.tolist(), zero_points.tolist(), strict=True))
    for name, tensor in tensors.items():
        if not name.endswith(PACKED):
            _place(network, name, tensor.float() if name.endswith(FACTORS) else tensor)
    for name, twin in twins.items():
        config = twin.config.weight
        lowest = code_range(config.bits, config.symmetric)[0]
        codes = unpack(tensors[name + PACKED], config.bits, lowest, twin.weight.shape)
        set_codes(twin, codes)
    for name, twin in integer.items():
        for part in FACTORS:
            twin.integer_correction.set_codes(twin, part, tensors[f"{name}.{part}"])


def _place(network: nn.Module, name: str, tensor: Tensor) -> None:
    module_name, _, key = name.rpartition(".")
    module = network.get_submodule(module_name)
    there = getattr(module, key)
    if there is not None and there.shape != tensor.shape:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, the network wants {tuple(there.shape)}")
    is_parameter = key in module._parameters
    setattr(module, key, nn.Parameter(tensor, requires_grad=False) if is_parameter else tensor)
