"""CTC decoding that listens to a language model: prefix beam search, all regions at once.

A prefix is worth the probability of all alignments that spell it (Hannun et al. 2014, arXiv 1408.2873), and what the
language says of its letters. Digits and punctuation are left to the reader: they count neither way, and a word begins
after them.

Legend: R regions, T time, C classes, B prefixes, K classes that may follow, N candidates.
"""

from dataclasses import dataclass

import numpy as np

from textspot.text.charset import Charset
from textspot.text.language import NOT_A_LETTER, LanguageModel

NEVER = -1e9  # the logarithm of no probability: -inf - -inf would be NaN
HASH_BASE = np.uint64(1_000_003)


@dataclass(frozen=True)
class BeamConfig:
    """How far the language has a say, and how much is looked at.

    Args:
        weight: of a letter's log-probability in the language, beside 1 for the reader's.
        surprise: of a letter that changes nothing, in nats: a rarer one costs, a more usual one helps.
        word_bonus: nats that a text gains which is a word of the list.
        nonword: factor of the score of a text of letters that is no word, which is more often misread.
        width: prefixes that are kept.
        branches: the most probable classes of a time step by which each goes on.
    """

    weight: float = 0.25
    surprise: float = 2.4
    word_bonus: float = 1.0
    nonword: float = 0.93
    width: int = 8
    branches: int = 6

    def __post_init__(self) -> None:
        if min(self.weight, self.word_bonus) < 0 or not 0 <= self.nonword <= 1:
            raise ValueError(f"expected weight and word_bonus of at least 0, and nonword in [0, 1], found {self}")
        if min(self.width, self.branches) < 1:
            raise ValueError(f"expected width and branches of at least 1, found {self}")


@dataclass(frozen=True)
class _Beam:
    """The prefixes of each region, arrays (R, B): logarithms of the probability of the alignments that end in a blank
    and in the last character, what the language says, its state, the last class (0: none yet), a hash of the whole."""

    blank: np.ndarray
    label: np.ndarray
    language: np.ndarray
    state: np.ndarray
    last: np.ndarray
    hash: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """The logarithm of the probability of all alignments."""
        return np.logaddexp(self.blank, self.label)


History = list[tuple[np.ndarray, np.ndarray]]  # by step, (R, B): the prefix before, and the class added, 0 for none


def decode_beam(
    logits_RTC: np.ndarray, charset: Charset, language: LanguageModel, config: BeamConfig | None = None
) -> list[tuple[str, float]]:
    """Per region of logits (R, T, C), T at least 1, the text and its score: the T-th root of the probability of all its
    alignments, less if it is no word."""
    config = config or BeamConfig()
    num_regions, num_steps, num_classes = logits_RTC.shape
    if not num_regions:
        return []
    branches = min(config.branches, num_classes - 1)
    log_prob_RTC = log_softmax(logits_RTC.astype(np.float64))
    class_RTK = 1 + np.argpartition(-log_prob_RTC[:, :, 1:], branches - 1, axis=2)[:, :, :branches]
    letter_C = np.concatenate([[NOT_A_LETTER], language.letters_of(charset.characters)])
    beam = _start(num_regions, config.width, language)
    history: History = []
    for step in range(num_steps):
        beam, came_from = _advance(beam, log_prob_RTC[:, step], class_RTK[:, None, step], letter_C, language, config)
        history.append(came_from)

    end_RB = config.weight * (language.log_probabilities[beam.state, 0] + config.surprise)
    worth_RB = beam.total + beam.language + np.where(letter_C[beam.last] != NOT_A_LETTER, end_RB, 0.0)
    close_RB = worth_RB >= worth_RB.max(axis=1, keepdims=True) - config.word_bonus  # a bonus lifts no other to the top
    region_N, place_N = np.nonzero(close_RB)
    texts_N = [charset.decode(tokens) for tokens in _spell(history, region_N, place_N)]
    is_word_N = np.array([language.holds(text) for text in texts_N])
    is_number_N = np.array([(language.letters_of(text) != NOT_A_LETTER).sum() < 2 for text in texts_N])
    worth_N = worth_RB[close_RB] + config.word_bonus * is_word_N
    scores_N = np.exp(np.minimum(beam.total[close_RB], 0.0) / num_steps)
    scores_N *= np.where(is_word_N | is_number_N, 1.0, config.nonword)
    best_R = np.lexsort((worth_N, region_N))[np.append(np.diff(region_N) > 0, True)]  # of each region the last
    return [(texts_N[number], float(scores_N[number])) for number in best_R]


