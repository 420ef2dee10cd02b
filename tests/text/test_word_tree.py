"""The search for words, against the probability of every word of the list."""

import numpy as np
import pytest

from textspot.text import word_tree
from textspot.text.beam import softmax
from textspot.text.charset import Charset
from textspot.text.ctc import decode_best_path, log_likelihoods
from textspot.text.word_tree import grow_tree, spell

CHARACTERS = "aAbBcC1-'"


def probabilities(seed: int, num_regions: int = 30, sharpness: float = 2.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return softmax(sharpness * rng.standard_normal((num_regions, 8, len(CHARACTERS) + 1)).astype(np.float32))


def words_of(seed: int, num_words: int = 60) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list("abcABC1"), rng.integers(1, 6))) for _ in range(num_words)]


def merge(probability_RTC: np.ndarray, letters: str) -> np.ndarray:
    """Probabilities of the blank with punctuation, and of the letters without case, in a loop."""
    merged = np.zeros((*probability_RTC.shape[:2], len(letters) + 1))
    for token, character in enumerate("-" + CHARACTERS):
        letter = 0 if character in "-'" else letters.index(character.upper()) + 1
        merged[:, :, letter] += probability_RTC[:, :, token]
    return merged


@pytest.mark.parametrize("seed", range(5))
def test_a_wide_search_finds_the_most_probable_word(seed, monkeypatch):
    monkeypatch.setattr(word_tree, "WIDTH", 1000)
    monkeypatch.setattr(word_tree, "CUTOFF", 0.0)
    tree, probability = grow_tree(words_of(seed)), probabilities(seed)
    merged = merge(probability, tree.letters)
    spellings = sorted({spell(word) for word in words_of(seed)})
    tokens = np.zeros((len(spellings), 5), int)
    for row, spelling in zip(tokens, spellings, strict=True):
        row[: len(spelling)] = [tree.letters.index(letter) + 1 for letter in spelling]
    for region, match in zip(merged, tree.find(probability, CHARACTERS, [[]] * len(merged)), strict=True):
        likelihoods = log_likelihoods(np.repeat(region[None], len(spellings), axis=0), tokens)
        assert match == (spellings[likelihoods.argmax()], pytest.approx(likelihoods.max(), rel=1e-5))


@pytest.mark.parametrize("sharpness", [0.5, 1, 3])
def test_what_is_read_and_in_the_list_is_never_lost(sharpness, monkeypatch):
    monkeypatch.setattr(word_tree, "WIDTH", 1)
    probability = probabilities(0, 200, sharpness)
    readings = [text for text, _ in decode_best_path(np.log(probability), Charset(CHARACTERS))]
    tree = grow_tree([*words_of(1), *readings])
    alone = [grow_tree([reading]) for reading in readings]
    matches = tree.find(probability, CHARACTERS, [[reading] for reading in readings])
    assert sum(bool(spell(reading)) for reading in readings) > 150
    for region, reading, match, only in zip(probability[:, None], readings, matches, alone, strict=True):
        if spell(reading):
            (itself,) = only.find(region, CHARACTERS, [[reading]])
            assert match[0] == itself[0] or match[1] > itself[1]  # or a word that the region shows still more probably


def test_spelling():
    assert [spell(text) for text in ("Joe's", "-a b-", "!?", "straße")] == ["JOES", "AB", "", "STRASSE"]


def test_lists_without_a_word_and_letters_that_nobody_reads():
    probability = probabilities(0, 3)
    assert grow_tree([]).find(probability, CHARACTERS, [["a"], [], ["b", ""]]) == [None] * 3
    assert grow_tree(["!!", ""]).find(probability, CHARACTERS, [["a"], [], ["b", ""]]) == [None] * 3
    assert grow_tree(["日本"]).find(probability, CHARACTERS, [["a"], [], ["b", ""]]) == [None] * 3
    assert grow_tree(["ab"]).find(probability[:0], CHARACTERS, []) == []


def test_words_of_rare_letters_are_left_to_what_is_read(monkeypatch):
    monkeypatch.setattr(word_tree, "MOST_LETTERS", 2)
    tree = grow_tree(["aab", "abb", "cab"])
    assert (tree.letters, tree.spellings) == ("AB", ("AAB", "ABB"))
