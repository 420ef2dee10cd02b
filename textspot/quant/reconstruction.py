"""Block reconstruction: the weights of a quantised block, tuned so that its output is the float block's again.

The idea of BRECQ (Li et al. 2021). All parameters of the block (weights, biases, low-rank factors, norms) move by Adam,
the gradient passing straight through the rounding; the grids stay. Steps and learning rate are those SARDFQ publishes
(arXiv 2412.16553). Of fewer bits, weights may learn their rounding instead, and activations their scales.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn

from textspot.quant.calibration import Run, call
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import ActivationQuantizer, activation_quantizers, quantized_layers, start_pass
from textspot.quant.learned_grids import LearnedGrid, LearnedRounding, attach, settle
from textspot.ranges import NonNegative, Share, check_ranges

WARMUP_SHARE, FIRST_BETA, LAST_BETA = 0.2, 20.0, 2.0  # AdaRound, section 5


@dataclass(frozen=True)
class ReconstructionConfig:
    """How a block is tuned.

    Args:
        steps: number of steps of Adam, each on the next of the inputs.
        learning_rate: learning rate at the start; it falls to 0 as a cosine.
        rounding: `nearest` moves the weights and rounds them to the nearest value; `learned` keeps the weights and
            learns for each whether it is rounded up or down (AdaRound, Nagel et al. 2020).
        rounding_rate: learning rate of what decides that (ours: the papers take 1e-3 and twenty thousand steps).
        rounding_weight: weight of the term that makes all decide, against an error of the block of 1 at the start.
        scale_rate: learning rate of the logarithm of the activations' scales; 0 keeps them.
        drop: share of the activations that stay float in a step, at random (QDrop, Wei et al. 2022).
    """

    steps: int = 100
    learning_rate: float = 4e-5
    rounding: Literal["nearest", "learned"] = "nearest"
    rounding_rate: float = 1e-2
    rounding_weight: float = 1.0
    scale_rate: NonNegative = 0.0
    drop: Share = 0.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0:
            raise ValueError(
                f"reconstruction has {self.steps} steps at learning rate {self.learning_rate}, expected both above 0"
            )
        check_ranges(self, "reconstruction.")

    def beta(self, step: int) -> float:
        """AdaRound's exponent: 20 falls to 2 after a fifth of the steps, before which nothing has to decide."""
        progress = (step / self.steps - WARMUP_SHARE) / (1 - WARMUP_SHARE)
        return FIRST_BETA + (LAST_BETA - FIRST_BETA) * progress if progress >= 0 else 0.0


class BlockError(NamedTuple):
    """Mean squared error of a block's output against the float block's, before and after it was tuned."""

    before: float
    after: float


def reconstruct(
    quantized: nn.Module,
    network: nn.Module,
    blocks: Sequence[str],
    inputs: Iterable[Any],
    config: ReconstructionConfig | None = None,
    run: Run = call,
) -> dict[str, BlockError]:
    """Tune the named modules of a calibrated network, in place and in this order, towards those of the float network.

    A block reads what the quantised network before it gives, the tuned blocks included (ours: so errors do not add
    up), and learns what the float block gives for the same item. Its arguments and its output are tensors, and it runs
    once in a pass. Tuning that made the error larger is undone. Its parameters have gradients on until `freeze`.
    """
    config = config or ReconstructionConfig()
    _check(quantized, network, blocks)
    inputs = list(inputs) if iter(inputs) is inputs else inputs
    reference = fold_batchnorm(network)
    errors = {}
    for name in blocks:
        targets = [output for _, output in _record(reference, name, inputs, run)]
        arguments = [given for given, _ in _record(quantized, name, inputs, run)]
        errors[name] = _tune(quantized.get_submodule(name), arguments, targets, config)
    return errors


def _check(quantized: nn.Module, network: nn.Module, blocks: Sequence[str]) -> None:
    there = [{name for name, _ in module.named_modules()} for module in (quantized, network)]
    unknown = [name for name in blocks if not all(name in names for names in there)]
    if unknown:
        raise ValueError(f"no module is called {' or '.join(unknown)} in both networks")
    for name in blocks:
        twins = quantized_layers(quantized.get_submodule(name))
        if not twins:
            raise ValueError(f"{name} holds no quantised layer, so there is nothing to tune")
        if any(twin.frozen for twin in twins.values()):
            raise ValueError(f"{name} is frozen: reconstruct comes between calibrate and freeze")