def _start(num_regions: int, width: int, language: LanguageModel) -> _Beam:
    """The empty prefix; the others are yet to come, and their hashes are none that a prefix will soon have."""
    never_RB = np.full((num_regions, width), NEVER)
    blank_RB = never_RB.copy()
    blank_RB[:, 0] = 0.0
    return _Beam(
        blank_RB,
        never_RB,
        np.zeros_like(never_RB),
        np.full(never_RB.shape, language.start),
        np.zeros(never_RB.shape, dtype=np.int64),
        np.broadcast_to(-np.arange(width).astype(np.uint64), never_RB.shape),
    )


def _advance(
    beam: _Beam,
    log_prob_RC: np.ndarray,
    class_R1K: np.ndarray,
    letter_C: np.ndarray,
    language: LanguageModel,
    config: BeamConfig,
) -> tuple[_Beam, tuple[np.ndarray, np.ndarray]]:
    """The beam a time step later, and where its prefixes came from, as `History` has it."""
    at, width = np.arange(len(log_prob_RC))[:, None], beam.blank.shape[1]
    total_RB = beam.total
    stay_RB = np.where(beam.last > 0, beam.label + log_prob_RC[at, beam.last], NEVER)
    again_RBK = class_R1K == beam.last[:, :, None]  # one character twice wants a blank between
    more_RBK = np.where(again_RBK, beam.blank[:, :, None], total_RB[:, :, None]) + log_prob_RC[at[:, None], class_R1K]
    more_hash_RBK = _grow(beam.hash[:, :, None], class_R1K)
    same_RBKB = more_hash_RBK[..., None] == beam.hash[:, None, None]  # what grows into a prefix of the beam is that
    stay_RB = np.logaddexp(stay_RB, np.where(same_RBKB, more_RBK[..., None], NEVER).max(axis=(1, 2)))
    more_RBK = np.where(same_RBKB.any(axis=3), NEVER, more_RBK)
    letter_R1K = letter_C[class_R1K]
    gain_RBK = config.weight * (language.log_probabilities[beam.state[:, :, None], letter_R1K] + config.surprise)
    gain_RBK = np.where(letter_R1K != NOT_A_LETTER, gain_RBK, 0.0)

    blank_RN = _join(total_RB + log_prob_RC[:, :1], np.full_like(more_RBK, NEVER))
    label_RN = _join(stay_RB, more_RBK)
    language_RN = _join(beam.language, beam.language[:, :, None] + gain_RBK)
    worth_RN = np.logaddexp(blank_RN, label_RN) + language_RN
    best_RB = np.argpartition(-worth_RN, width - 1, axis=1)[:, :width]

    grows_RB = best_RB >= width
    parent_RB, branch_RB = np.divmod(best_RB - width, class_R1K.shape[2])
    parent_RB = np.where(grows_RB, parent_RB, best_RB)
    added_RB = np.where(grows_RB, class_R1K[at, 0, branch_RB], 0)
    state_RB, hash_RB, letter_RB = beam.state[at, parent_RB], beam.hash[at, parent_RB], letter_C[added_RB]
    after_RB = np.where(letter_RB == NOT_A_LETTER, language.start, language.next_states[state_RB, letter_RB])
    later = _Beam(
        blank_RN[at, best_RB],
        label_RN[at, best_RB],
        language_RN[at, best_RB],
        np.where(grows_RB, after_RB, state_RB),
        np.where(grows_RB, added_RB, beam.last[at, parent_RB]),
        np.where(grows_RB, _grow(hash_RB, added_RB), hash_RB),
    )
    return later, (parent_RB, added_RB)


def _grow(hashes: np.ndarray, added: np.ndarray) -> np.ndarray:
    """The hashes (uint64, wrapping around) of prefixes with one more class."""
    return hashes * HASH_BASE + added.astype(np.uint64)


def _join(stay_RB: np.ndarray, more_RBK: np.ndarray) -> np.ndarray:
    """Candidates (R, N): the prefixes as they are, then all that grow."""
    return np.concatenate([stay_RB, more_RBK.reshape(len(more_RBK), -1)], axis=1)


def _spell(history: History, region_N: np.ndarray, place_N: np.ndarray) -> list[list[int]]:
    """The tokens of prefixes, by their regions and their places in the beam."""
    added = []
    for parent_RB, added_RB in reversed(history):
        added.append(added_RB[region_N, place_N])
        place_N = parent_RB[region_N, place_N]
    return [[int(token) for token in tokens if token] for tokens in np.array(added[::-1]).T]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
