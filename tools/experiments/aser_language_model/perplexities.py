"""ASER on a language model: perplexities of every method, precision, cost and seed, one by one.

Whatever is measured lies in a folder, and the same call continues. Legend: W windows.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hugging_face import as_inputs, float_layers, window_losses
from torch import Tensor

from textspot.cli.command import say
from textspot.progress import Track
from textspot.quant import QuantConfig, build_method, calibrate, freeze, quantize
from textspot.quant.affine import QuantizerConfig
from textspot.quant.layers import LayerConfig, quantized_layers
from textspot.quant.smoothing import SmoothingConfig

UNSMOOTHED = "aser, not smoothed"
METHODS = ("rtn", "smoothquant", "lorc", "l2qer", UNSMOOTHED, "aser")
WITHOUT_RANK = ("rtn", "smoothquant")
WITHOUT_INPUTS = ("rtn", "lorc")  # no seed: they look at no calibration inputs, as activations have a scale per token
CALIBRATION_BATCH = 8  # windows of a call: the covariance takes 2048 of its tokens


@dataclass(frozen=True)
class Measurement:
    """What is measured.

    Args:
        methods: names out of `METHODS`.
        bits: bits of weights and activations.
        rank: rank of every correction, in the columns of equal rank.
        budget: cost of every correction, as a share of its layer's multiplications, in the columns of equal budget.
        seeds: seeds of the calibration windows.
        context: tokens of a window.
        calibration_windows: number of windows to calibrate with, from documents that are not held out.
        test_windows: number of held-out windows; perplexity is of these.
        batch: windows that are evaluated at once.
        sweep_bits: precision at which rank and number of outliers are varied.
        ranks: ranks tried there.
        outliers: numbers of outlier channels tried there, for ASER.
    """

    methods: tuple[str, ...] = METHODS
    bits: tuple[str, ...] = ("W8A8", "W4A8", "W4A6", "W4A4")
    rank: int = 8
    budget: float = 0.05
    seeds: tuple[int, ...] = (0, 1, 2)
    context: int = 256
    calibration_windows: int = 32
    test_windows: int = 128
    batch: int = 16
    sweep_bits: str = "W4A6"
    ranks: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    outliers: tuple[int, ...] = (0, 1, 2, 4, 8, 16)

    def __post_init__(self) -> None:
        unknown = [method for method in self.methods if method not in METHODS]
        if unknown:
            raise ValueError(f"no method is called {', '.join(unknown)}; there are {', '.join(METHODS)}")
        for bits in (*self.bits, self.sweep_bits):
            read_bits(bits)

    def cells(self) -> Iterator["Cell"]:
        """Those of the table."""
        for bits in self.bits:
            for method in self.methods:
                costs = ((0, 0.0),) if method in WITHOUT_RANK else ((self.rank, 0.0), (0, self.budget))
                seeds = self.seeds[:1] if method in WITHOUT_INPUTS else self.seeds
                yield from (Cell(method, bits, *cost, seed) for seed in seeds for cost in costs)

    def sweep(self) -> Iterator["Cell"]:
        """Those of the plots: rank against method, and against the number of outliers."""
        seed, bits = self.seeds[0], self.sweep_bits
        for rank in self.ranks:
            for method in self.methods:
                if method not in WITHOUT_RANK:
                    yield Cell(method, bits, rank, seed=seed)
            if "aser" in self.methods:
                yield from (Cell("aser", bits, rank, seed=seed, outliers=count) for count in self.outliers)


@dataclass(frozen=True)
class Cell:
    """One quantised network; rank 0 is a method without correction, or one that `budget` limits."""

    method: str
    bits: str
    rank: int = 0
    budget: float = 0.0
    seed: int = 0
    outliers: int | None = None  # of ASER's smoothing, in every layer; None lets each choose

    @property
    def cost(self) -> str:
        """What all methods of a column share."""
        return f"rank {self.rank}" if self.rank else f"budget {self.budget:.0%}" if self.budget else ""

    def layer(self) -> LayerConfig:
        """Weights per channel and activations per token, ranges as they are: the paper's round to nearest."""
        weight_bits, activation_bits = read_bits(self.bits)
        config = build_method("aser" if self.method == UNSMOOTHED else self.method, weight_bits, activation_bits)
        smoothing = SmoothingConfig() if self.method == UNSMOOTHED else config.smoothing
        if self.outliers is not None:
            smoothing = replace(smoothing, num_outliers=self.outliers)
        correction = config.correction
        if self.rank or self.budget:
            correction = replace(correction, rank=self.rank or 10_000, budget=self.budget or 1e9)
        activation = QuantizerConfig(activation_bits, granularity="token")
        return replace(config, activation=activation, smoothing=smoothing, correction=correction)


def read_bits(bits: str) -> tuple[int, int]:
    """Of weights and activations."""
    weight, _, activation = bits.removeprefix("W").partition("A")
    if not (weight.isdigit() and activation.isdigit()):
        raise ValueError(f"bits is {bits!r}, expected the likes of W4A8")
    return int(weight), int(activation)


def quantize_language_model(network: Any, layer: LayerConfig, windows_WT: Tensor) -> Any:
    """A frozen quantised copy, its head and its embeddings float."""
    quantized = quantize(network, QuantConfig(layer, keep_float=float_layers(network)))
    calibrate(quantized, [as_inputs(windows) for windows in windows_WT.split(CALIBRATION_BATCH)])
    freeze(quantized)
    return quantized


def count_extra(quantized: Any) -> float:
    """Multiplications that corrections and smoothing add, as a share of those of the quantised layers."""
    added = whole = 0
    for twin in quantized_layers(quantized).values():
        whole += twin.weight.numel()
        added += sum(factor.numel() for factor in (twin.factor_in, twin.factor_out) if factor is not None)
        added += 0 if twin.smoothing is None else len(twin.smoothing)
    return added / whole


class Results:
    """Cells that were measured, in a file: what was measured before is not measured again."""

    def __init__(self, file: Path):
        self.file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        self.found = {tuple(json.loads(line)["cell"].values()): json.loads(line) for line in lines}

    def get(self, cell: Cell) -> dict[str, Any] | None:
        """`losses` of the held-out windows and the `extra` multiplications; None if it was not measured."""
        return self.found.get(tuple(asdict(cell).values()))

    def add(self, cell: Cell, losses_W: Tensor, extra: float) -> None:
        """Keep a cell."""
        line = {"cell": asdict(cell), "extra": extra, "losses": [round(loss, 6) for loss in losses_W.tolist()]}
        with open(self.file, "a", encoding="utf-8") as lines:
            lines.write(json.dumps(line) + "\n")
        self.found[tuple(asdict(cell).values())] = line
        say(f"{cell.method} {cell.bits} {cell.cost} seed {cell.seed}: {losses_W.mean().exp().item():.3f}")


FLOAT = Cell("float", "")


def measure(
    network: Any,
    cells: Sequence[Cell],
    calibration: dict[int, Tensor],
    held_out_WT: Tensor,
    batch: int,
    results: Results,
    show: Track,
) -> None:
    """Add the float network and every cell that is missing. `calibration`: windows by seed."""
    if results.get(FLOAT) is None:
        results.add(FLOAT, window_losses(network, held_out_WT, batch), 0.0)
    missing = [cell for cell in dict.fromkeys(cells) if results.get(cell) is None]
    for cell in show(missing, "quantising and reading"):
        quantized = quantize_language_model(network, cell.layer(), calibration[cell.seed])
        results.add(cell, window_losses(quantized, held_out_WT, batch), count_extra(quantized))
