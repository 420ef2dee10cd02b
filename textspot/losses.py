"""The reader's term, and the loss that weighs it and those of the detector. Legend: R regions, T time, C classes.

A term is a sum and its denominator, so that several processes can divide by the denominator of all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textspot.batch import Batch, Targets

LEAST_DENOMINATOR = 1.0  # one cell, one character: the background of a batch without text is not divided by nothing


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms; a term whose weight is 0 does not train anything and is absent from the log.

    Args:
        score: weight of `det/score`.
        geometry: weight of `det/geometry`.
        ctc: weight of `rec/ctc`.
        refinement: weight of `det/refinement`, which only a network with a refinement has.
        proposals: weight of `rpn/score` and `rpn/geometry`, which only the detector `rfcn` has.
    """

    score: float = 1.0
    geometry: float = 1.0
    ctc: float = 1.0
    refinement: float = 4.0
    proposals: float = 1.0


def ctc_loss(logits: Tensor, tokens: Tensor, token_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """CTC of logits (R, T, C) against tokens (R, L), in float32. Denominator: the number of characters.

    Without regions the term is `0 * logits.sum()`: `F.ctc_loss` raises on an empty batch, and every parameter must
    take part. Infeasible targets never reach it: `data.dataset` drops and counts them.
    """
    if logits.shape[0] == 0:
        return 0 * logits.sum(), token_lengths.sum()
    log_probs_TRC = logits.float().log_softmax(dim=2).transpose(0, 1)
    steps = torch.full_like(token_lengths, logits.shape[1])
    return F.ctc_loss(log_probs_TRC, tokens, steps, token_lengths, blank=0, reduction="sum"), token_lengths.sum()


Terms = dict[str, tuple[Tensor, Tensor]]


class SpottingLoss:
    """The named terms and their weighted sum.

    `detection_terms` makes those of the network's detector from its maps and the batch's targets. `reduce` makes of a
    denominator the mean of it over all processes (the identity for one process): gradients are averaged over processes
    afterwards, so the terms come out as sums over all images divided by the denominators of all images.
    """

    def __init__(
        self,
        config: LossConfig,
        detection_terms: Callable[[Any, Targets], Terms],
        reduce: Callable[[Tensor], Tensor],
    ):
        self.weights = {
            "det/score": config.score,
            "det/geometry": config.geometry,
            "rpn/score": config.proposals,
            "rpn/geometry": config.proposals,
            "rec/ctc": config.ctc,
            "det/refinement": config.refinement,
        }
        self.detection_terms, self.reduce = detection_terms, reduce

    def __call__(
        self, maps: Any, text_logits: Tensor, batch: Batch, further: Terms | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, and the value of every term that is on; `further` terms are of what only some networks have."""
        terms = {
            **self.detection_terms(maps, batch.targets),
            "rec/ctc": ctc_loss(text_logits, batch.tokens, batch.token_lengths),
            **(further or {}),
        }
        denominators = self.reduce(torch.stack([count.float() for _, count in terms.values()]))
        denominators = denominators.clamp(min=LEAST_DENOMINATOR)
        values = {name: value / count for (name, (value, _)), count in zip(terms.items(), denominators, strict=True)}
        total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items() if self.weights[name]}