class _Recorded(Exception):  # noqa: N818  it is no error: it ends a pass that has nothing more to show
    pass


@torch.no_grad()
def _record(network: nn.Module, name: str, inputs: Iterable[Any], run: Run) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    """Arguments and output of a module, for every item. Whether it runs once is seen at the first item; of the others
    no more is computed than is wanted."""
    calls: list[tuple[tuple[Tensor, ...], Tensor]] = []
    num_items = 0

    def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if not all(isinstance(value, Tensor) for value in (*args, output)):
            raise TypeError(f"{name} takes or gives something other than tensors: choose modules inside or around it")
        calls.append((tuple(value.clone() for value in args), output.clone()))
        if num_items:
            raise _Recorded

    handle = network.get_submodule(name).register_forward_hook(hook)
    try:
        for item in inputs:
            start_pass(network)
            with suppress(_Recorded):
                run(network, item)
            num_items += 1
    finally:
        handle.remove()
    if not num_items or len(calls) != num_items:
        raise ValueError(f"{name} ran {len(calls)} times for {num_items} inputs, expected once for each, and some")
    return calls


def _tune(
    block: nn.Module, arguments: list[tuple[Tensor, ...]], targets: list[Tensor], config: ReconstructionConfig
) -> BlockError:
    parameters = list(block.requires_grad_().parameters())
    before_tuning = [parameter.detach().clone() for parameter in parameters]
    grids = [(quantizer, quantizer.grids) for quantizer in activation_quantizers(block)]
    before = _mean_squared_error(block, arguments, targets)
    if config.rounding == "learned" or config.scale_rate or config.drop:
        attach(block, config.rounding == "learned", config.drop, torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(_parameter_groups(block, parameters, config))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for step in range(config.steps):
        start_pass(block)
        error = (block(*arguments[step % len(arguments)]) - targets[step % len(targets)]).square().mean()
        loss = error + before * config.rounding_weight * _indecision(block, config.beta(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    settle(block)
    after = _mean_squared_error(block, arguments, targets)
    if not after < before:
        _undo(parameters, before_tuning, grids)
        after = before
    return BlockError(before, after)


def _parameter_groups(
    block: nn.Module, parameters: list[nn.Parameter], config: ReconstructionConfig
) -> list[dict[str, Any]]:
    """The parameters, those that decide the rounding, and the scales, each with their learning rate."""
    rounding = [module.share_logits for module in block.modules() if isinstance(module, LearnedRounding)]
    scales = [module.log_factor for module in block.modules() if isinstance(module, LearnedGrid)]
    groups = (
        (parameters, config.learning_rate),
        (rounding, config.rounding_rate),
        (scales, config.scale_rate),
    )
    return [{"params": params, "lr": rate} for params, rate in groups if params]


def _indecision(block: nn.Module, beta: float) -> Tensor | float:
    """Summed over the layers whose rounding is learned; 0 before any has to decide."""
    learned = [module for module in block.modules() if isinstance(module, LearnedRounding)]
    return torch.stack([module.indecision(beta) for module in learned]).sum() if learned and beta else 0.0


@torch.no_grad()
def _undo(
    parameters: list[nn.Parameter],
    before: list[Tensor],
    grids: list[tuple[ActivationQuantizer, list[tuple[float, int]]]],
) -> None:
    for parameter, values in zip(parameters, before, strict=True):
        parameter.copy_(values)
    for quantizer, calibrated in grids:
        quantizer.grids = calibrated


@torch.no_grad()
def _mean_squared_error(block: nn.Module, arguments: list[tuple[Tensor, ...]], targets: list[Tensor]) -> float:
    total = 0.0
    for given, target in zip(arguments, targets, strict=True):
        start_pass(block)
        total += (block(*given) - target).square().mean().item()
    return total / len(targets)
