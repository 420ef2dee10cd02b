"""CTC prefix beam search in many regions at once (Hannun et al. 2014, arXiv 1408.2873).

A prefix is worth the probability of all alignments that spell it, times what an automaton says of its characters: a
language how likely they are, a list of words which may follow.

A time step without a probable character takes no turn of the loop: its blank multiplies all prefixes of a region alike,
and parts equal characters. The prefixes of all regions stand in one array, and equal ones are found by their hash.

Legend: R regions, T time, C classes, K characters that are looked at, V turns, N prefixes, M the same before equal ones
are joined, S states, L columns of the automaton's tables.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

HASH_BASE = -7046029254386353131  # odd: 2**64 over the golden ratio, as a signed number
HASH_SEED = 7640891576956012809  # odd: 2**64 times the fraction of the root of 2; begins the hashes of a region
LEAST = 1e-300  # share of the best prefix below which one is worth nothing
FIRST = np.zeros(1, np.int64)


class Turns(NamedTuple):
    """What the regions say, without the time steps that hold a blank alone.

    Args:
        log_blanks: logarithm of the product of the blanks of the steps that were left out.
        blanks: probability of the blank in each turn; 1 after a region's last one.
        joined: 0 where a step that was left out comes before the turn, else 1.
        counts: number of characters that are looked at.
        firsts: place of the first of them in the arrays that follow.
        classes: their classes, turn by turn and in each region by region.
        likely: their probabilities.
        least: the probability from which on a character of that step is looked at.
    """

    log_blanks: np.ndarray
    blanks: np.ndarray
    joined: np.ndarray
    counts: np.ndarray
    firsts: np.ndarray
    classes: np.ndarray
    likely: np.ndarray
    least: np.ndarray


def take_turns(probability_RTC: np.ndarray, cutoff: float) -> Turns:
    """The turns of probabilities (R, T, C), T at least 1. Looked at are characters of at least the cutoff, or of half
    the best class of their step if that is less."""
    num_regions, num_steps = probability_RTC.shape[:2]
    least_RT = np.minimum(cutoff, probability_RTC.max(axis=2) / 2)
    looked_at_RTC = probability_RTC >= least_RT[:, :, None]
    looked_at_RTC[:, :, 0] = False
    region_K, step_K, class_K = looked_at_RTC.nonzero()
    count_RT = np.bincount(region_K * num_steps + step_K, minlength=least_RT.size).reshape(least_RT.shape)
    is_turn_RT = count_RT > 0
    turn_RT = is_turn_RT.cumsum(axis=1) - 1
    order_K = turn_RT[region_K, step_K].argsort(kind="stable")
    looked_at = region_K[order_K], step_K[order_K], class_K[order_K]
    blank_RT = probability_RTC[:, :, 0].astype(np.float64)
    joined_RT = np.roll(is_turn_RT, 1, axis=1)
    joined_RT[:, 0] = True

    place = turn_RT[is_turn_RT], is_turn_RT.nonzero()[0]
    shape = int(turn_RT.max(initial=-1)) + 1, num_regions
    blank_VR, joined_VR, count_VR = np.ones(shape), np.ones(shape, np.int64), np.zeros(shape, np.int64)
    for table_VR, of_steps_RT in ((blank_VR, blank_RT), (joined_VR, joined_RT), (count_VR, count_RT)):
        table_VR[place] = of_steps_RT[is_turn_RT]
    return Turns(
        np.log(np.where(is_turn_RT, 1.0, blank_RT)).sum(axis=1),
        blank_VR,
        joined_VR,
        count_VR,
        (count_VR.cumsum() - count_VR.ravel()).reshape(shape),
        looked_at[2],
        probability_RTC[looked_at].astype(np.float64),
        least_RT[looked_at[:2]],
    )


@dataclass(frozen=True, eq=False)
class Automaton:
    """What is said of the characters.

    Args:
        columns: column of each class in the tables.
        factors: what the worth of a prefix is multiplied by when it takes a character in a state; 0 forbids it.
        next_states: state after that.
        start: state before the first character.
    """

    columns: np.ndarray
    factors: np.ndarray
    next_states: np.ndarray
    start: int


class Beams(NamedTuple):
    """What a search found: of each prefix (N,) its region, the logarithm of what it is worth, its last class (0 if it
    is empty) and the state after it; and its classes (N, V), with 0 for each turn that brought none."""

    regions: np.ndarray
    log_worth: np.ndarray
    last: np.ndarray
    states: np.ndarray
    classes: np.ndarray


class Prefixes(NamedTuple):
    """Prefixes of all regions after a turn.

    Args:
        regions: the region of each.
        hashes: a number for its region and its characters.
        last: its last class; 0 if it has none.
        states: state of the automaton after it.
        in_blank: what it is worth in alignments that end in a blank.
        in_class: what it is worth in the others.
        parents: place of the prefix that it was before the turn.
        added: class that the turn brought; 0 if none.
    """

    regions: np.ndarray
    hashes: np.ndarray
    last: np.ndarray
    states: np.ndarray
    in_blank: np.ndarray
    in_class: np.ndarray
    parents: np.ndarray
    added: np.ndarray


def search(turns: Turns, automaton: Automaton, width: int, cutoff: float) -> Beams:
    """Of each region, region by region, the `width` prefixes that are worth most at each turn, best first, without
    those that are worth less than `cutoff` of the best one, or grow to less of the best one before."""
    num_turns, num_regions = turns.counts.shape
    region_R, zeros_R = np.arange(num_regions), np.zeros(num_regions, np.int64)
    prefixes = Prefixes(
        region_R,
        (region_R + 1) * HASH_SEED,
        zeros_R,
        zeros_R + automaton.start,
        np.ones(num_regions),
        np.zeros(num_regions),
        region_R,
        zeros_R,
    )
    best_VR = np.full((num_turns, num_regions), LEAST)
    history = []
    for turn in range(num_turns):
        prefixes = _settle(_grow(prefixes, turns, turn, automaton), best_VR[turn], width, cutoff)
        history.append((prefixes.parents, prefixes.added))
    log_best_R = turns.log_blanks + np.log(best_VR).sum(axis=0)
    log_worth_N = np.log(prefixes.in_blank + prefixes.in_class) + log_best_R[prefixes.regions]
    classes_NV = _trace(history, len(log_worth_N))
    return Beams(prefixes.regions, log_worth_N, prefixes.last, prefixes.states, classes_NV)


def _grow(prefixes: Prefixes, turns: Turns, turn: int, automaton: Automaton) -> Prefixes:
    """What the prefixes may become: first themselves, then each longer by a character that is looked at."""
    region_N, hash_N, last_N, state_N, in_blank_N, in_class_N, _, _ = prefixes
    old_N = np.arange(len(region_N))
    count_N = turns.counts[turn].take(region_N)
    from_K = old_N.repeat(count_N)
    place_K = np.arange(len(from_K)) + (turns.firsts[turn].take(region_N) - count_N.cumsum() + count_N).take(from_K)
    likely_K, class_K = turns.likely.take(place_K), turns.classes.take(place_K)

    worth_N = in_blank_N + in_class_N
    grows_K = worth_N.take(from_K) * likely_K
    joined_N = last_N * turns.joined[turn].take(region_N)
    same_K = (class_K == joined_N.take(from_K)).nonzero()[0]
    in_class_K = in_class_N.take(from_K.take(same_K)) * likely_K.take(same_K)
    grows_K[same_K] -= in_class_K  # they are the prefix itself: one class twice wants a blank between
    going_on_N = np.zeros(len(old_N))
    going_on_N[from_K.take(same_K)] = in_class_K

    cell_K = state_N.take(from_K) * automaton.factors.shape[1] + automaton.columns.take(class_K)
    grows_K *= automaton.factors.take(cell_K)
    grown = (grows_K >= turns.least.take(place_K)).nonzero()[0]
    from_K, class_K = from_K.take(grown), class_K.take(grown)
    return Prefixes(
        np.concatenate([region_N, region_N.take(from_K)]),
        np.concatenate([hash_N, hash_N.take(from_K) * HASH_BASE + class_K]),
        np.concatenate([last_N, class_K]),
        np.concatenate([state_N, automaton.next_states.take(cell_K.take(grown))]),
        np.concatenate([worth_N * turns.blanks[turn].take(region_N), np.zeros(len(grown))]),
        np.concatenate([going_on_N, grows_K.take(grown)]),
        np.concatenate([old_N, from_K]),
        np.concatenate([np.zeros_like(old_N), class_K]),
    )


def _settle(grown: Prefixes, best_R: np.ndarray, width: int, cutoff: float) -> Prefixes:
    """Each prefix once, and of them those that are kept, region by region, best first, with what they are worth as a
    share of the best; what the best one is worth is written to `best_R`."""
    one_N, in_class_N = _join_equal(grown)
    region_N = grown.regions.take(one_N)
    worth_N = in_class_N + grown.in_blank.take(one_N)
    np.maximum.at(best_R, region_N, worth_N)
    worth_N /= best_R.take(region_N)
    kept_N = (worth_N >= max(cutoff, LEAST)).nonzero()[0]
    kept_N = kept_N.take((region_N.take(kept_N) - worth_N.take(kept_N) / 2).argsort())
    region_N = region_N.take(kept_N)
    kept_N = kept_N[np.arange(len(kept_N)) - region_N.searchsorted(region_N) < width]
    one_N = one_N.take(kept_N)
    settled = Prefixes(*[field.take(one_N) for field in grown])
    best_N = best_R.take(settled.regions)
    return settled._replace(in_blank=settled.in_blank / best_N, in_class=in_class_N.take(kept_N) / best_N)


def _join_equal(grown: Prefixes) -> tuple[np.ndarray, np.ndarray]:
    """The place (N,) of one of those that are equal, and what all of them are worth in alignments that do not end in a
    blank: a prefix that grew into an old one adds to that."""
    order_M = grown.hashes.argsort()
    hash_M = grown.hashes.take(order_M)
    first_N = np.concatenate([FIRST, (hash_M[1:] != hash_M[:-1]).nonzero()[0] + 1])
    one_N = np.minimum.reduceat(order_M, first_N)  # the old one, if it is among them
    return one_N, np.add.reduceat(grown.in_class.take(order_M), first_N)


def _trace(history: list[tuple[np.ndarray, np.ndarray]], num_prefixes: int) -> np.ndarray:
    """The classes (N, V) of the prefixes, from where each was before a turn and what the turn brought."""
    classes_NV = np.zeros((num_prefixes, len(history)), np.int64)
    place_N = np.arange(num_prefixes)
    for turn in reversed(range(len(history))):
        from_N, added_N = history[turn]
        classes_NV[:, turn] = added_N.take(place_N)
        place_N = from_N.take(place_N)
    return classes_NV
