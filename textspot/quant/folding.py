"""BatchNorm folded into the layer before it."""

import copy
from collections import Counter
from itertools import pairwise
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


class FoldedBatchNorm(nn.Identity):
    """What stands where a BatchNorm was; `layer` is the name of the module that took it over."""

    def __init__(self, layer: str):
        super().__init__()
        self.layer = layer

    def extra_repr(self) -> str:
        return f"into {self.layer}"


def fold_batchnorm(network: Network) -> Network:
    """A copy in evaluation mode whose BatchNorms are part of the layers before them.

    A layer and a BatchNorm of its channels that stand next to each other in one module are a pair, as in
    `nn.Sequential(conv, bn)` and torchvision's blocks. `calibrate` checks that the data takes that way too; what it
    cannot see is a third reader of the layer's output. Modules that stand at several places are left alone.
    """
    network = copy.deepcopy(network).eval()
    for layer_name, norm_name in find_batchnorms(network):
        fold(network, layer_name, norm_name)
    return network


def find_batchnorms(network: nn.Module) -> list[tuple[str, str]]:
    """The names of layers and of the BatchNorms that follow them."""
    places = Counter(id(module) for _, module in network.named_modules(remove_duplicate=False))
    pairs = []
    for parent_name, parent in network.named_modules():
        for (layer_name, layer), (norm_name, norm) in pairwise(parent.named_children()):
            if places[id(layer)] == places[id(norm)] == 1 and _fits(layer, norm):
                prefix = f"{parent_name}." if parent_name else ""
                pairs.append((prefix + layer_name, prefix + norm_name))
    return pairs


def _fits(layer: nn.Module, norm: nn.Module) -> bool:
    kind = {nn.Linear: nn.BatchNorm1d, nn.Conv2d: nn.BatchNorm2d}.get(type(layer))
    if kind is None or type(norm) is not kind or norm.running_var is None:
        return False
    return norm.num_features == (layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels)


@torch.no_grad()
def fold(network: nn.Module, layer_name: str, norm_name: str) -> None:
    """Fold one BatchNorm into one layer, in place."""
    layer: Any = network.get_submodule(layer_name)
    norm: Any = network.get_submodule(norm_name)
    factor = torch.rsqrt(norm.running_var + norm.eps) * (1 if norm.weight is None else norm.weight)
    shift = 0 if norm.bias is None else norm.bias
    bias = (0 if layer.bias is None else layer.bias) - norm.running_mean
    layer.weight = nn.Parameter(layer.weight * factor.reshape(-1, *[1] * (layer.weight.ndim - 1)))
    layer.bias = nn.Parameter(bias * factor + shift)
    network.set_submodule(norm_name, FoldedBatchNorm(layer_name))


class FoldingCheck:
    """Watches a run: each folded BatchNorm must read exactly what its layer wrote."""

    def __init__(self, network: nn.Module):
        self._written: dict[str, tuple[Tensor, int]] = {}
        self._handles = []
        for name, module in network.named_modules():
            if isinstance(module, FoldedBatchNorm):
                layer = network.get_submodule(module.layer)
                self._handles.append(layer.register_forward_hook(self._write(module.layer)))
                self._handles.append(module.register_forward_pre_hook(self._read(name)))

    def __enter__(self) -> "FoldingCheck":
        return self

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()
        self._written.clear()

    def _write(self, layer_name: str):
        def hook(_module: nn.Module, _args: tuple, output: Tensor) -> None:
            self._written[layer_name] = output, _version(output)

        return hook

    def _read(self, norm_name: str):
        def hook(module: FoldedBatchNorm, args: tuple) -> None:
            output, version = self._written.get(module.layer, (None, 0))
            if args[0] is not output or _version(output) != version:
                raise ValueError(
                    f"{norm_name} stands behind {module.layer} but does not read its output: it cannot be folded into "
                    "it. Put another module between the two, or register them in another order"
                )

        return hook


def _version(tensor: Tensor) -> int:
    """How often it was written to; tensors of inference mode do not count."""
    return 0 if tensor.is_inference() else tensor._version
