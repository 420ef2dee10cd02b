"""The language model of letters, against a slow reference."""

import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.text.language import (
    NOT_A_LETTER,
    LanguageModel,
    learn_language,
    load_language,
)
from textspot.text.language_choice import choose_language

WORDS = ["the", "then", "thorn", "horn", "horse", "Émile", "a", "aa"]


def witten_bell(words: list[str], context: str, letter: str, num_letters: int) -> float:
    """The interpolated probability of a letter (`$` ends a word) after a context (`^` begins it), by its definition."""
    after = Counter()
    for word in words:
        padded = "^" * 9 + word + "$"
        for place in range(9, len(padded)):
            if padded[:place].endswith(context):
                after[padded[place]] += 1
    shorter = witten_bell(words, context[1:], letter, num_letters) if context else 1 / (num_letters + 1)
    kinds, total = len(after), after.total()
    return (after[letter] + kinds * shorter) / (total + kinds) if total else shorter


@settings(max_examples=25, deadline=None)
def log_probability(model: LanguageModel, word: str) -> float:
    """Of a word and its end, as the beam adds it up letter by letter."""
    state, total = model.start, 0.0
    for letter in [*map(model.letter_of, word), 0]:
        total += float(model.log_probabilities[state, letter])
        state = model.next_states[state, letter]
    return total


@given(
    st.lists(st.text("abc", min_size=1, max_size=6), min_size=1, max_size=8, unique=True),
    st.text("abc", max_size=7),
    st.integers(2, 5),
)
def test_a_word_is_as_likely_as_its_n_grams(words, word, order):
    model = learn_language(words, order=order)
    word = "".join(letter for letter in word if letter in model.letters)
    expected = 0.0
    for place, letter in enumerate(word + "$"):
        context = ("^" * order + word[:place])[-(order - 1) :]
        expected += np.log(witten_bell(words, context, letter, len(model.letters)))
    assert log_probability(model, word) == pytest.approx(expected, rel=1e-4)


def test_every_state_is_a_distribution_over_letters_and_the_end():
    model = learn_language(WORDS)
    np.testing.assert_allclose(np.exp(model.log_probabilities).sum(axis=1), 1, rtol=1e-5)
    assert model.log_probabilities.shape == model.next_states.shape
    assert 0 <= model.next_states.min() <= model.next_states.max() < len(model.next_states)


def test_case_is_folded_and_what_is_no_letter_is_none():
    model = learn_language(["Don't", "exit", "2nd", "Émile", ""])
    assert model.letters == "".join(sorted("exitémile".replace("i", "").replace("e", "") + "ie"))
    assert list(map(model.letter_of, "XÉ1'ß")) == [
        model.letters.index("x") + 1,
        model.letters.index("é") + 1,
        *[NOT_A_LETTER] * 3,
    ]
    assert log_probability(model, "EXIT") == log_probability(model, "exit")


def test_words_of_the_list_without_case_and_punctuation():
    model = learn_language(["Exit", "Émile", "a"])
    assert all(model.holds(text) for text in ("exit", "EXIT!", "'émile'"))
    assert not any(model.holds(text) for text in ("", "exits", "a", "ex-it"))


def test_marks_belong_to_their_letters():
    assert learn_language(["हिन्दी", "घर", "a1"]).words == {"हिन्दी", "घर"}


def test_english_prefers_english():
    english = load_language("english")
    for word, other in (("restaurant", "restaurnat"), ("parking", "parklng"), ("open", "0pen".replace("0", "q"))):
        assert log_probability(english, word) > log_probability(english, other) + 3


def test_a_file_of_words(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("one\n", encoding="utf-8")
    assert load_language(file).words == {"one"}
    composed = unicodedata.normalize("NFD", "\n".join(WORDS))
    file.write_text(composed, encoding="utf-8-sig")  # as some editors save
    assert load_language(file).words == {word.lower() for word in WORDS}
    assert log_probability(choose_language(str(file)), "thorn") == log_probability(learn_language(WORDS), "thorn")
    assert choose_language("none") is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"neither a language that ships \(bulgarian, .*, ukrainian\) nor a file of words: .*No such file"),
        (b"12\n%\n", "no word of letters alone"),
        (b"\xff\xfe", "decode"),
        ("\n".join(map(chr, range(0x4E00, 0x4F00))).encode(), "256 letters, expected at most 200"),
    ],
)
def test_what_is_no_language(tmp_path, content, message):
    file = tmp_path / "mine.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ValueError, match=f"mine.txt: .*{message}"):
        load_language(file)
