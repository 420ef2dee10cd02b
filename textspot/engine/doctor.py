"""The training doctor: what each head does to the shared layers, and words for a run that does not learn to read."""

from collections.abc import Mapping
from copy import copy, deepcopy

import torch
from torch import Tensor

from textspot.batch import Batch
from textspot.losses import RECOGNIZER_TERM, SpottingLoss
from textspot.models.spotting_network import SpottingNetwork

HEADS = ("det", "rec")
TRUNK = ("backbone", "neck")

PLATEAU_WORDS = 100_000  # a recogniser that learns from scratch leaves the plateau of blanks after 40,000 to 60,000
ALL_BLANK = 0.98  # of the time steps; a recogniser that reads has blanks at some 0.8 of them
MOST_INFEASIBLE = 0.01
DWARFED = 30.0


def measure_gradients(network: SpottingNetwork, loss: SpottingLoss, batch: Batch, precision: str) -> dict[str, float]:
    """The norm of each head's gradient on the shared layers, and the cosine of the two, for one batch.

    A head that is off, shares no layers or has nothing to learn from in this batch has no entry. Measured on a copy of
    the network and in this process alone: training does not notice.
    """
    network = deepcopy(network)
    shared = [parameter for part in TRUNK for parameter in getattr(network, part).parameters()]
    with torch.autocast(batch.image.device.type, torch.bfloat16, enabled=precision == "bf16"):
        output = network(batch.image, batch.ribbons, batch.region_slot)
    pulls: dict[str, Tensor] = {}
    for head in HEADS:
        total, _ = _only(loss, head)(output, batch)
        pull = torch.cat([g.flatten() for g in torch.autograd.grad(total, shared, retain_graph=True)])
        if pull.any():
            pulls[head] = pull
    values = {f"doctor/{head}_gradient": float(pull.norm()) for head, pull in pulls.items()}
    if len(pulls) == len(HEADS):
        values["doctor/cosine"] = float(torch.cosine_similarity(pulls["det"], pulls["rec"], dim=0))
    return values


def _only(loss: SpottingLoss, head: str) -> SpottingLoss:
    """The loss of one head alone, of this process's own batch."""
    part = copy(loss)
    part.weights = {
        name: weight if (name == RECOGNIZER_TERM) == (head == "rec") else 0.0 for name, weight in loss.weights.items()
    }
    part.reduce = lambda denominators: denominators
    return part


def read_lengths(text_logits: Tensor) -> Tensor:
    """How many characters best-path decoding (see `text.ctc`) reads in logits (R, T, C): (R,)."""
    best_RT = text_logits.argmax(dim=2)
    starts_RT = torch.ones_like(best_RT, dtype=torch.bool)
    starts_RT[:, 1:] = best_RT[:, 1:] != best_RT[:, :-1]
    return (starts_RT & (best_RT > 0)).sum(dim=1)


def diagnose(values: Mapping[str, float], words: int) -> list[str]:
    """What is wrong, in words, with a run whose line of the log holds these values, after it was shown so many words;
    nothing if it is well, or does not learn to read."""
    if "rec/ctc" not in values:
        return []
    if not values["rec/regions"]:
        dropped = ", ".join(
            f"{name.removeprefix('dropped/')}: {n:.0f}" for name, n in values.items() if "dropped/" in name
        )
        return [
            "no word to read since the last line of the log, so the recogniser learns nothing. Words that were "
            f"dropped: {dropped or 'none'}. Do the annotations hold transcripts, and words higher than "
            "data.min_text_height?"
        ]
    found = []
    if values["rec/infeasible"] > MOST_INFEASIBLE:
        found.append(
            f"{values['rec/infeasible']:.1%} of the words are too long for the time steps and train the detector only: "
            "double the width of model.roi"
        )
    if words > PLATEAU_WORDS and values["rec/blank_rate"] > ALL_BLANK:
        found.append(
            f"after {words} words the recogniser still answers with blanks: {values['rec/blank_rate']:.1%} of the time "
            f"steps, CTC {values['rec/ctc']:.2f} per character. Do the pictures of regions in TensorBoard show the "
            "words? Show it more words a step (a source with draw.renderer.layout: sheet, a larger train.batch_size), "
            "and ask textspot doctor whether the recipe can learn to read a single batch"
        )
    return found + _compare_heads(values)


def _compare_heads(values: Mapping[str, float]) -> list[str]:
    if "doctor/cosine" not in values:
        return []
    pulls = {"detector": values["doctor/det_gradient"], "recogniser": values["doctor/rec_gradient"]}
    weak, strong = sorted(pulls, key=lambda head: pulls[head])
    ratio = pulls[strong] / pulls[weak]
    if ratio < DWARFED:
        return []
    remedy = "raise" if weak == "recogniser" else "lower"
    return [
        f"the {strong} pulls the shared layers {ratio:.0f} times as hard as the {weak}, which hardly shapes them: "
        f"{remedy} loss.{RECOGNIZER_TERM}"
    ]
