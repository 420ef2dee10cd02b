"""What the paper observes of the weight error of each layer (arXiv 2411.07762, section 3), as numbers and as plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hugging_face import as_inputs
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from outlier_channels import outlier_ratio
from perplexities import CALIBRATION_BATCH, FLOAT, Cell, Measurement, Results, quantize_language_model
from perplexity_tables import perplexity
from torch import Tensor

from textspot.atomic_file import write_atomically
from textspot.quant.calibration import call, collect_statistics
from textspot.quant.layers import quantized_layers
from textspot.quant.matrix_form import InputStatistics, to_matrix
from textspot.quant.sensitivity import channel_errors, effective_rank, error_spectrum

FEW_CHANNELS = 0.01


@dataclass(frozen=True)
class LayerObservation:
    """One layer, its weights rounded to nearest.

    `outlier_ratio` is the mean |x| of its largest input channel in those of the median one. `whitened` and `unwhitened`
    are singular values of the weight error, seen at the output and as it is. `channel_shares` are the shares of the
    input channels in the sum of their squared errors at the output, falling.
    """

    name: str
    outlier_ratio: float
    whitened: np.ndarray
    unwhitened: np.ndarray
    channel_shares: np.ndarray

    @property
    def kind(self) -> str:
        """The last word of the name, such as `q_proj`."""
        return self.name.rpartition(".")[2]

    @property
    def share_of_few(self) -> float:
        """Of the error, in 1 % of the channels, at least one."""
        return float(self.channel_shares[: max(1, round(FEW_CHANNELS * len(self.channel_shares)))].sum())


@torch.no_grad()
def observe(network: Any, bits: str, windows_WT: Tensor) -> list[LayerObservation]:
    """Every quantised layer, in order."""
    quantized = quantize_language_model(network, Cell("rtn", bits).layer(), windows_WT)
    twins = quantized_layers(quantized)
    layers = {name: network.get_submodule(name) for name in twins}
    statistics = {name: InputStatistics(layer) for name, layer in layers.items()}
    collect_statistics(network, statistics, [as_inputs(some) for some in windows_WT.split(CALIBRATION_BATCH)], call)
    found = []
    for name, twin in twins.items():
        errors_C = channel_errors(layers[name], twin, statistics[name])
        shares = (errors_C / errors_C.sum()).sort(descending=True).values
        unwhitened = torch.linalg.svdvals(to_matrix(layers[name])[0] - twin.quantized_weight())
        spectrum = error_spectrum(layers[name], twin, statistics[name])
        ratio = outlier_ratio(statistics[name])
        found.append(LayerObservation(name, ratio, spectrum.numpy(), unwhitened.numpy(), shares.numpy()))
    return found


def format_observations(layers: Sequence[LayerObservation]) -> str:
    """Markdown: the mean over the layers of each kind."""
    names = "largest channel / median", "effective rank, whitened", "not whitened", "full", "error in 1 % of channels"
    lines = [f"| layer | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    for kind in dict.fromkeys(layer.kind for layer in layers):
        of_kind = [layer for layer in layers if layer.kind == kind]
        ratios = [layer.outlier_ratio for layer in of_kind]
        ranks = [
            np.mean([effective_rank(torch.from_numpy(getattr(layer, part))) for layer in of_kind])
            for part in ("whitened", "unwhitened")
        ]
        few = np.mean([layer.share_of_few for layer in of_kind])
        ratio = f"{np.mean(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
        full = len(of_kind[0].whitened)
        lines.append(f"| {kind} | {ratio} | {ranks[0]:.0f} | {ranks[1]:.0f} | {full} | {few:.0%} |")
    return "\n".join(lines)


def plot_observations(
    layers: Sequence[LayerObservation], measurement: Measurement, results: Results, path: Path
) -> None:
    """Six plots: spectra, effective ranks, error by channel, outlier ratios, perplexity against rank, f against r."""
    figure = Figure(figsize=(17, 10), layout="constrained")
    axes = figure.subplots(2, 3)
    kinds = list(dict.fromkeys(layer.kind for layer in layers))
    palette = {kind: f"C{number}" for number, kind in enumerate(kinds)}
    for layer in layers:
        colour = palette[layer.kind]
        axes[0, 0].plot(np.arange(1, len(layer.whitened) + 1), layer.whitened / layer.whitened[0], color=colour)
        share = np.arange(1, len(layer.channel_shares) + 1) / len(layer.channel_shares)
        axes[0, 2].plot(100 * share, 100 * layer.channel_shares.cumsum(), color=colour)
    axes[0, 0].set(xscale="log", yscale="log", ylim=(1e-3, 1.2), xlabel="number")
    axes[0, 0].set(title="singular values of the whitened error", ylabel="share of the largest")
    axes[0, 2].axvline(100 * FEW_CHANNELS, color="grey", linewidth=0.8)
    axes[0, 2].set(xscale="log", xlabel="% of the input channels", ylabel="% of the squared error")
    axes[0, 2].set(title="error by input channel")
    _plot_by_layer(axes[0, 1], layers, palette)
    _plot_ranks(axes[1, 1], measurement, results)
    _plot_outliers(axes[1, 2], measurement, results)
    _plot_ratios(axes[1, 0], layers, palette)
    for kind in kinds:
        axes[0, 0].plot([], color=palette[kind], label=kind)
    axes[0, 0].legend()
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=100))


def _plot_by_layer(axes: Axes, layers: Sequence[LayerObservation], palette: dict) -> None:
    for number, layer in enumerate(layers):
        for part, marker in (("whitened", "o"), ("unwhitened", "x")):
            rank = effective_rank(torch.from_numpy(getattr(layer, part)))
            axes.plot(number, rank, marker, color=palette[layer.kind])
    axes.plot([], "ok", label="whitened")
    axes.plot([], "xk", label="not whitened")
    axes.set(title="effective rank of the error", xlabel="layer, in order", ylabel="rank", ylim=(0, None))
    axes.legend()


def _plot_ratios(axes: Axes, layers: Sequence[LayerObservation], palette: dict) -> None:
    ratios = [layer.outlier_ratio for layer in layers]
    axes.bar(range(len(layers)), ratios, color=[palette[layer.kind] for layer in layers])
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set(title="largest input channel, in medians", xlabel="layer, in order", yscale="log")


def _perplexities(cells: Sequence[Cell], results: Results) -> dict[int, float]:
    return {cell.rank: perplexity(line) for cell in cells if (line := results.get(cell))}


def _plot_ranks(axes: Axes, measurement: Measurement, results: Results) -> None:
    bits = measurement.sweep_bits
    for method in measurement.methods:
        cells = [cell for cell in measurement.sweep() if cell.method == method and cell.outliers is None]
        found = _perplexities(cells, results)
        axes.plot(list(found), list(found.values()), "o-", label=method)
    plain = results.get(Cell("rtn", bits, seed=measurement.seeds[0]))
    for line, name, style in ((plain, "rtn", "--"), (results.get(FLOAT), "float", "-")):
        if line:
            axes.axhline(perplexity(line), color="black", linestyle=style, linewidth=0.8, label=name)
    axes.set(xscale="log", xlabel="rank r", ylabel="perplexity", title=f"perplexity against rank, {bits}")
    axes.legend()


def _plot_outliers(axes: Axes, measurement: Measurement, results: Results) -> None:
    for count in measurement.outliers:
        found = _perplexities([cell for cell in measurement.sweep() if cell.outliers == count], results)
        axes.plot(list(found), list(found.values()), "o-", label=f"f = {count}")
    axes.set(xscale="log", xlabel="rank r", ylabel="perplexity", title=f"ASER: f against r, {measurement.sweep_bits}")
    axes.legend()
