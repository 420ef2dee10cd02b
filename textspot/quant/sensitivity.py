"""What quantisation does to each layer, as plain numbers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from textspot.quant.calibration import Run, call, collect_statistics
from textspot.quant.correction import cholesky
from textspot.quant.fitting import Twin
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import quantized_layers, start_pass
from textspot.quant.matrix_form import InputStatistics, Layer, over_weight, to_matrix


@dataclass(frozen=True)
class LayerSensitivity:
    """One layer, on inputs of the float network.

    relative_error is ||y_q - y|| / ||y|| of its output, inputs quantised. singular_values, falling, are those of
    (W - W_q) S with S S^T = X X^T: the square of each is what a correction of one more rank would take off the squared
    output error; of a grouped convolution, the mean over its groups. effective_rank says how many of them matter. W_q
    is without correction, with the outlier weights that a method leaves to it.
    """

    name: str
    relative_error: float
    effective_rank: float
    singular_values: tuple[float, ...]


def effective_rank(singular_values: Tensor) -> float:
    """exp(-sum p ln p) with p = sigma / sum sigma (Roy and Vetterli 2007); 0 where there is no error at all."""
    if not singular_values.sum() > 0:
        return 0.0
    p = singular_values / singular_values.sum()
    return torch.special.entr(p).sum().exp().item()


@torch.no_grad()
def measure_layers(
    quantized: nn.Module, network: nn.Module, inputs: Iterable[Any], run: Run = call
) -> list[LayerSensitivity]:
    """The sensitivity of every linear and convolution layer of a calibrated network, in order of registration, against
    the float network it was made from. A layer that never ran is a `ValueError`."""
    reference = fold_batchnorm(network)
    layers: dict[str, Any] = {name: reference.get_submodule(name) for name in quantized_layers(quantized)}
    statistics = {name: InputStatistics(layer) for name, layer in layers.items()}
    watches = {name: _ErrorWatch(layers[name], twin) for name, twin in quantized_layers(quantized).items()}
    start_pass(quantized)
    collect_statistics(reference, statistics, inputs, run)
    found = []
    for name, watch in watches.items():
        watch.handle.remove()
        spectrum = error_spectrum(layers[name], watch.twin, statistics[name])
        values = tuple(spectrum.tolist())
        found.append(LayerSensitivity(name, watch.relative_error, effective_rank(spectrum), values))
    return found


class _ErrorWatch:
    """Lets a twin compute whatever its float layer computes, and sums up the squared difference."""

    def __init__(self, layer: nn.Module, twin: Twin):
        self.twin = twin
        self.squared_error = self.squared_output = 0.0
        self.handle = layer.register_forward_hook(self._compare)

    def _compare(self, _: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        self.squared_error += (self.twin(*args) - output).double().square().sum().item()
        self.squared_output += output.double().square().sum().item()

    @property
    def relative_error(self) -> float:
        if not self.squared_output:
            return 0.0 if not self.squared_error else torch.inf
        return (self.squared_error / self.squared_output) ** 0.5


@torch.no_grad()
def error_spectrum(layer: Layer, twin: Twin, statistics: InputStatistics) -> Tensor:
    """The singular values (K,) float64 of the weight error in the whitened metric; see `LayerSensitivity`."""
    return torch.linalg.svdvals(_weight_error(layer, twin) @ cholesky(statistics.gram)[0]).mean(dim=0)


@torch.no_grad()
def channel_errors(layer: Layer, twin: Twin, statistics: InputStatistics) -> Tensor:
    """What the weight error of each input channel alone adds to the squared error of the output over the calibration,
    (C,) float64: ||E_i X_i||^2. They sum up to the whole only where channels do not correlate."""
    error_GOJ = _weight_error(layer, twin)
    places = layer.weight[0, 0].numel()  # of a kernel
    error_GOCK = error_GOJ.unflatten(2, (-1, places))
    gram_GKKC = statistics.gram.unflatten(2, (-1, places)).unflatten(1, (-1, places)).diagonal(dim1=1, dim2=3)
    return torch.einsum("gock,gklc,gocl->gc", error_GOCK, gram_GKKC, error_GOCK).flatten()


def _weight_error(layer: Layer, twin: Twin) -> Tensor:
    """W - W_q (G, O, J) float64, of the weights before smoothing."""
    rounded = twin.quantized_weight()
    if twin.smoothing is not None:
        rounded = rounded / over_weight(twin, twin.smoothing)
    return to_matrix(layer).double() - rounded.reshape(to_matrix(layer).shape).double()
