"""The recogniser's term, and the loss that weighs it and those of the detector. Legend: R regions, T time, C classes.

A term is a sum and its denominator, so that several processes can divide by the denominator of all of them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from textspot.batch import Batch

LEAST_DENOMINATOR = 1.0  # one cell, one character: the background of a batch without text is not divided by nothing


RECOGNIZER_TERM = "rec/ctc"


def ctc_loss(logits: Tensor, tokens: Tensor, token_lengths: Tensor) -> tuple[Tensor, Tensor]:
    """CTC of logits (R, T, C) against tokens (R, L), in float32. Denominator: the number of characters.

    Without regions the term is `0 * logits.sum()`: `F.ctc_loss` raises on an empty batch, and every parameter must
    take part. Words too long for their annotated region never reach it: `data.dataset` drops and counts them. In a
    predicted region, which may be shorter, such a word stays; its loss is large and finite.
    """
    if logits.shape[0] == 0:
        return 0 * logits.sum(), token_lengths.sum()
    log_probs_TRC = logits.float().log_softmax(dim=2).transpose(0, 1)
    steps = torch.full_like(token_lengths, logits.shape[1])
    return F.ctc_loss(log_probs_TRC, tokens, steps, token_lengths, blank=0, reduction="sum"), token_lengths.sum()


Terms = dict[str, tuple[Tensor, Tensor]]


class SpottingLoss:
    """The named terms and their weighted sum.

    Args:
        weights: weight of every term by its name; one whose weight is 0 trains nothing and is absent from the log.
        network_terms: makes the terms of the network's detector and refinement from its output and the batch.
        reduce: makes of a denominator the mean of it over all processes (the identity for one process). Gradients are
            averaged over processes afterwards, so the terms come out as sums over all images divided by the
            denominators of all images.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        network_terms: Callable[[Any, Batch], Terms],
        reduce: Callable[[Tensor], Tensor],
    ):
        self.weights, self.network_terms, self.reduce = weights, network_terms, reduce

    def __call__(self, output: Any, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Of the network's training output the total, and the value of every term that is on.

        Terms other than those that have a weight are a ValueError.
        """
        terms = {
            **self.network_terms(output, batch),
            RECOGNIZER_TERM: ctc_loss(output.text_logits, batch.tokens, batch.token_lengths),
        }
        if terms.keys() != self.weights.keys():
            raise ValueError(f"the loss has the terms {', '.join(terms)}, and weights for {', '.join(self.weights)}")
        denominators = self.reduce(torch.stack([count.float() for _, count in terms.values()]))
        denominators = denominators.clamp(min=LEAST_DENOMINATOR)
        values = {name: value / count for (name, (value, _)), count in zip(terms.items(), denominators, strict=True)}
        total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items() if self.weights[name]}
