"""Mixed precision: the cheapest choice of a precision per layer that costs the whole network no more than allowed."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from textspot.quant.layers import activation_quantizers, quantized_layers

Score = Callable[[nn.Module], float]


@dataclass(frozen=True)
class MixedPrecision:
    """What a search found.

    `choice` is a candidate's number per layer; `score` that of the network composed so, `reference` that of the float
    one, both higher when better; `num_scored` says how often the scoring ran.
    """

    choice: dict[str, int]
    score: float
    reference: float
    num_scored: int

    @property
    def drop(self) -> float:
        """What the choice costs."""
        return self.reference - self.score


def compose(candidates: Sequence[nn.Module], choice: dict[str, int]) -> nn.Module:
    """A copy of the first candidate whose named layers are taken from the candidates of the choice.

    The candidates are calibrated networks of one architecture, or the float one with its BatchNorms folded
    (`fold_batchnorm`).
    """
    network = copy.deepcopy(candidates[0])
    for name, number in choice.items():
        network.set_submodule(name, copy.deepcopy(candidates[number].get_submodule(name)))
    return network


def search(
    candidates: Sequence[nn.Module], network: nn.Module, order: Sequence[str], score: Score, max_drop: float
) -> MixedPrecision:
    """Raise as few layers as possible from one candidate to the next until the score drops by `max_drop` at most.

    `candidates` come cheapest first (say W4A8, W8A8, float); `order` names their layers, most sensitive first;
    `score` takes a network, say its end-to-end hmean on validation images. From each candidate to the next, the number
    of layers to raise is found by bisection, as if raising one more never hurt; then every raised layer is tried one
    step lower, the least sensitive first. Where even the last candidate drops by more, that is what is found.
    """
    choice = dict.fromkeys(order, 0)
    _check(candidates, choice)
    reference = score(network)
    searching = _Search(candidates, score, reference - max_drop)
    for number in range(1, len(candidates)):
        if searching.accepts(choice):
            break
        choice = _raise_layers(searching, choice, list(order), number)
    for name in reversed(order):
        lower = {**choice, name: choice[name] - 1}
        if choice[name] and searching.accepts(lower):
            choice = lower
    return MixedPrecision(choice, searching.score(choice), reference, len(searching.scores) + 1)


def _check(candidates: Sequence[nn.Module], choice: dict[str, int]) -> None:
    layers = set(quantized_layers(candidates[0])) if candidates else set()
    if not layers or layers != choice.keys():
        raise ValueError(
            f"the order names {', '.join(choice) or 'no layer'}, expected each quantised layer of the first candidate: "
            f"{', '.join(sorted(layers)) or 'it has none'}"
        )


def _raise_layers(searching: "_Search", choice: dict[str, int], order: list[str], number: int) -> dict[str, int]:
    """The fewest of the most sensitive layers raised to a candidate that suffice, or all of them."""

    def raised(count: int) -> dict[str, int]:
        return {**choice, **dict.fromkeys(order[:count], number)}

    too_few, enough = 0, len(order)
    if not searching.accepts(raised(enough)):
        return raised(enough)
    while enough - too_few > 1:
        count = (too_few + enough) // 2
        if searching.accepts(raised(count)):
            enough = count
        else:
            too_few = count
    return raised(enough)


class _Search:
    """Scores each network once; layers that two candidates share, as those with few weights, make no other network."""

    def __init__(self, candidates: Sequence[nn.Module], score: Score, floor: float):
        self.candidates, self._score, self.floor = candidates, score, floor
        self.scores: dict[tuple[int, ...], float] = {}
        self._first_alike = {name: _first_alike(candidates, name) for name in quantized_layers(candidates[0])}

    def score(self, choice: dict[str, int]) -> float:
        key = tuple(self._first_alike[name][number] for name, number in choice.items())
        if key not in self.scores:
            self.scores[key] = self._score(compose(self.candidates, choice))
        return self.scores[key]

    def accepts(self, choice: dict[str, int]) -> bool:
        return self.score(choice) >= self.floor


def _first_alike(candidates: Sequence[nn.Module], name: str) -> list[int]:
    """For each candidate the number of the first whose layer of that name computes the same."""
    layers = [candidate.get_submodule(name) for candidate in candidates]
    return [next(number for number, other in enumerate(layers) if _compute_the_same(layer, other)) for layer in layers]


def _compute_the_same(layer: nn.Module, other: nn.Module) -> bool:
    if _settings(layer) != _settings(other):
        return False
    state, its_state = layer.state_dict(), other.state_dict()
    return state.keys() == its_state.keys() and all(torch.equal(value, its_state[key]) for key, value in state.items())


def _settings(layer: nn.Module) -> list[Any]:
    """What a layer's state does not hold."""
    grids = [(quantizer.config, quantizer.grids) for quantizer in activation_quantizers(layer)]
    return [type(layer), getattr(layer, "config", None), grids]
