"""How a learning rate rises and falls."""

import math


def warm_up_then_cosine(step: int, steps: int, warmup_steps: int, final: float = 0.0) -> float:
    """The share of the peak at update number `step` of `steps` (from 0): it rises linearly over `warmup_steps`, then
    falls as a cosine to `final`, where it stays."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    progress = (step - warmup_steps) / max(1, steps - warmup_steps)
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
