"""Connectionist temporal classification: what a text needs, and what logits say. Legend: R regions, T time, C classes.

Source: Graves et al. 2006, "Connectionist Temporal Classification".
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from textspot.text.charset import Charset


def min_time_steps(tokens: Sequence[int]) -> int:
    """Time steps that CTC needs for these tokens: one for each, and a blank between two equal ones."""
    return len(tokens) + sum(a == b for a, b in pairwise(tokens))


def decode_best_path(logits_RTC: np.ndarray, charset: Charset) -> list[tuple[str, float]]:
    """Best-path decoding of logits (R, T, C): per region the text and its score.

    The score is the geometric mean, over the T steps, of the probability of the class chosen there, blanks included.
    """
    if logits_RTC.shape[0] == 0:
        return []
    logits_RTC = logits_RTC.astype(np.float64)
    best_RT = logits_RTC.argmax(axis=2)
    top_RT = logits_RTC.max(axis=2)
    log_prob_RT = -np.log(np.exp(logits_RTC - top_RT[..., None]).sum(axis=2))
    scores_R = np.exp(log_prob_RT.mean(axis=1))
    starts_RT = np.concatenate([np.ones_like(best_RT[:, :1], dtype=bool), best_RT[:, 1:] != best_RT[:, :-1]], axis=1)
    kept_RT = starts_RT & (best_RT > 0)
    return [
        (charset.decode(best_T[kept_T]), float(score))
        for best_T, kept_T, score in zip(best_RT, kept_RT, scores_R, strict=True)
    ]
