"""CTC decoding that listens to a language model: of a beam search the prefix that is worth most.

What the language says of a letter multiplies the probability of the alignments. Digits and punctuation are left to the
recogniser: they count neither way, and a word begins after them.

Legend: R regions, T time, C classes, N prefixes, V turns of the search, S states, L letters and 1 for other characters.
"""

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from math import exp, inf

import numpy as np

from textspot.text.charset import Charset
from textspot.text.language import NOT_A_LETTER, LanguageModel
from textspot.text.search import Automaton, Beams, search, take_turns


@dataclass(frozen=True)
class BeamConfig:
    """How strongly the language is preferred, and how wide the search is.

    Args:
        weight: weight of the language model's log-probabilities of letters; the recogniser's have weight 1.
        surprise: surprisal per letter, in nats, that neither helps nor hurts. A letter that the language model finds
            less likely lowers the rank of the text, a more likely one raises it.
        word_bonus: bonus, in nats, for a word of the list.
        nonword: multiply the score by this if the text consists of letters and is not in the word list.
        width: number of prefixes that are kept at each time step.
        cutoff: minimum probability of a character at a time step. A less probable character is skipped, unless it is at
            least half as probable as the best one. The search also drops prefixes whose score is below this share of
            the best prefix's score.
    """

    weight: float = 0.25
    surprise: float = 2.4
    word_bonus: float = 1.0
    nonword: float = 0.93
    width: int = 8
    cutoff: float = 0.01

    def __post_init__(self) -> None:
        if min(self.weight, self.word_bonus) < 0 or not 0 <= self.nonword <= 1:
            raise ValueError(f"expected weight and word_bonus of at least 0, and nonword in [0, 1], found {self}")
        if self.width < 1 or not 0 <= self.cutoff < 1:
            raise ValueError(f"expected a width of at least 1 and a cutoff in [0, 1), found {self}")


MOST_NATS = 300.0  # that the language may give or take for one letter


def decode_beam(
    logits_RTC: np.ndarray, charset: Charset, language: LanguageModel, config: BeamConfig | None = None
) -> list[tuple[str, float]]:
    """Per region of logits (R, T, C), T at least 1, the text and its score: the T-th root of the probability of its
    alignments, of those that were looked at; less if it is no word."""
    if not len(logits_RTC):
        return []
    config = config or BeamConfig()
    opinion = _listen(language, charset.characters, config.weight, config.surprise)
    beams = search(take_turns(softmax(logits_RTC), config.cutoff), opinion.automaton, config.width, config.cutoff)
    judged_N = beams.log_worth + opinion.judge_ends(beams)
    order_N = np.lexsort((-judged_N, beams.regions))
    first = beams.regions.searchsorted(np.arange(len(logits_RTC) + 1)).tolist()
    decoded = []
    for start, end in pairwise(first):
        place, text, is_word = _choose(order_N[start:end].tolist(), judged_N, beams, charset, language, config)
        nats, num_letters = opinion.judge_letters(beams.classes[place])
        score = exp(min(0.0, beams.log_worth.item(place) - nats) / logits_RTC.shape[1])
        decoded.append((text, score if is_word or num_letters < 2 else config.nonword * score))
    return decoded


def _choose(
    places: list[int], judged_N: np.ndarray, beams: Beams, charset: Charset, language: LanguageModel, config: BeamConfig
) -> tuple[int, str, bool]:
    """Of the prefixes of a region, best first, the one that is best where a word has its bonus: its place, its text,
    and whether it is a word."""
    best = -inf
    for place in places:
        if best >= judged_N.item(place) + config.word_bonus:
            break  # nor can those that follow be better
        text = charset.decode(filter(None, beams.classes[place].tolist()))
        is_word = language.holds(text)
        judged = judged_N.item(place) + config.word_bonus * is_word
        if judged > best:
            best, chosen = judged, (place, text, is_word)
    return chosen


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a language says of the characters of a recogniser.

    Args:
        automaton: for the search; the last column of its tables is for characters that are no letters.
        nats: what a letter is worth in each state; letter 0 is the end of a word.
    """

    automaton: Automaton
    nats: np.ndarray

    @property
    def no_letter(self) -> int:
        """The column of characters that are no letters, and of the blank."""
        return self.nats.shape[1] - 1

    def judge_ends(self, beams: Beams) -> np.ndarray:
        """What it is worth (N,) that each prefix ends: nothing after a character that is no letter."""
        ends_N = self.automaton.columns[beams.last] != self.no_letter
        return np.where(ends_N, self.nats[beams.states, 0], 0.0)

    def judge_letters(self, classes_V: np.ndarray) -> tuple[float, int]:
        """What the letters of a text are worth, and their number."""
        state, nats, num_letters = self.automaton.start, 0.0, 0
        for column in self.automaton.columns[classes_V[classes_V > 0]].tolist():
            nats += self.nats.item(state, column)
            num_letters += column != self.no_letter
            state = self.automaton.next_states.item(state, column)
        return nats, num_letters


@lru_cache(maxsize=4)
def _listen(language: LanguageModel, characters: str, weight: float, surprise: float) -> Opinion:
    """The opinion of a language on the characters of a charset."""
    no_letter = language.log_probabilities.shape[1]
    numbers = [language.letter_of(character) for character in characters]
    column_C = np.array([no_letter, *(no_letter if number == NOT_A_LETTER else number for number in numbers)])
    nats_SL = (weight * (language.log_probabilities + surprise)).clip(-MOST_NATS, MOST_NATS)
    nats_SL = np.pad(nats_SL, ((0, 0), (0, 1)))
    next_states_SL = np.pad(language.next_states, ((0, 0), (0, 1)), constant_values=language.start)
    return Opinion(Automaton(column_C, np.exp(nats_SL, dtype=np.float64), next_states_SL, language.start), nats_SL)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float32."""
    powers = np.exp((logits - logits.max(axis=-1, keepdims=True)).astype(np.float32, copy=False))
    powers /= powers.sum(axis=-1, keepdims=True)
    return powers
