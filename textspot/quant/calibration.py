"""From a quantised copy to one that computes on its grids: calibrate, then freeze."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from textspot.quant.affine import from_codes, to_codes
from textspot.quant.factors import FACTORS, IntegerCorrection, has_integer_factors
from textspot.quant.fitting import Twin, build_statistics, round_and_correct, smooth
from textspot.quant.folding import FoldingCheck
from textspot.quant.layers import NEVER_RAN, Phase, activation_quantizers, phase, quantized_layers, start_pass
from textspot.quant.matrix_form import InputStatistics

Run = Callable[[nn.Module, Any], Any]


def call(network: nn.Module, inputs: Any) -> Any:
    """Pass one item of inputs to a network: a tensor as its argument, a tuple or list as several, a dict by name."""
    if isinstance(inputs, dict):
        return network(**inputs)
    return network(*inputs) if isinstance(inputs, tuple | list) else network(inputs)


def calibrate(network: nn.Module, inputs: Iterable[Any], run: Run = call) -> None:
    """Choose all grids and factors of a network from `quantize`, in place.

    `inputs` is gone through up to three times (statistics for smoothing and correction; ranges; ranges of corrections
    in integers), in float, the last time with rounded weights; an iterator is kept as a list. `run(network, item)`
    passes one item. No items, a layer that no item reached, and values that are not finite are a `ValueError` that
    names the layer.
    """
    twins = quantized_layers(network)
    if any(twin.weight_scale is not None or twin.smoothing is not None for twin in twins.values()):
        raise ValueError("the network was calibrated before and its float weights are gone: quantize it again")
    inputs = list(inputs) if iter(inputs) is inputs else inputs
    wanted = {name: build_statistics(twin) for name, twin in twins.items()}
    statistics = {name: found for name, found in wanted.items() if found is not None}
    if statistics:
        collect_statistics(network, statistics, inputs, run)
    outliers = {name: smooth(twin, statistics.get(name)) for name, twin in twins.items()}
    with FoldingCheck(network):
        _run_all(network, "observing", inputs, run)
    _fit_activations(network)
    for name, twin in twins.items():
        round_and_correct(twin, statistics.get(name), outliers[name])
    _calibrate_factors(network, inputs, run)


def collect_statistics(
    network: nn.Module, statistics: dict[str, InputStatistics], inputs: Iterable[Any], run: Run
) -> None:
    """Fill the statistics of layers of a network, by name, everything computing in float. A layer that never ran is a
    `ValueError`."""

    def build_hook(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            try:
                statistics[name].update(args[0])
            except ValueError as error:
                raise ValueError(f"{name}: {error} among its calibration inputs") from error

        return hook

    handles = [found.layer.register_forward_pre_hook(build_hook(name)) for name, found in statistics.items()]
    try:
        _run_all(network, "float", inputs, run)
    finally:
        for handle in handles:
            handle.remove()
    never_ran = [name for name, found in statistics.items() if not found.count]
    if never_ran:
        raise ValueError(f"{', '.join(never_ran)} {NEVER_RAN}")


@torch.no_grad()
def _run_all(network: nn.Module, name: Phase, inputs: Iterable[Any], run: Run) -> None:
    for quantizer in activation_quantizers(network):
        quantizer.forget()  # what a calibration that failed has left
    with phase(network, name):
        _pass_all(network, inputs, run)


@torch.no_grad()
def _pass_all(network: nn.Module, inputs: Iterable[Any], run: Run) -> None:
    count = 0
    for item in inputs:
        start_pass(network)
        run(network, item)
        count += 1
    if not count:
        raise ValueError("no calibration inputs: expected at least one")


def _calibrate_factors(network: nn.Module, inputs: Iterable[Any], run: Run) -> None:
    """Choose the grids of corrections in integers, as they occur behind rounded weights."""
    corrected = [twin for twin in quantized_layers(network).values() if has_integer_factors(twin)]
    if not corrected:
        return
    for twin in corrected:
        twin.integer_correction = IntegerCorrection(twin)
        twin.integer_correction.fit(twin)
    corrections = nn.ModuleList(twin.integer_correction for twin in corrected)
    with phase(network, "float"), phase(corrections, "observing"):
        _pass_all(network, inputs, run)
    _fit_activations(corrections)


def _fit_activations(network: nn.Module) -> None:
    complaints = []
    for quantizer in activation_quantizers(network):
        try:
            quantizer.fit()
        except ValueError as error:
            complaints.append(str(error))
    if complaints:
        raise ValueError("; ".join(complaints))


@torch.no_grad()
def freeze(network: nn.Module) -> None:
    """Round the weights of a calibrated network to their grids, and low-rank factors to theirs or float16, for good, in
    place: what is then saved is what was measured."""
    for quantizer in activation_quantizers(network):
        if not quantizer.dynamic:
            quantizer.calibrated_grids()  # or an error that names it
    for twin in quantized_layers(network).values():
        set_codes(twin, weight_codes(twin))
        for part in FACTORS:
            if getattr(twin, part) is not None:
                _freeze_factor(twin, part)
    network.requires_grad_(False)


def _freeze_factor(twin: Twin, part: str) -> None:
    if twin.integer_correction is not None:
        twin.integer_correction.set_codes(twin, part, twin.integer_correction.codes(twin, part))
        return
    factor = getattr(twin, part).detach()
    rounded = factor.half().to(factor.dtype)
    if not rounded.isfinite().all():
        raise ValueError(f"{twin.name}: a low-rank factor is too large for float16")
    setattr(twin, part, nn.Parameter(rounded, requires_grad=False))


def weight_codes(twin: Twin) -> Tensor:
    """The int16 codes of a calibrated twin's weights, in the weights' shape."""
    return to_codes(twin.weight, *twin.weight_grid(), twin.config.weight, axis=0)  # one scale fits along any axis


def set_codes(twin: Twin, codes: Tensor) -> None:
    """Give a twin the weights of these codes, for good."""
    twin.weight = nn.Parameter(from_codes(codes, *twin.weight_grid(), axis=0), requires_grad=False)
    twin.frozen = True
