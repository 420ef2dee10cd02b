"""The search over all regions against one over dictionaries, region by region and step by step."""

from collections import defaultdict

import numpy as np
import pytest

from textspot.text.beam import softmax
from textspot.text.search import Automaton, search, take_turns


def search_slowly(probability_TC: np.ndarray, automaton: Automaton, width: int, cutoff: float) -> dict[tuple, float]:
    """Of one region the prefixes, as tuples of classes, and what they are worth as a share of the best."""
    beam = {(): (1.0, 0.0)}  # what is worth a prefix in alignments that end in a blank, and in the others
    for probability_C in probability_TC.astype(np.float64):
        least = min(cutoff, probability_C.max() / 2)
        looked_at = [c for c in range(1, len(probability_C)) if probability_C[c] >= least]
        later = defaultdict(lambda: np.zeros(2))
        for prefix, (in_blank, in_class) in beam.items():
            last = prefix[-1] if prefix else 0
            later[prefix] += (
                (in_blank + in_class) * probability_C[0],
                in_class * probability_C[last] * (last in looked_at),
            )
            state = follow(automaton, prefix)
            for c in looked_at:
                grows = (in_blank if c == last else in_blank + in_class) * probability_C[c]
                grows *= automaton.factors[state, automaton.columns[c]]
                if grows >= least:
                    later[(*prefix, c)] += 0, grows
        best = max(map(sum, later.values()))
        ranked = sorted(later, key=lambda prefix: -sum(later[prefix]))[:width]
        beam = {prefix: later[prefix] / best for prefix in ranked if sum(later[prefix]) >= max(cutoff, 1e-300) * best}
    return {prefix: sum(worth) for prefix, worth in beam.items()}


def follow(automaton: Automaton, prefix: tuple) -> int:
    state = automaton.start
    for c in prefix:
        state = automaton.next_states[state, automaton.columns[c]]
    return state


@pytest.mark.parametrize(("width", "cutoff"), [(8, 0.01), (1, 0.0), (3, 0.1), (100, 0.001)])
@pytest.mark.parametrize("sharpness", [1, 3, 9])
def test_all_regions_at_once_are_each_by_itself(width, cutoff, sharpness):
    rng = np.random.default_rng(sharpness)
    logits = sharpness * rng.standard_normal((20, 12, 6)).astype(np.float32)
    logits[:, :, 0] += 2 * rng.integers(0, sharpness, (20, 12))  # runs of blanks
    probability = softmax(logits)
    columns = np.array([3, 0, 1, 2, 2, 3])
    automaton = Automaton(columns, rng.uniform(0.2, 3, (5, 4)), rng.integers(0, 5, (5, 4)), 2)
    beams = search(take_turns(probability, cutoff), automaton, width, cutoff)
    for region, probability_TC in enumerate(probability):
        expected = search_slowly(probability_TC, automaton, width, cutoff)
        of_region = beams.regions == region
        found = [tuple(classes[classes > 0].tolist()) for classes in beams.classes[of_region]]
        log_worth = beams.log_worth[of_region]
        assert dict(zip(found, np.exp(log_worth - log_worth.max()), strict=True)) == pytest.approx(expected, rel=1e-5)
        assert [follow(automaton, prefix) for prefix in found] == beams.states[of_region].tolist()
        assert [prefix[-1] if prefix else 0 for prefix in found] == beams.last[of_region].tolist()
        assert (np.diff(log_worth) <= 1e-9).all()  # best first


def test_regions_of_blanks_alone_have_the_empty_prefix():
    probability = np.array([[[0.999, 0.001]] * 4, [[0.5, 0.5]] * 4], np.float32)
    automaton = Automaton(np.zeros(2, int), np.ones((1, 1)), np.zeros((1, 1), int), 0)
    for regions in (probability[:1], probability):
        beams = search(take_turns(regions, 0.01), automaton, 8, 0.01)
        assert beams.classes[0].sum() == 0
        assert beams.log_worth[0] == pytest.approx(4 * np.log(0.999), rel=1e-4)
    assert len(search(take_turns(probability[:0], 0.01), automaton, 8, 0.01).regions) == 0


def test_an_automaton_that_allows_nothing_leaves_the_empty_prefix():
    probability = softmax(np.random.default_rng(0).standard_normal((3, 5, 4)).astype(np.float32))
    nothing = Automaton(np.zeros(4, int), np.zeros((1, 1), bool), np.zeros((1, 1), int), 0)
    beams = search(take_turns(probability, 0.01), nothing, 8, 0.01)
    assert beams.regions.tolist() == [0, 1, 2]
    np.testing.assert_allclose(beams.log_worth, np.log(probability[:, :, 0]).sum(axis=1), rtol=1e-5)
