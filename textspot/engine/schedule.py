"""Learning rate and parameter groups."""

from collections.abc import Sequence

from torch import nn

from textspot.recipe import TrainConfig
from textspot.schedule import warm_up_then_cosine


def learning_rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate of update number `step` (from 0): linear warm-up, then a cosine down to its final share."""
    share = warm_up_then_cosine(step, config.steps, config.warmup_steps, config.final_learning_rate)
    return config.learning_rate * share


def parameter_groups(
    network: nn.Module, weight_decay: float, backbones: Sequence[nn.Module] = (), backbone_share: float = 1.0
) -> list[dict]:
    """AdamW's groups: matrices and kernels decay, biases and normalisation do not; the `share` of a group is what it
    takes of the learning rate, 1 for all but those parts of the network that are its backbones."""
    in_backbones = {id(p) for part in backbones for p in part.parameters()}
    parameters = [(id(p) in in_backbones, p) for p in network.parameters() if p.requires_grad]
    return [
        {
            "params": [p for in_backbone, p in parameters if in_backbone == backbone and (p.ndim > 1) == decays],
            "weight_decay": weight_decay if decays else 0.0,
            "share": backbone_share if backbone else 1.0,
        }
        for backbone in (False, True)
        for decays in (True, False)
    ]
