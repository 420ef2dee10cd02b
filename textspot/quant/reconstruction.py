"""Block reconstruction: the weights of a quantised block, tuned so that its output is the float block's again.

The idea of BRECQ (Li et al. 2021) without its learned rounding: all parameters of the block (weights, biases, low-rank
factors, norms) move by Adam, the gradient passing straight through the rounding; the grids stay. Steps and learning
rate are those SARDFQ publishes (arXiv 2412.16553).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from textspot.quant.calibration import Run, call
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import quantized_layers, start_pass


@dataclass(frozen=True)
class ReconstructionConfig:
    """How a block is tuned.

    Args:
        steps: number of steps of Adam, each on the next of the inputs.
        learning_rate: learning rate at the start; it falls to 0 as a cosine.
    """

    steps: int = 100
    learning_rate: float = 4e-5

    def __post_init__(self) -> None:
        if self.steps < 1 or self.learning_rate <= 0:
            raise ValueError(
                f"reconstruction has {self.steps} steps at learning rate {self.learning_rate}, expected both above 0"
            )


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


@torch.no_grad()
def _record(network: nn.Module, name: str, inputs: Iterable[Any], run: Run) -> list[tuple[tuple[Tensor, ...], Tensor]]:
    """Arguments and output of a module, for every item."""
    calls: list[tuple[tuple[Tensor, ...], Tensor]] = []

    def hook(_: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if not all(isinstance(value, Tensor) for value in (*args, output)):
            raise TypeError(f"{name} takes or gives something other than tensors: choose modules inside or around it")
        calls.append((tuple(value.clone() for value in args), output.clone()))

    handle = network.get_submodule(name).register_forward_hook(hook)
    num_items = 0
    try:
        for item in inputs:
            start_pass(network)
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
    parameters = [parameter.requires_grad_() for parameter in block.parameters()]
    before_tuning = [parameter.detach().clone() for parameter in parameters]
    before = _mean_squared_error(block, arguments, targets)
    optimizer = torch.optim.Adam(parameters, config.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.steps)
    for step in range(config.steps):
        start_pass(block)
        loss = (block(*arguments[step % len(arguments)]) - targets[step % len(targets)]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    after = _mean_squared_error(block, arguments, targets)
    if not after < before:
        with torch.no_grad():
            for parameter, values in zip(parameters, before_tuning, strict=True):
                parameter.copy_(values)
        after = before
    return BlockError(before, after)


@torch.no_grad()
def _mean_squared_error(block: nn.Module, arguments: list[tuple[Tensor, ...]], targets: list[Tensor]) -> float:
    total = 0.0
    for given, target in zip(arguments, targets, strict=True):
        start_pass(block)
        total += (block(*given) - target).square().mean().item()
    return total / len(targets)
