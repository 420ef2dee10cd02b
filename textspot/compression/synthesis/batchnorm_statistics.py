"""How far a network's images are from the real ones it remembers: BatchNorm keeps their means and variances (Yin et al.
2020, "Dreaming to distill", section 3.2)."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

LEAST_VARIANCE = 0.01  # of a channel, as a share of its layer's mean: one that is nearly constant is not all there is


@contextmanager
def watch_statistics(network: nn.Module) -> Iterator[list[Tensor]]:
    """While it lasts, the list takes up, of every BatchNorm that runs, how far what it reads is from what it has kept:
    the mean over channels of the squared Wasserstein distance between the two normal distributions, in units of the
    kept variance."""
    found: list[Tensor] = []

    def hook(norm: Any, args: tuple[Tensor, ...]) -> None:
        variance, mean = torch.var_mean(args[0].float(), dim=(0, 2, 3), correction=0)
        kept = norm.running_var
        squared = (mean - norm.running_mean).square() + (
            (variance + norm.eps).sqrt() - (kept + norm.eps).sqrt()
        ).square()
        found.append((squared / (kept.clamp(min=LEAST_VARIANCE * kept.mean()) + norm.eps)).mean())

    handles = [
        module.register_forward_pre_hook(hook) for module in network.modules() if isinstance(module, nn.BatchNorm2d)
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
