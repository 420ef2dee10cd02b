"""Beam search with a language model, against all texts and all alignments."""

from itertools import product

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from textspot.text.beam import BeamConfig, decode_beam, softmax
from textspot.text.charset import PRINTABLE_ASCII, Charset
from textspot.text.ctc import decode_best_path
from textspot.text.language import LanguageModel, learn_language, load_language

CHARSET = Charset("ab1")
LANGUAGE_WORDS = ["ab", "aab", "ba", "bb"]
LANGUAGE = learn_language(LANGUAGE_WORDS, order=3)


def log_likelihood(log_prob_TC: np.ndarray, text: str) -> float:
    """Of a text by all its alignments, by PyTorch's loss."""
    tokens = CHARSET.encode(text)
    loss = F.ctc_loss(
        torch.from_numpy(log_prob_TC)[:, None],
        torch.tensor([tokens]),
        [len(log_prob_TC)],
        [len(tokens)],
        reduction="sum",
    )
    return -float(loss)


WEIGHT, SURPRISE, BONUS = 0.5, 1.5, 0.4


def judge_text(text: str, language: LanguageModel) -> float:
    """What the language adds to a text: of its runs of letters, the last one with its end; and if it is a word."""
    total, state = 0.0, language.start
    for letter in map(language.letter_of, text):
        if letter < 0:
            state = language.start
        else:
            total += language.log_probabilities[state, letter] + SURPRISE
            state = language.next_states[state, letter]
    ends_in_letter = bool(text) and language.letter_of(text[-1]) >= 0
    total += language.log_probabilities[state, 0] + SURPRISE if ends_in_letter else 0.0
    return WEIGHT * total + BONUS * (text in LANGUAGE_WORDS)


@pytest.mark.parametrize("seed", range(12))
def test_a_beam_that_holds_everything_finds_the_best_of_all_texts(seed):
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((3, 4, CHARSET.num_classes)).astype(np.float32)
    texts = ["".join(letters) for length in range(5) for letters in product(CHARSET.characters, repeat=length)]
    config = BeamConfig(WEIGHT, SURPRISE, BONUS, nonword=0.8, width=400, cutoff=0.0)
    decoded = decode_beam(logits, CHARSET, LANGUAGE, config)
    for log_prob, (text, score) in zip(np.log(softmax(logits.astype(np.float64))), decoded, strict=True):
        worth = {other: log_likelihood(log_prob, other) + judge_text(other, LANGUAGE) for other in texts}
        assert text == max(worth, key=worth.get)
        is_number = len(text.replace("1", "")) < 2
        factor = 1 if text in LANGUAGE_WORDS or is_number else 0.8
        assert score == pytest.approx(factor * np.exp(log_likelihood(log_prob, text) / 4), rel=1e-5)


def test_regions_do_not_see_each_other():
    logits = np.random.default_rng(0).standard_normal((5, 12, 4)).astype(np.float32)
    together = decode_beam(logits, CHARSET, LANGUAGE)
    for region, (text, score) in zip(logits, together, strict=True):
        assert decode_beam(region[None], CHARSET, LANGUAGE) == [(text, pytest.approx(score))]
    assert decode_beam(logits[:0], CHARSET, LANGUAGE) == []


def of_path(charset: Charset, path: str, confidence: float, doubts: dict[int, str]) -> np.ndarray:
    """Logits (1, T, C) that read as the path (`-` is the blank), at some steps only as likely as another character."""
    logits = np.zeros((1, len(path), charset.num_classes), np.float32)
    for step, character in enumerate(path):
        logits[0, step, 0 if character == "-" else charset.encode(character)[0]] = confidence
        if step in doubts:
            logits[0, step, charset.encode(doubts[step])[0]] = confidence - 0.3
    return logits


