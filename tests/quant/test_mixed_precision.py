"""The search finds cheap choices, keeps to the drop it is allowed, and says what it cost."""

import itertools

import pytest
import torch
from torch import nn
from toy_networks import build_toy, relative_error

from textspot.quant.calibration import calibrate
from textspot.quant.folding import fold_batchnorm
from textspot.quant.layers import quantized_layers
from textspot.quant.methods import build_method
from textspot.quant.mixed_precision import compose, search
from textspot.quant.network import QuantConfig, quantize
from textspot.quant.sensitivity import measure_layers

BITS = (2, 4, 8)


def build_candidates(name: str) -> tuple[list[nn.Module], nn.Module, list[torch.Tensor]]:
    network, inputs = build_toy(name)
    candidates = []
    for bits in BITS:
        quantized = quantize(network, QuantConfig(build_method("rtn", bits)))
        calibrate(quantized, inputs)
        candidates.append(quantized)
    return candidates, network, inputs


def bits_of(network: nn.Module) -> dict[str, int]:
    return {name: twin.config.weight.bits for name, twin in quantized_layers(network).items()}


def test_a_composition_takes_each_layer_from_its_candidate():
    candidates, network, inputs = build_candidates("linear")
    mixed = compose(candidates, {"0": 2, "3": 0, "5": 1})
    assert bits_of(mixed) == {"0": 8, "3": 2, "5": 4}
    assert torch.equal(compose(candidates, {"0": 2, "3": 2, "5": 2})(inputs[0]), candidates[2](inputs[0]))
    with_float = compose([candidates[2], fold_batchnorm(network)], {"3": 1})
    assert type(with_float[3]) is nn.Linear
    assert relative_error(with_float, network, inputs) < 0.05
    mixed[0].weight.data.zero_()
    assert candidates[2][0].weight.any()


@pytest.mark.parametrize("name", ["convolutions", "transformer", "linear"])
@pytest.mark.parametrize("max_drop", [0.02, 0.1, 0.3, 10.0])
def test_the_choice_keeps_to_the_drop_and_none_of_its_layers_can_go_lower(name, max_drop):
    candidates, network, inputs = build_candidates(name)
    candidates.append(fold_batchnorm(network))
    scored = []

    def score(candidate: nn.Module) -> float:
        scored.append(candidate)
        return 1 - relative_error(candidate, network, inputs)

    layers = sorted(measure_layers(candidates[0], network, inputs), key=lambda layer: -layer.relative_error)
    found = search(candidates, network, [layer.name for layer in layers], score, max_drop)
    assert found.reference == 1
    assert found.drop <= max_drop
    assert found.num_scored == len(scored)
    assert found.score == pytest.approx(score(compose(candidates, found.choice)))
    if max_drop == 10.0:
        assert set(found.choice.values()) == {0}
        assert found.num_scored == 2
    if max_drop == 0.02:
        assert max(found.choice.values()) >= 1


@pytest.mark.slow
def test_with_scores_that_add_up_it_finds_the_cheapest_choice():
    """Each layer costs something of its own at each precision: brute force over all choices finds nothing cheaper that
    lowers one layer of the result."""
    candidates, network, _ = build_candidates("transformer")
    cost = {"qkv": 4.0, "projection": 1.0, "up": 3.0, "down": 2.0}

    def score(candidate: nn.Module) -> float:
        twins = bits_of(candidate)
        return -sum(cost[name] * {2: 1.0, 4: 0.1, 8: 0.0}[bits] for name, bits in twins.items())

    order = sorted(cost, key=lambda name: -cost[name])
    for max_drop in (0.05, 0.5, 1.2, 3.2, 9.0, 10.0):
        found = search(candidates, network, order, score, max_drop)
        accepted = [
            dict(zip(order, choice, strict=True))
            for choice in itertools.product(range(3), repeat=4)
            if -score(compose(candidates, dict(zip(order, choice, strict=True)))) <= max_drop
        ]
        assert found.choice in accepted
        lower = [other for other in accepted if all(other[name] <= found.choice[name] for name in order)]
        assert lower == [found.choice] or max_drop == 0.05
        assert found.num_scored < 3**4 / 4


def test_what_two_candidates_share_is_not_scored_twice_and_not_raised():
    candidates, network, _ = build_candidates("transformer")
    for name in ("qkv", "up"):
        candidates[1].set_submodule(name, candidates[0].get_submodule(name))
    scored = []

    def score(candidate: nn.Module) -> float:
        twins = bits_of(candidate)
        scored.append(tuple(twins.values()))
        return -float(sum(bits == 2 for name, bits in twins.items() if name in ("projection", "down")))

    found = search(candidates, network, ["qkv", "projection", "up", "down"], score, 0.5)
    assert found.choice == {"qkv": 0, "projection": 1, "up": 0, "down": 1}
    assert len(set(scored)) == len(scored) == found.num_scored


def test_candidates_that_differ_in_activations_alone_are_different_networks():
    network, inputs = build_toy("linear")
    candidates = []
    for bits in (2, 8):
        quantized = quantize(network, QuantConfig(build_method("rtn", 8, bits)))
        calibrate(quantized, inputs)
        candidates.append(quantized)
    scores = []

    def score(candidate: nn.Module) -> float:
        scores.append(-relative_error(candidate, network, inputs) if candidate is not network else 0.0)
        return scores[-1]

    found = search(candidates, network, ["0", "3", "5"], score, max_drop=0.05)
    assert found.choice == {"0": 1, "3": 1, "5": 1}
    assert found.score == score(candidates[1])
    assert scores[1] < -0.1


def test_where_nothing_suffices_everything_is_raised():
    candidates, network, _ = build_candidates("linear")
    found = search(candidates, network, ["0", "3", "5"], lambda candidate: float(candidate is network), 0.5)
    assert found.choice == {"0": 2, "3": 2, "5": 2}
    assert (found.drop, found.reference) == (1, 1)


def test_an_order_that_leaves_layers_out():
    candidates, network, _ = build_candidates("linear")
    with pytest.raises(ValueError, match=r"the order names 0, expected each quantised layer .* 0, 3, 5"):
        search(candidates, network, ["0"], lambda _: 0.0, 0.1)
    with pytest.raises(ValueError, match=r"the order names no layer, expected .* it has none"):
        search([network], network, [], lambda _: 0.0, 0.1)
