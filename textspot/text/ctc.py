"""Connectionist temporal classification: what a text needs, and what logits say. The training loss is
`textspot.losses.ctc_loss`.

Legend: R regions, T time, C classes, N texts, P places in the longest of them, S symbols of a text with its blanks.

Source: Graves et al. 2006, "Connectionist Temporal Classification".
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from textspot.text.charset import Charset

TINY = 1e-300  # scale of texts that have no alignment


def min_time_steps(tokens: Sequence[int]) -> int:
    """Time steps that CTC needs for these tokens: one for each, and a blank between two equal ones."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))


def log_likelihoods(probability_NTC: np.ndarray, tokens_NP: np.ndarray) -> np.ndarray:
    """The logarithm (N,) of the probability of all alignments that spell a text, for each text in probabilities of its
    own (N, T, C), T at least 1; minus infinity if there is none. Tokens (N, P) end with 0. Section 4.1: the forward
    variables."""
    num_texts, num_steps = probability_NTC.shape[:2]
    length_N = (tokens_NP > 0).sum(axis=1)
    symbols_NS = np.zeros((num_texts, 2 * tokens_NP.shape[1] + 1), np.int64)
    symbols_NS[:, 1::2] = tokens_NP
    may_skip_NS = symbols_NS[:, 2:] > 0
    may_skip_NS &= symbols_NS[:, 2:] != symbols_NS[:, :-2]
    symbols_NTS = np.broadcast_to(symbols_NS[:, None], (num_texts, num_steps, symbols_NS.shape[1]))
    probability_TNS = np.take_along_axis(probability_NTC, symbols_NTS, axis=2).astype(np.float64).swapaxes(0, 1)
    forward_NS = np.zeros(symbols_NS.shape)
    forward_NS[:, 0] = 1.0  # before the first step, which may take the blank or the first character
    scale_TN = np.ones((num_steps, num_texts))
    for step, probability_NS in enumerate(probability_TNS):
        before_NS = forward_NS
        forward_NS = before_NS.copy()
        forward_NS[:, 1:] += before_NS[:, :-1]
        forward_NS[:, 2:] += before_NS[:, :-2] * may_skip_NS
        forward_NS *= probability_NS
        scale_TN[step] = np.maximum(forward_NS.max(axis=1), TINY)
        forward_NS /= scale_TN[step][:, None]
    end_N, row_N = 2 * length_N, np.arange(num_texts)
    total_N = forward_NS[row_N, end_N] + np.where(length_N > 0, forward_NS[row_N, end_N - 1], 0.0)
    with np.errstate(divide="ignore"):
        return np.log(total_N) + np.log(scale_TN).sum(axis=0)


def decode_best_path(logits_RTC: np.ndarray, charset: Charset) -> list[tuple[str, float]]:
    """Best-path decoding of logits (R, T, C): per region the text and its score.

    The score is the geometric mean, over the T steps, of the probability of the class chosen there, blanks included.
    """
    return [_decode_region(logits_TC.astype(np.float64), charset) for logits_TC in logits_RTC]


def _decode_region(logits_TC: np.ndarray, charset: Charset) -> tuple[str, float]:
    """Text and score of one region: of all at once, thousands of classes would take gigabytes."""
    best_T, top_T = logits_TC.argmax(axis=1), logits_TC.max(axis=1)
    log_prob_T = -np.log(np.exp(logits_TC - top_T[:, None]).sum(axis=1))
    starts_T = np.append(True, best_T[1:] != best_T[:-1])[: len(best_T)]
    return charset.decode(best_T[starts_T & (best_T > 0)]), float(np.exp(log_prob_T.mean()))
