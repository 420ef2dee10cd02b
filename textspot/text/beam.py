"""CTC decoding that listens to a language model: prefix beam search.

A prefix is worth the probability of all alignments that spell it (Hannun et al. 2014, arXiv 1408.2873), times what the
language says of its letters. Digits and punctuation are left to the reader: they count neither way, and a word begins
after them.

Legend: R regions, T time, C classes, N probabilities that are looked at.
"""

from dataclasses import dataclass
from math import exp, log
from typing import NamedTuple

import numpy as np

from textspot.text.charset import Charset
from textspot.text.language import NOT_A_LETTER, LanguageModel


@dataclass(frozen=True)
class BeamConfig:
    """How far the language has a say, and how much is looked at.

    Args:
        weight: weight of a letter's log-probability in the language, beside 1 for the reader's.
        surprise: neutral surprisal per letter, in nats: a rarer letter costs, a more usual one helps.
        word_bonus: nats that a text gains which is a word of the list.
        nonword: factor of the score of a text of letters that is no word, which is more often misread.
        width: prefixes that are kept.
        cutoff: a class that is less probable than this, and than half the best one, is not looked at in its time step;
            nor a prefix that is worth less than this share of the best one, or grows to less of the best one before.
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


SMALL = 1e-100  # probabilities below this are scaled up, so that hundreds of steps do not make them 0
MOST_NATS = 300.0  # that the language may give or take


class Step(NamedTuple):
    """What a time step says: the probability of a blank, what is too improbable, and the characters that are not."""

    blank: float
    least: float
    characters: list[tuple[str, float]]


def decode_beam(
    logits_RTC: np.ndarray, charset: Charset, language: LanguageModel, config: BeamConfig | None = None
) -> list[tuple[str, float]]:
    """Per region of logits (R, T, C), T at least 1, the text and its score: the T-th root of the probability of its
    alignments, of those that were looked at; less if it is no word."""
    config = config or BeamConfig()
    return [_decode(steps, language, config) for steps in _list_steps(logits_RTC, charset, config.cutoff)]


def _list_steps(logits_RTC: np.ndarray, charset: Charset, cutoff: float) -> list[list[Step]]:
    """Of each region the steps."""
    probability_RTC = softmax(logits_RTC.astype(np.float64))
    least_RT1 = np.minimum(cutoff, probability_RTC.max(axis=2, keepdims=True) / 2)
    regions: list[list[Step]] = [
        [Step(blank, least, []) for blank, least in zip(*rows, strict=True)]
        for rows in zip(probability_RTC[:, :, 0].tolist(), least_RT1[:, :, 0].tolist(), strict=True)
    ]
    place_N = np.nonzero(probability_RTC[:, :, 1:] >= least_RT1)
    likely_N = probability_RTC[:, :, 1:][place_N]
    for region, step, number, likely in zip(*(found.tolist() for found in (*place_N, likely_N)), strict=True):
        regions[region][step].characters.append((charset.characters[number], likely))
    return regions


def _decode(steps: list[Step], language: LanguageModel, config: BeamConfig) -> tuple[str, float]:
    """Text and score of a region. Without arrays: in most steps one class or two are probable."""
    beam = {"": (1.0, 0.0)}  # of a prefix's alignments, the probability of those that end in a blank, and of the others
    opinions = {"": Opinion(0.0, 1.0, language.start)}
    scale, best = 0.0, 1.0  # logarithm of what the probabilities were divided by; the worth of the best prefix
    for blank, least, characters in steps:
        probability = dict(characters)
        later: dict[str, list[float]] = {}
        for prefix, (in_blank, in_character) in beam.items():
            total, last = in_blank + in_character, prefix[-1:]
            stays = later.setdefault(prefix, [0.0, 0.0])
            stays[0] = total * blank
            stays[1] += in_character * probability.get(last, 0.0)
            enough = least * best / opinions[prefix].factor
            for character, likely in characters:
                grows = likely * (in_blank if character == last else total)  # one twice wants a blank between
                if grows < enough:
                    continue
                text = prefix + character
                if text in later:
                    later[text][1] += grows
                else:
                    later[text] = [0.0, grows]
                    if text not in opinions:
                        opinions[text] = opinions[prefix].after(character, language, config)
        worth = {prefix: (b + c) * opinions[prefix].factor for prefix, (b, c) in later.items()}
        kept = sorted(worth, key=worth.__getitem__, reverse=True)[: config.width]
        best = worth[kept[0]]
        enough = max(config.cutoff, SMALL) * best
        beam = {prefix: (later[prefix][0], later[prefix][1]) for prefix in kept if worth[prefix] >= enough}
        if best < SMALL:
            beam = {prefix: (b / best, c / best) for prefix, (b, c) in beam.items()}
            scale, best = scale + log(best), 1.0

    is_word = {text: language.holds(text) for text in beam}

    def judge(text: str) -> float:
        ends = text and language.letter_of(text[-1]) != NOT_A_LETTER
        nats = opinions[text].nats + (_favour(opinions[text].state, 0, language, config) if ends else 0.0)
        return log(sum(beam[text])) + nats + config.word_bonus * is_word[text]

    text = max(beam, key=judge)
    score = exp(min(0.0, scale + log(sum(beam[text]))) / len(steps))
    is_number = sum(language.letter_of(character) != NOT_A_LETTER for character in text) < 2
    return text, score if is_word[text] or is_number else config.nonword * score


class Opinion(NamedTuple):
    """What the language says of a prefix: nats, the factor that these are, and the model's state after it."""

    nats: float
    factor: float
    state: int

    def after(self, character: str, language: LanguageModel, config: BeamConfig) -> "Opinion":
        """That of one more character."""
        letter = language.letter_of(character)
        if letter == NOT_A_LETTER:
            return self._replace(state=language.start)
        nats = self.nats + _favour(self.state, letter, language, config)
        factor = exp(max(-MOST_NATS, min(nats, MOST_NATS)))
        return Opinion(nats, factor, language.next_states.item(self.state, letter))


def _favour(state: int, letter: int, language: LanguageModel, config: BeamConfig) -> float:
    """What one letter is worth, in nats."""
    return config.weight * (language.log_probabilities.item(state, letter) + config.surprise)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
