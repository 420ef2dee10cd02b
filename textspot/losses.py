"""One function per term, and one loss that names and weighs them. Legend: B images, R regions, T time, C classes, h w
map.

Every function returns a sum and its denominator, so that several processes can divide by the denominator of all of
them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from textspot.batch import Batch

LEAST_DENOMINATOR = 1.0  # one cell, one character: the background of a batch without text is not divided by nothing


@dataclass(frozen=True)
class LossConfig:
    """Weights of the loss terms; a term whose weight is 0 does not train anything and is absent from the log.

    Args:
        score: weight of `det/score`.
        geometry: weight of `det/geometry`.
        ctc: weight of `rec/ctc`.
    """

    score: float = 1.0
    geometry: float = 1.0
    ctc: float = 1.0


def score_loss(logits: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Quality focal loss (Li et al. 2020, "Generalized Focal Loss", eq. 4, beta = 2) over the cells of the mask (B,
    h, w).

    Denominator: the sum of the target over those cells, in effect the area of the words' hills.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    distance = (logits.sigmoid() - target).square()
    return (cross_entropy * distance * mask).sum(), (target * mask).sum()


def geometry_loss(geometry: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance of the control points, weighted: geometry (B, 16, h, w), weight (B, h, w). Denominator: the sum of
    weights."""
    return ((geometry - target).abs().mean(dim=1) * weight).sum(), weight.sum()


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


class SpottingLoss:
    """The named terms and their weighted sum.

    `reduce` makes of a denominator the mean of it over all processes (the identity for one process): gradients are
    averaged over processes afterwards, so the terms come out as sums over all images divided by the denominators of
    all images.
    """

    def __init__(self, config: LossConfig, reduce: Callable[[Tensor], Tensor]):
        self.weights = {"det/score": config.score, "det/geometry": config.geometry, "rec/ctc": config.ctc}
        self.reduce = reduce

    def __call__(
        self, score_logits: Tensor, geometry: Tensor, text_logits: Tensor, batch: Batch
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The total, and the value of every term that is on."""
        terms = {
            "det/score": score_loss(score_logits, batch.score, batch.mask),
            "det/geometry": geometry_loss(geometry, batch.geometry, batch.geometry_weight),
            "rec/ctc": ctc_loss(text_logits, batch.tokens, batch.token_lengths),
        }
        denominators = self.reduce(torch.stack([count.float() for _, count in terms.values()]))
        denominators = denominators.clamp(min=LEAST_DENOMINATOR)
        values = {name: value / count for (name, (value, _)), count in zip(terms.items(), denominators, strict=True)}
        total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items() if self.weights[name]}
