"""A layer's method: smoothing, then base rounding, then correction, each from its own config."""

import copy

import torch
from torch import Tensor, nn

from textspot.quant.correction import factorize
from textspot.quant.layers import QuantConv2d, QuantLinear, phase
from textspot.quant.matrix_form import (
    InputStatistics,
    by_input_channel,
    num_inputs,
    over_columns,
    over_weight,
    to_matrix,
)
from textspot.quant.observers import fit_grid
from textspot.quant.smoothing import SMOOTHINGS, aser_factors, find_outliers

NUM_EXAMPLES = 4  # inputs of a layer that the number of outliers is chosen on

Twin = QuantLinear | QuantConv2d


def build_statistics(twin: Twin) -> InputStatistics | None:
    """What a twin's method wants to know of its inputs beyond their range, yet to be collected; None if nothing."""
    smoothing, correction = twin.config.smoothing.kind, twin.config.correction.kind
    if smoothing == "none" and correction in ("none", "unwhitened"):
        return None
    with_gram = correction not in ("none", "unwhitened", "diagonal")
    return InputStatistics(twin, with_gram, NUM_EXAMPLES if smoothing == "aser" else 0)


@torch.no_grad()
def smooth(twin: Twin, statistics: InputStatistics | None) -> Tensor:
    """Set the smoothing of a twin whose weights are still the float layer's, and multiply these by it. Also the input
    channels (f,) whose weights are left to the correction."""
    config = twin.config.smoothing
    if statistics is None or config.kind == "none":
        return torch.zeros(0, dtype=torch.int64, device=twin.weight.device)
    if config.kind == "aser":
        return smooth_outliers(twin, statistics, choose_num_outliers(twin, statistics))
    weight_max = by_input_channel(twin).abs().amax(dim=1).double()
    _set_smoothing(twin, SMOOTHINGS[config.kind](statistics.absolute_max, weight_max, config))
    return torch.zeros(0, dtype=torch.int64, device=twin.weight.device)


def smooth_outliers(twin: Twin, statistics: InputStatistics, count: int) -> Tensor:
    """ASER's smoothing with a given number of outliers; their input channels (count,)."""
    weight_mean = by_input_channel(twin).abs().mean(dim=1).double()
    outliers = find_outliers(statistics.absolute_mean, weight_mean, count)
    _set_smoothing(twin, aser_factors(statistics.absolute_mean, outliers))
    return outliers


def _set_smoothing(twin: Twin, factors_C: Tensor) -> None:
    if (factors_C != 1).any():
        twin.smoothing = factors_C.to(twin.weight.dtype)
        twin.weight = nn.Parameter(twin.weight * over_weight(twin, twin.smoothing))


def choose_num_outliers(twin: Twin, statistics: InputStatistics) -> int:
    """ASER's f: of 0, 1, 2, 4, ... up to the share of the config and below the rank, the one with the least error of
    the layer's output, inputs quantised, on a few of its inputs (ours: the paper fixes 32 for widths of thousands). A
    number that the config fixes is that number, or all input channels of a narrower layer."""
    config = twin.config
    if config.smoothing.num_outliers is not None:
        return min(config.smoothing.num_outliers, num_inputs(twin))
    highest = min(
        max(1, round(config.smoothing.outlier_share * num_inputs(twin))) if config.smoothing.outlier_share else 0,
        config.correction.highest_rank(*to_matrix(twin).shape[1:]) - 1,
    )
    counts = [0, *(2**power for power in range(highest.bit_length() if highest > 0 else 0))]
    return min(counts, key=lambda count: _output_error(twin, statistics, count))


def _output_error(twin: Twin, statistics: InputStatistics, num_outliers: int) -> float:
    trial = copy.deepcopy(twin)
    outliers = smooth_outliers(trial, statistics, num_outliers)
    if trial.input_quantizer is not None:
        with phase(trial, "observing"):
            for x in statistics.examples:
                trial.input_quantizer.start_pass()
                trial.prepare_input(x)
        trial.input_quantizer.fit()
    round_and_correct(trial, statistics, outliers)
    targets = (twin.transform(x, twin.weight, twin.bias) for x in statistics.examples)
    outputs = (trial.forward(x) for x in statistics.examples)  # not its hooks: the output's own grid is yet unknown
    return sum((y - target).square().sum().item() for y, target in zip(outputs, targets, strict=True))


@torch.no_grad()
def round_and_correct(twin: Twin, statistics: InputStatistics | None, outliers: Tensor) -> None:
    """Choose the weights' grid and the low-rank factors. The outlier columns are not quantised, they join the error."""
    whole = twin.weight
    kept_C = torch.ones(num_inputs(twin), dtype=whole.dtype, device=whole.device)
    kept_C[outliers] = 0
    twin.weight = nn.Parameter(whole * over_weight(twin, kept_C))
    rows = twin.weight.flatten(1) if twin.config.weight.granularity == "channel" else twin.weight.reshape(1, -1)
    twin.weight_scale, twin.weight_zero_point = fit_grid(rows, twin.config.weight)
    if twin.config.correction.kind != "none":
        _correct(twin, whole - twin.quantized_weight(), statistics)


def _correct(twin: Twin, error: Tensor, statistics: InputStatistics | None) -> None:
    error_GOJ = error.reshape(to_matrix(twin).shape)
    gram_GJJ = input_mean_GJ = torch.zeros(0)  # LoRC looks at no inputs
    if statistics is not None:
        smoothing_C = torch.ones_like(statistics.absolute_mean) if twin.smoothing is None else twin.smoothing.double()
        smoothing_GJ = over_columns(twin, smoothing_C)
        if statistics.with_gram:
            gram_GJJ = statistics.gram / (smoothing_GJ[:, :, None] * smoothing_GJ[:, None])
        input_mean_GJ = over_columns(twin, statistics.absolute_mean) / smoothing_GJ
    left_GOr, right_GrJ = factorize(error_GOJ, gram_GJJ, input_mean_GJ, twin.config.correction)
    if left_GOr.shape[2]:
        ones = twin.weight.ndim - 2
        twin.factor_out = nn.Parameter(left_GOr.to(error.dtype).flatten(0, 1)[(..., *[None] * ones)].contiguous())
        twin.factor_in = nn.Parameter(right_GrJ.to(error.dtype).reshape(-1, *twin.weight.shape[1:]).contiguous())