def test_where_the_reader_is_in_doubt_the_language_decides():
    charset = Charset("ABEHOTabehot015")
    language = learn_language(["the", "hot", "boat", "heat"])
    doubtful = of_path(charset, "B-O-B-T", 9, {4: "A"})
    assert decode_best_path(doubtful, charset)[0][0] == "BOBT"
    assert decode_beam(doubtful, charset, language)[0][0] == "BOAT"
    sure = of_path(charset, "B-O-B-T", 9, {})
    assert decode_beam(sure, charset, language)[0][0] == "BOBT"  # what was read with certainty stays, word or not
    number = of_path(charset, "1-0-5", 9, {2: "O"})
    assert decode_beam(number, charset, language)[0][0] == "105"
    english = load_language("english")
    print_ = Charset(PRINTABLE_ASCII)
    for path, doubts, text in (("Se-n-inar", {3: "m"}, "Seminar"), ("'E-X-I-F'", {7: "T"}, "'EXIT'")):
        assert decode_beam(of_path(print_, path, 9, doubts), print_, english)[0][0] == text
    first = of_path(charset, "0-5", 9, {})  # classes that are also the places of a beam
    assert decode_beam(first, charset, language)[0][0] == "05"


def test_characters_that_the_language_does_not_have_are_read_as_without_it():
    charset = Charset("日本語")
    logits = 3 * np.random.default_rng(0).standard_normal((4, 6, 4)).astype(np.float32)
    plain = decode_beam(logits, charset, LANGUAGE, BeamConfig(0.0, word_bonus=0.0, width=50))
    assert decode_beam(logits, charset, LANGUAGE, BeamConfig(1.0, width=50)) == plain
    assert {score <= 1 for _, score in plain} == {True}


@pytest.mark.parametrize("more", [{"width": 100}, {"cutoff": 0.0}])
def test_few_prefixes_and_classes_find_what_many_do_in_nearly_all_regions(more):
    charset = Charset(PRINTABLE_ASCII)
    logits = 8 * np.random.default_rng(0).standard_normal((60, 12, charset.num_classes)).astype(np.float32)
    few, many = (decode_beam(logits, charset, load_language("english"), BeamConfig(**each)) for each in ({}, more))
    assert np.mean([one == other for (one, _), (other, _) in zip(few, many, strict=True)]) > 0.9


def test_doubt_in_hundreds_of_steps_is_no_certainty_of_nothing():
    charset = Charset(PRINTABLE_ASCII)
    logits = 0.5 * np.random.default_rng(0).standard_normal((1, 600, charset.num_classes)).astype(np.float32)
    ((text, score),) = decode_beam(logits, charset, load_language("english"))
    ((plain, plain_score),) = decode_best_path(logits, charset)
    assert len(text) > 0.6 * len(plain)
    assert plain_score / 3 < score < 3 * plain_score


def test_the_best_of_thousands_of_classes_is_looked_at_however_improbable():
    charset = Charset("".join(map(chr, range(0x4E00, 0x4E00 + 3000))))
    logits = np.zeros((1, 20, charset.num_classes), np.float32)
    logits[0, np.arange(20), 1 + np.arange(20)] = 3.0  # 0.7 %
    assert (
        decode_beam(logits, charset, LANGUAGE)[0][0]
        == decode_best_path(logits, charset)[0][0]
        == charset.characters[:20]
    )


@pytest.mark.parametrize("strong", [{"word_bonus": 1000.0}, {"surprise": 3000.0}, {"weight": 50.0, "cutoff": 0.0}])
def test_a_language_may_decide_alone(strong):
    logits = np.random.default_rng(0).standard_normal((3, 20, CHARSET.num_classes)).astype(np.float32)
    for text, score in decode_beam(logits, CHARSET, LANGUAGE, BeamConfig(**strong)):
        assert text
        assert 0 <= score <= 1


@pytest.mark.parametrize("wrong", [{"width": 0}, {"cutoff": 1.0}, {"cutoff": -0.1}, {"weight": -1.0}, {"nonword": 1.1}])
def test_a_beam_that_makes_no_sense(wrong):
    with pytest.raises(ValueError, match=r"expected .* found BeamConfig"):
        BeamConfig(**wrong)


def test_numbers_are_not_discounted_and_words_that_are_none_are():
    charset, language = Charset(PRINTABLE_ASCII), learn_language(["exit"])
    scores = {}
    for text in ("Exit", "105", "5A", "exix"):
        (scores[text],) = decode_beam(of_path(charset, text, 20, {}), charset, language)
        assert scores[text][0] == text
    assert [scores[text][1] for text in ("Exit", "105", "5A")] == pytest.approx([1, 1, 1], abs=1e-3)
    assert scores["exix"][1] == pytest.approx(BeamConfig().nonword, abs=1e-3)
