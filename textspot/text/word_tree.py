"""The spellings of a list of words as a tree of letters, and the search for the one that a region shows most probably.

A spelling has neither case nor punctuation: of a region the probabilities of `e` and `E` are added up, and so are those
of punctuation and the blank.

Legend: R regions, T time, C classes of the recogniser, S states of the tree, L its letters and the blank, N texts,
P places in the longest of them.
"""

import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from textspot.text.ctc import log_likelihoods
from textspot.text.search import Automaton, search, take_turns

MOST_LETTERS = 200  # of each the tables have a column; words with rarer ones are found only where they are read
WIDTH = 16  # prefixes of a region that are kept
CUTOFF = 0.001  # of a letter's probability, and of the worth of the best prefix
FINALISTS = 2  # words of a region of which all alignments are counted

_UNSPELLED = str.maketrans("", "", string.punctuation + string.whitespace)


def spell(text: str) -> str:
    """Upper case, without punctuation and blanks."""
    return text.translate(_UNSPELLED).upper()


@dataclass(frozen=True, eq=False)
class WordTree:
    """A tree of spellings; made by `grow_tree`.

    Args:
        letters: those that it knows; `letters[i]` is letter i + 1.
        automaton: allows the letters that lead to a word.
        spellings: the words, in order of the alphabet.
        places: for each state (S,) the place of the word that ends there, or -1.
    """

    letters: str
    automaton: Automaton
    spellings: tuple[str, ...]
    places: np.ndarray

    def find(
        self, probability_RTC: np.ndarray, characters: str, hints: Sequence[Iterable[str]]
    ) -> list[tuple[str, float] | None]:
        """For each region of probabilities (R, T, C), of a blank and the characters, the most probable spelling and the
        logarithm of the probability of its alignments; None if none is near. Hints are texts for each region that are
        near whatever the search finds, if they are in the list."""
        probability_RTL = probability_RTC @ _merge_classes(characters, self.letters)
        near = self._search(probability_RTL)
        for found, texts in zip(near, hints, strict=True):
            found += {spelling for spelling in map(spell, texts) if spelling in self._known}.difference(found)
        regions = [region for region, found in enumerate(near) for _ in found]
        spellings = [spelling for found in near for spelling in found]
        best: list[tuple[str, float] | None] = [None] * len(near)
        if spellings:
            likelihoods = log_likelihoods(probability_RTL[regions], self._encode(spellings)).tolist()
            for likelihood, spelling, region in sorted(zip(likelihoods, spellings, regions, strict=True)):
                best[region] = spelling, likelihood
        return best

    def _search(self, probability_RTL: np.ndarray) -> list[list[str]]:
        """For each region the best spellings, by the alignments that a beam looks at."""
        beams = search(take_turns(probability_RTL, CUTOFF), self.automaton, WIDTH, CUTOFF)
        near: list[list[str]] = [[] for _ in probability_RTL]
        for region, place in zip(beams.regions.tolist(), self.places[beams.states].tolist(), strict=True):
            if place >= 0 and len(near[region]) < FINALISTS:
                near[region].append(self.spellings[place])
        return near

    def _encode(self, texts: Sequence[str]) -> np.ndarray:
        """Letters (N, P) of spellings, and 0 after their ends."""
        return _to_array(texts, {letter: number for number, letter in enumerate(self.letters, start=1)})

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self.spellings)


def grow_tree(words: Iterable[str]) -> WordTree:
    """The tree of the spellings of words; those of punctuation alone have none."""
    spellings = sorted({spelling for word in words if (spelling := spell(word))})
    counts = Counter("".join(spellings))
    letters = "".join(sorted(letter for letter, _ in counts.most_common(MOST_LETTERS)))
    spellings = [spelling for spelling in spellings if set(letters).issuperset(spelling)]
    letters_NP = _to_array(spellings, {letter: number for number, letter in enumerate(letters, start=1)})
    base = len(letters) + 1
    edges: list[np.ndarray] = []
    state_N, num_states = np.zeros(len(spellings), np.int64), 1
    for letter_N in letters_NP.T:
        longer = letter_N.nonzero()[0]
        cells, edge_N = np.unique(state_N[longer] * base + letter_N[longer], return_inverse=True)
        state_N[longer] = num_states + edge_N
        num_states += len(cells)
        edges.append(cells)
    next_states = np.zeros((num_states, base), np.int32)
    next_states.ravel()[np.concatenate([np.empty(0, np.int64), *edges])] = np.arange(1, num_states)
    places = np.full(num_states, -1)
    places[state_N] = np.arange(len(spellings))
    automaton = Automaton(np.arange(base), next_states > 0, next_states, 0)
    return WordTree(letters, automaton, tuple(spellings), places)


def _to_array(texts: Sequence[str], numbers: Mapping[str, int]) -> np.ndarray:
    """Letters (N, P) of texts, and 0 after their ends."""
    letters_NP = np.zeros((len(texts), max(map(len, texts), default=0)), np.int64)
    for row, text in zip(letters_NP, texts, strict=True):
        row[: len(text)] = [numbers[letter] for letter in text]
    return letters_NP


@lru_cache(maxsize=256)
def _merge_classes(characters: str, letters: str) -> np.ndarray:
    """What to multiply probabilities of classes (..., C) by to have those of letters (..., L)."""
    number = {letter: index for index, letter in enumerate(letters, start=1)}
    merged_CL = np.zeros((len(characters) + 1, len(letters) + 1), np.float32)
    merged_CL[0, 0] = 1
    for token, character in enumerate(characters, start=1):
        spelled = spell(character)
        if not spelled:
            merged_CL[token, 0] = 1
        elif spelled in number:
            merged_CL[token, number[spelled]] = 1
    return merged_CL
