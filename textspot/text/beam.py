"""CTC decoding that listens to a language model: prefix beam search, all regions at once.

A prefix is worth the probability of all alignments that spell it (Hannun et al. 2014, arXiv 1408.2873), and what the
language says of its letters. Digits and punctuation are left to the reader: they count neither way, and a word begins
after them.

Legend: R regions, T time, C classes, B prefixes, K classes that may follow, N candidates.
"""

from functools import partial

import numpy as np

from textspot.text.charset import Charset
from textspot.text.language import NOT_A_LETTER, LanguageModel

NEVER = -1e9  # the logarithm of no probability: -inf - -inf would be NaN
HASH_BASE = np.uint64(1_000_003)


def decode_beam(
    logits_RTC: np.ndarray,
    charset: Charset,
    language: LanguageModel,
    weight: float = 0.25,
    surprise: float = 2.4,
    word_bonus: float = 1.0,
    nonword: float = 0.93,
    width: int = 8,
    branches: int = 6,
) -> list[tuple[str, float]]:
    """Per region of logits (R, T, C) the text and its score: the T-th root of the probability of all its alignments,
    times `nonword` if it is no word of the language, which is more often misread.

    A letter adds `weight` times (its log-probability + `surprise`) to the logarithm of that: one that is rarer than
    `surprise`, in nats, costs, a more usual one helps. A text that is a word of the language gains `word_bonus`.
    `width` prefixes are kept, and each goes on by the `branches` most probable classes of a time step.
    """
    num_regions, num_steps, num_classes = logits_RTC.shape
    if not num_regions:
        return []
    branches = min(branches, num_classes - 1)
    log_prob_RTC = log_softmax(logits_RTC.astype(np.float64))
    class_RTK = 1 + np.argpartition(-log_prob_RTC[:, :, 1:], branches - 1, axis=2)[:, :, :branches]
    letter_C = np.concatenate([[NOT_A_LETTER], language.letters_of(charset.characters)])
    at = np.arange(num_regions)[:, None]

    # The beam: alignments that end in a blank, and in the last character; what the language says; where it stands.
    blank_RB = np.full((num_regions, width), NEVER)
    label_RB = np.full_like(blank_RB, NEVER)
    blank_RB[:, 0] = 0.0  # the empty prefix; the others are yet to come
    language_RB = np.zeros_like(blank_RB)
    state_RB = np.full(blank_RB.shape, language.start)
    last_RB = np.zeros(blank_RB.shape, dtype=np.int64)
    hash_RB = np.broadcast_to(-np.arange(width).astype(np.uint64), blank_RB.shape)
    history: list[tuple[np.ndarray, np.ndarray]] = []  # by step the prefix before and the class added, 0 for none

    join = partial(_join, num_regions)
    for step in range(num_steps):
        log_prob_RC, class_R1K = log_prob_RTC[:, step], class_RTK[:, None, step]
        letter_R1K = letter_C[class_R1K]
        total_RB = np.logaddexp(blank_RB, label_RB)
        stay_RB = np.where(last_RB > 0, label_RB + log_prob_RC[at, last_RB], NEVER)
        again_RBK = class_R1K == last_RB[:, :, None]  # one character twice wants a blank between
        more_RBK = np.where(again_RBK, blank_RB[:, :, None], total_RB[:, :, None]) + log_prob_RC[at[:, None], class_R1K]
        more_hash_RBK = hash_RB[:, :, None] * HASH_BASE + class_R1K.astype(np.uint64)
        same_RBKB = more_hash_RBK[..., None] == hash_RB[:, None, None]  # what grows into a prefix of the beam is that
        stay_RB = np.logaddexp(stay_RB, np.where(same_RBKB, more_RBK[..., None], NEVER).max(axis=(1, 2)))
        more_RBK = np.where(same_RBKB.any(axis=3), NEVER, more_RBK)
        gain_RBK = weight * (language.log_probabilities[state_RB[:, :, None], letter_R1K] + surprise)
        more_state_RBK = language.next_states[state_RB[:, :, None], letter_R1K]
        is_letter_R1K = letter_R1K != NOT_A_LETTER

        blank_RN = join(total_RB + log_prob_RC[:, :1], np.full_like(more_RBK, NEVER))
        label_RN = join(stay_RB, more_RBK)
        language_RN = join(language_RB, language_RB[:, :, None] + np.where(is_letter_R1K, gain_RBK, 0.0))
        state_RN = join(state_RB, np.where(is_letter_R1K, more_state_RBK, language.start))
        hash_RN = join(hash_RB, more_hash_RBK)
        added_RN = join(np.zeros_like(last_RB), np.broadcast_to(class_R1K, more_RBK.shape))

        worth_RN = np.logaddexp(blank_RN, label_RN) + language_RN
        best_RB = np.argpartition(-worth_RN, width - 1, axis=1)[:, :width]
        parent_RB = np.where(best_RB < width, best_RB, (best_RB - width) // branches)
        added_RB = added_RN[at, best_RB]
        last_RB = np.where(added_RB > 0, added_RB, last_RB[at, parent_RB])
        blank_RB, label_RB, hash_RB = blank_RN[at, best_RB], label_RN[at, best_RB], hash_RN[at, best_RB]
        language_RB, state_RB = language_RN[at, best_RB], state_RN[at, best_RB]
        history.append((parent_RB, added_RB))

    end_RB = weight * (language.log_probabilities[state_RB, 0] + surprise)
    total_RB = np.logaddexp(blank_RB, label_RB)
    worth_RB = total_RB + language_RB + np.where(letter_C[last_RB] != NOT_A_LETTER, end_RB, 0.0)
    close_RB = worth_RB >= worth_RB.max(axis=1, keepdims=True) - word_bonus  # the bonus lifts no other one to the top
    region_N, place_N = np.nonzero(close_RB)
    texts_N = [charset.decode(tokens) for tokens in _spell(history, region_N, place_N)]
    is_word_N = np.array([language.holds(text) for text in texts_N])
    worth_N = worth_RB[close_RB] + word_bonus * is_word_N
    scores_N = np.exp(np.minimum(total_RB[close_RB], 0.0) / num_steps) * np.where(is_word_N, 1.0, nonword)
    best_R = np.lexsort((worth_N, region_N))[np.append(np.diff(region_N) > 0, True)]  # of each region the last
    return [(texts_N[number], float(scores_N[number])) for number in best_R]


def _join(num_regions: int, stay_RB: np.ndarray, more_RBK: np.ndarray) -> np.ndarray:
    """Candidates (R, N): the prefixes as they are, then all that grow."""
    return np.concatenate([stay_RB, more_RBK.reshape(num_regions, -1)], axis=1)


def _spell(history: list[tuple[np.ndarray, np.ndarray]], region_N: np.ndarray, place_N: np.ndarray) -> list[list[int]]:
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
