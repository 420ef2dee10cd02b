"""Learning rate and parameter groups."""

import math

from torch import nn

from textspot.recipe import TrainConfig


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of update number `step` (from 0): linear warm-up, then a cosine down to its final share."""
    if step < config.warmup_steps:
        return config.learning_rate * (step + 1) / config.warmup_steps
    progress = (step - config.warmup_steps) / max(1, config.steps - config.warmup_steps)
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * (config.final_learning_rate + (1 - config.final_learning_rate) * cosine)


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict]:
    """AdamW's groups: matrices and kernels decay, biases and normalisation do not."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
