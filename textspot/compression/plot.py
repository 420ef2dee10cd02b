"""Plots of what quantisation costs and where: networks side by side; per layer the spectrum of its error, its effective
rank, the drop it causes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from textspot.atomic_file import write_atomically
from textspot.compression.sweep import Result
from textspot.quant.sensitivity import LayerSensitivity


def plot_spectra(layers: Sequence[LayerSensitivity], path: Path) -> None:
    """The share of each layer's squared output error that is left by a correction of each rank, and its effective
    rank: where the curve falls steeply, a few ranks repair much."""
    figure = Figure(figsize=(14, 0.16 * len(layers) + 4), layout="constrained")
    spectra, ranks = figure.subplots(1, 2)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 1, len(layers)))
    for layer, colour in zip(layers, colours, strict=True):
        energy = np.square(layer.singular_values)
        left = 1 - np.concatenate([[0], energy.cumsum()]) / max(energy.sum(), np.finfo(float).tiny)
        spectra.plot(np.linspace(0, 1, len(left)), left, color=colour, linewidth=1)
    spectra.set(
        xlabel="rank of the correction, as a share of the full one", ylabel="share of the squared output error left"
    )
    names = [layer.name for layer in layers]
    full = [len(layer.singular_values) for layer in layers]
    ranks.barh(names, full, color="lightgrey", label="full rank")
    ranks.barh(names, [layer.effective_rank for layer in layers], color=colours, label="effective rank")
    ranks.invert_yaxis()
    ranks.set(xscale="log", xlabel="rank of the weight error, seen at the output")
    ranks.tick_params(axis="y", labelsize=7)
    ranks.legend()
    _save(figure, path)


def plot_changes(results: Sequence[Result], path: Path) -> None:
    """How many points of end-to-end hmean each network is above or below the first one, by data set, with the 95 %
    interval of the paired bootstrap, and how many MiB it takes."""
    reference, *others = results
    figure = Figure(figsize=(4 * len(reference.accuracies) + 5, 0.3 * len(others) + 1.5), layout="constrained")
    *changes, sizes = figure.subplots(1, len(reference.accuracies) + 1, sharey=True)
    names = [result.name for result in others]
    precisions = list(dict.fromkeys(name.rpartition("-")[2] for name in names))
    palette = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(precisions)))
    colours = [palette[precisions.index(name.rpartition("-")[2])] for name in names]
    for data, axes in zip(reference.accuracies, changes, strict=True):
        for result, colour in zip(others, colours, strict=True):
            gain = result.accuracies[data].gain_over(reference.accuracies[data])
            axes.plot([100 * gain.low, 100 * gain.high], [result.name] * 2, color=colour, linewidth=2)
            axes.plot(100 * gain.value, result.name, "o", color=colour)
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(xlabel="points of end-to-end hmean beside float", title=data)
    sizes.barh(names, [result.num_mebibytes for result in others], color=colours)
    sizes.axvline(reference.num_mebibytes, color="black", linewidth=0.8)
    sizes.set(xlabel="MiB (the line: float)")
    changes[0].invert_yaxis()
    _save(figure, path)


def plot_drops(drops: Mapping[str, float], title: str, path: Path) -> None:
    """How many points of end-to-end hmean are lost when one part alone is quantised."""
    figure = Figure(figsize=(8, 0.2 * len(drops) + 2), layout="constrained")
    axes = figure.subplots()
    axes.barh(list(drops), [100 * drop for drop in drops.values()], color="#4477aa")
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="points of end-to-end hmean lost", title=title)
    axes.tick_params(axis="y", labelsize=7)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png", dpi=110))
