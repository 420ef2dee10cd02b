import math
from itertools import groupby

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from textspot.text.charset import Charset
from textspot.text.ctc import decode_best_path, log_likelihoods, min_time_steps

CHARSET = Charset("abc")


def paths_to_logits(*paths: str) -> np.ndarray:
    """Logits (R, T, C) whose best paths are the given ones; `-` stands for the blank."""
    classes = np.array([["-abc".index(character) for character in path] for path in paths])
    return 9 * np.eye(CHARSET.num_classes)[classes]


@pytest.mark.parametrize(
    ("text", "steps"), [("", 0), ("a", 1), ("ab", 2), ("aa", 3), ("aba", 3), ("aaa", 5), ("aabb", 6)]
)
def test_min_time_steps(text, steps):
    assert min_time_steps(CHARSET.encode(text)) == steps


@given(st.text("abc", min_size=1, max_size=5), st.integers(1, 10))
def test_ctc_is_finite_exactly_if_there_are_enough_time_steps(text, steps):
    tokens = CHARSET.encode(text)
    log_probs = torch.zeros(steps, 1, CHARSET.num_classes).log_softmax(dim=2)
    loss = F.ctc_loss(log_probs, torch.tensor([tokens]), [steps], [len(tokens)])
    assert bool(loss.isfinite()) == (steps >= min_time_steps(tokens))


def test_no_region_gives_no_text():
    assert decode_best_path(np.zeros((0, 16, 4), np.float32), CHARSET) == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("----", ""),
        ("a---", "a"),
        ("---c", "c"),
        ("aaaa", "a"),
        ("a-aa", "aa"),
        ("aabb", "ab"),
        ("-abc", "abc"),
        ("abab", "abab"),
    ],
)
def test_best_path(path, text):
    assert decode_best_path(paths_to_logits(path), CHARSET)[0][0] == text


def test_regions_keep_their_order():
    assert [text for text, _ in decode_best_path(paths_to_logits("a-b", "---", "cc-"), CHARSET)] == ["ab", "", "c"]


@given(st.integers(0, 2**32 - 1))
def test_best_path_is_that_of_a_plain_loop(seed):
    logits = np.random.default_rng(seed).normal(size=(5, 12, CHARSET.num_classes)).astype(np.float32) * 4
    decoded = decode_best_path(logits, CHARSET)
    for (text, score), region in zip(decoded, logits.astype(np.float64), strict=True):
        assert text == "".join("-abc"[k] for k, _ in groupby(step.argmax() for step in region)).replace("-", "")
        probabilities = [max(np.exp(step) / np.exp(step).sum()) for step in region]
        assert score == pytest.approx(math.prod(probabilities) ** (1 / len(probabilities)))


def test_the_score_by_hand():
    """Probabilities 1/2 and 1/8 of the chosen classes: their geometric mean is 1/4, blanks count."""
    flat = Charset("abcdefg")
    probabilities = np.array([[[1 / 2] + [1 / 14] * 7, [1 / 8] * 8]])
    text, score = decode_best_path(np.log(probabilities), flat)[0]
    assert text == ""
    assert score == pytest.approx(1 / 4)


@pytest.mark.parametrize("scale", [1e4, -1e4])
def test_logits_of_any_size_give_a_probability(scale):
    (_, score), (_, sure) = decode_best_path(np.float32([[[scale, scale]], [[scale, 2 * scale]]]), Charset("a"))
    assert score == pytest.approx(0.5)
    assert sure == 1


@pytest.mark.parametrize("steps", [1, 6, 200])
def test_the_likelihood_of_a_text_is_that_of_the_ctc_loss(steps):
    rng = np.random.default_rng(steps)
    texts = ["", "a", "b", "aa", "ab", "aba", "abba", "ccc", "abcabc"]
    log_probs = torch.from_numpy(3 * rng.standard_normal((len(texts), steps, CHARSET.num_classes))).log_softmax(dim=2)
    tokens = np.zeros((len(texts), 6), int)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = CHARSET.encode(text)
    lengths = [len(text) for text in texts]
    loss = F.ctc_loss(
        log_probs.swapaxes(0, 1), torch.from_numpy(tokens), [steps] * len(texts), lengths, reduction="none"
    )
    np.testing.assert_allclose(log_likelihoods(log_probs.exp().numpy(), tokens), -loss.numpy(), rtol=1e-6)
    assert log_likelihoods(log_probs.exp().numpy()[:0], tokens[:0]).shape == (0,)
