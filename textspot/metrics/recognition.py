"""How well given regions are read: word accuracy and edit distance, with and without regard to case."""

import math
from collections.abc import Sequence

from rapidfuzz.distance import Levenshtein

NORMAL_QUANTILE = 1.959964  # half of a 95 % interval, in standard deviations


def score_recognition(texts: Sequence[str], transcripts: Sequence[str]) -> dict[str, float]:
    """Compare the texts read with the transcripts, word by word.

    Returns `recognition/word_accuracy` (the share of words that are equal) and `recognition/one_minus_ned` (1 - the
    mean of edit distance / length of the longer string, as in the ICDAR 2019 challenges; two empty strings are equal),
    each also with `_case_insensitive`, and `recognition/num_words`. `_low` and `_high` are the ends of the 95 %
    interval of a word accuracy. Without a word there is only `num_words`: no share of nothing is reported. Raises
    `ValueError` when there are not as many texts as transcripts.
    """
    if len(texts) != len(transcripts):
        raise ValueError(f"{len(texts)} texts for {len(transcripts)} transcripts; expected one for each")
    figures = {"recognition/num_words": float(len(texts))}
    if texts:
        lowered = [text.lower() for text in texts], [transcript.lower() for transcript in transcripts]
        for suffix, (read, expected) in {"": (texts, transcripts), "_case_insensitive": lowered}.items():
            name = f"recognition/word_accuracy{suffix}"
            figures[name] = word_accuracy(read, expected)
            figures[f"{name}_low"], figures[f"{name}_high"] = wilson_interval(figures[name], len(texts))
            figures[f"recognition/one_minus_ned{suffix}"] = one_minus_ned(read, expected)
    return figures


def word_accuracy(texts: Sequence[str], transcripts: Sequence[str]) -> float:
    """The share of texts equal to their transcripts; there must be at least one."""
    return sum(text == transcript for text, transcript in zip(texts, transcripts, strict=True)) / len(texts)


def one_minus_ned(texts: Sequence[str], transcripts: Sequence[str]) -> float:
    """1 - the mean normalised edit distance of the texts from their transcripts; there must be at least one."""
    pairs = zip(texts, transcripts, strict=True)
    return sum(Levenshtein.normalized_similarity(text, transcript) for text, transcript in pairs) / len(texts)


def wilson_interval(share: float, number: int) -> tuple[float, float]:
    """The 95 % interval of a share in [0, 1] of `number` (1 and up) independent words (Wilson 1927)."""
    spread = NORMAL_QUANTILE**2 / number
    middle, half = share + spread / 2, math.sqrt(spread * (share * (1 - share) + spread / 4))
    return (middle - half) / (1 + spread), (middle + half) / (1 + spread)
