"""Where a spotter cannot bear low precision: stage by stage and layer by layer, in end-to-end hmean; and what to do.

A layer's own error says little of what is read in the end, so the network is evaluated with that layer alone quantised.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Literal, cast

import torch
from torch import nn

from textspot.checkpoint import load_model, save_quantized
from textspot.compression.accuracy import measure_accuracy
from textspot.compression.plot import plot_drops, plot_spectra
from textspot.compression.spotter import ReadImage
from textspot.compression.sweep import FLOAT, Sweep, Variant
from textspot.data.lmdb_records import Reader
from textspot.engine.evaluate import THRESHOLD_PROTOCOL
from textspot.inference.spotter import Spotter
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork
from textspot.progress import Track, untracked
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import quantized_layers
from textspot.quant.mixed_precision import MixedPrecision, compose, search
from textspot.quant.sensitivity import measure_layers
from textspot.runtime.export import export_onnx
from textspot.runtime.torch_runtime import TorchRuntime

NUM_EXAMINED = 8  # images on which the errors of layers are measured


class Evaluator:
    """The end-to-end hmean of a network on a data set, simulated in PyTorch."""

    def __init__(self, card: ModelCard, reader: Reader, track: Track = untracked):
        self.card, self.reader, self.track = card, reader, track

    def __call__(self, network: nn.Module) -> float:
        runtime = TorchRuntime(cast(SpottingNetwork, network), torch.device("cpu"))
        accuracy = measure_accuracy(Spotter(runtime, self.card), self.reader, self.track)
        return accuracy.hmeans()[THRESHOLD_PROTOCOL]


def group_by_stage(quantized: nn.Module) -> dict[str, list[str]]:
    """The quantised layers of each part of a spotting network, and of each part of its detector."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in quantized_layers(quantized):
        part, child, *_ = name.split(".")
        groups[f"{part}.{child}" if part == "detector" else part].append(name)
    return dict(groups)


def group_by_layer(quantized: nn.Module) -> dict[str, list[str]]:
    """Each quantised layer by itself."""
    return {name: [name] for name in quantized_layers(quantized)}


def measure_drops(
    quantized: nn.Module,
    network: nn.Module,
    groups: Mapping[str, Sequence[str]],
    score: Callable[[nn.Module], float],
    track: Track = untracked,
) -> dict[str, float]:
    """How much the score of the float network drops with one group of layers quantised and all others float."""
    candidates = [fold_batchnorm(network), quantized]
    reference = score(network)
    names = list(groups)
    return {
        name: reference - score(compose(candidates, dict.fromkeys(groups[name], 1)))
        for name in track(names, "sensitivity")
    }


def search_mixed(
    candidates: Sequence[nn.Module],
    network: nn.Module,
    errors: Mapping[str, float],
    score: Callable[[nn.Module], float],
    max_drop: float,
) -> tuple[nn.Module, MixedPrecision]:
    """The network whose layers are as cheap as a drop of the score by `max_drop` allows, and what was chosen.

    `candidates` are frozen networks, cheapest first; after them comes float. `errors` by layer say in which order
    layers are raised, the greatest first.
    """
    everything = [*candidates, fold_batchnorm(network)]
    order = sorted(errors, key=lambda name: -errors[name])
    found = search(everything, network, order, score, max_drop)
    return compose(everything, found.choice), found


def examine(
    sweep: Sweep,
    variants: Sequence[Variant],
    reader: Reader,
    by: Literal["stages", "layers"] | None,
    max_drop: float | None,
) -> list[str]:
    """Say, and plot beside the networks of a sweep, where the first variant loses, by `stages` or `layers`; and
    find the cheapest mixture of the variants, cheapest first, that loses `max_drop` of hmean at most on a data set.

    The mixture is `mixed.safetensors` and `mixed.onnx`.
    """
    network, card, images = sweep.network, sweep.card, sweep.images
    candidates = [load_model(sweep.file(variant.name, ".safetensors"))[0] for variant in variants]
    evaluate = Evaluator(card, reader)
    layers = measure_layers(candidates[0], network, images[:NUM_EXAMINED], ReadImage(card))
    plot_spectra(layers, sweep.file(variants[0].name, "-spectra.png"))
    lines = []
    if by:
        groups = {"stages": group_by_stage, "layers": group_by_layer}[by](candidates[0])
        drops = measure_drops(candidates[0], network, groups, evaluate, sweep.track)
        plot_drops(
            drops, f"{variants[0].name}, one part quantised at a time", sweep.file(variants[0].name, f"-{by}.png")
        )
        lines += [f"{name}: {100 * drop:+.1f} points lost when it alone is quantised" for name, drop in drops.items()]
    if max_drop is not None:
        mixed, found = search_mixed(
            candidates, network, {one.name: one.relative_error for one in layers}, evaluate, max_drop
        )
        save_quantized(sweep.file("mixed", ".safetensors"), mixed, card)
        export_onnx(cast(SpottingNetwork, mixed), card, sweep.file("mixed", ".onnx"))
        names = [*(variant.name for variant in variants), FLOAT]
        lines += [f"{layer}: {names[number]}" for layer, number in found.choice.items() if number]
        lines.append(
            f"all other layers: {names[0]}; {100 * found.drop:+.1f} points lost, {found.num_scored} networks evaluated"
        )
    return lines
