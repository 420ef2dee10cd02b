"""Outlier channels of a language model: how large they are, and a term of the loss that provokes them.

A large model has a few channels that are far larger than the others in the input of every layer. A small one that was
trained for an hour has none. The term makes a few gains of each norm grow: the layers behind learn smaller weights for
these channels, so the network computes much the same from other numbers.
"""

from typing import Any

import torch
from torch import Tensor

from textspot.quant.matrix_form import InputStatistics

OUTLIER_SHARE = 0.01  # of the channels of a norm; at least one


def outlier_ratio(statistics: InputStatistics) -> float:
    """The mean |x| of a layer's largest input channel, in those of its median channel."""
    mean_C = statistics.absolute_mean
    return (mean_C.max() / mean_C.median().clamp(min=torch.finfo(mean_C.dtype).tiny)).item()


def norm_gains(network: Any) -> list[Tensor]:
    """The gains (C,) of the norms before attention and before the inner layer of every Llama block."""
    blocks = network.model.layers
    return [norm.weight for block in blocks for norm in (block.input_layernorm, block.post_attention_layernorm)]


def missing_outliers(gains: list[Tensor], ratio: float) -> Tensor:
    """How far the largest gains are from `ratio` times the median gain, in logarithms: the mean over the norms, 0 where
    they reach it."""
    missing = []
    for gain_C in gains:
        log_C = gain_C.abs().clamp(min=1e-6).log()
        largest = log_C.topk(max(1, round(OUTLIER_SHARE * len(log_C)))).values.mean()
        missing.append((torch.tensor(ratio).log() - (largest - log_C.median())).clamp(min=0))
    return torch.stack(missing).mean()
