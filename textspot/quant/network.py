"""A float network's quantised twin: which modules are replaced, by what."""

from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from textspot.quant.affine import QuantizerConfig
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import TWINS, ActivationQuantizer, LayerConfig, start_pass


@dataclass(frozen=True)
class QuantConfig:
    """How a network is quantised. Patterns are globs over module names, such as `backbone.*`; one that matches nothing
    is an error.

    Args:
        layer: settings of a layer.
        overrides: pattern to another way; of several that match, the last one counts.
        keep_float: patterns of layers that stay as they are.
        outputs: patterns of modules of any type whose output is quantised too, on the grid of `layer.activation` per
            tensor: an int8 engine adds, and convolves in integers, only between quantised tensors.
        output_bits: bits of these outputs; null for those of `layer.activation`.
    """

    layer: LayerConfig = field(default_factory=LayerConfig)
    overrides: dict[str, LayerConfig] = field(default_factory=dict)
    keep_float: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    output_bits: int | None = None

    def resolve(self, names: list[str]) -> dict[str, LayerConfig]:
        """The config of each layer that is to be quantised."""
        patterns = (*self.overrides, *self.keep_float)
        unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
        if unmatched:
            raise ValueError(f"no layer is called {' or '.join(unmatched)}; there are {', '.join(names) or 'none'}")
        chosen = {}
        for name in names:
            if not any(fnmatchcase(name, pattern) for pattern in self.keep_float):
                matching = [config for pattern, config in self.overrides.items() if fnmatchcase(name, pattern)]
                chosen[name] = matching[-1] if matching else self.layer
        return chosen


def quantize(network: nn.Module, config: QuantConfig | None = None) -> nn.Module:
    """A quantised copy, in evaluation mode, to be calibrated. The network given stays as it is.

    BatchNorms are folded; every `nn.Linear`, `nn.Conv2d`, `MatMul` and `nn.Softmax` becomes its twin unless kept float.
    Only these very types: a subclass, such as the projection in `nn.MultiheadAttention`, may be computed another way.
    """
    config = config or QuantConfig()
    network = fold_batchnorm(network)
    layers = config.resolve(quantizable(network))
    outputs = find_modules(network, config.outputs)
    replace_layers(network, layers)
    for name in outputs:
        if config.layer.activation is None:
            raise ValueError("outputs are to be quantised, and layer.activation, their grid, is null")
        bits = config.output_bits or config.layer.activation.bits
        quantize_output(network.get_submodule(name), replace(config.layer.activation, bits=bits), name)
    return network


def quantizable(network: nn.Module) -> list[str]:
    """The names of the modules that have a twin; one that stands at several places is named once."""
    return [name for name, module in network.named_modules() if type(module) in TWINS]


def find_modules(network: nn.Module, patterns: tuple[str, ...]) -> list[str]:
    """The names of modules of any type that a pattern matches; a pattern that matches none is a `ValueError`."""
    names = [name for name, _ in network.named_modules() if name]
    unmatched = [pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)]
    if unmatched:
        raise ValueError(f"no module is called {' or '.join(unmatched)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def replace_layers(network: nn.Module, layers: dict[str, LayerConfig]) -> None:
    """Put the twins in, in place, wherever the layer stands."""
    if "" in layers:
        raise ValueError("the network is itself a layer, which cannot be replaced within it: wrap it in nn.Sequential")
    twins = {}
    for name, config in layers.items():
        layer = network.get_submodule(name)
        twins[layer] = TWINS[type(layer)](layer, config, name)
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if module in twins:
            network.set_submodule(name, twins[module])
    network.eval()
    network.register_forward_pre_hook(_start_pass)


def quantize_output(module: nn.Module, config: QuantizerConfig, name: str) -> None:
    """Let a module quantise what it returns, a tensor."""
    module.output_quantizer = ActivationQuantizer(replace(config, granularity="tensor"), f"{name} (output)")
    module.register_forward_hook(_quantize_output)


def _quantize_output(module: Any, _args: tuple, output: Any) -> Tensor:
    quantizer = module.output_quantizer
    if not isinstance(output, Tensor):
        raise TypeError(f"{quantizer.name} is a {type(output).__name__}, expected one tensor: name a module inside it")
    return quantizer(output)


def _start_pass(network: nn.Module, _args: tuple) -> None:
    start_pass(network)
