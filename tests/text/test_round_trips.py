"""A text comes back as it was: from a transcript to classes, through logits and decoding, to what is compared and
written."""

import json
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from textspot.metrics.recognition import score_recognition
from textspot.structures import Prediction, TextInstance
from textspot.text.beam import decode_beam
from textspot.text.charset import CHARSETS, LATIN, Charset, normalize
from textspot.text.ctc import decode_best_path, min_time_steps
from textspot.text.language import LanguageModel, learn_language, list_languages, read_words
from textspot.text.scripts import split_graphemes
from textspot.text.spelling import spelling_of

QUAD = np.array([[0, 0], [9, 0], [9, 9], [0, 9]], np.float32)
MARKED = Charset(LATIN + "\u030c\u0303")  # letters that have no composed form: x̌, ẽ̌


def to_logits(tokens: list[int], num_classes: int) -> np.ndarray:
    """Logits (1, T, C) that say these tokens clearly, with a blank after each."""
    path = [step for token in tokens for step in (token, 0)]
    logits = np.zeros((1, max(len(path), 1), num_classes), np.float32)
    logits[0, np.arange(len(path)), path] = 20
    return logits


def read_back(text: str, charset: Charset, language: LanguageModel | None = None) -> str:
    logits = to_logits(charset.encode(text), charset.num_classes)
    assert logits.shape[1] >= min_time_steps(charset.encode(text))
    ((read, _),) = decode_beam(logits, charset, language) if language else decode_best_path(logits, charset)
    return read


@pytest.mark.parametrize("name", list_languages())
def test_words_of_each_language_in_each_case(name: str) -> None:
    charset, spelling = Charset("".join(sorted(set("".join(CHARSETS.values()))))), spelling_of(name)
    words = [word for word in read_words(name)[::400] if len(word) > 1 and charset.knows(word)]
    language = learn_language(words, name, spelling=spelling)
    for word in words:
        for text in (word, spelling.title(word), spelling.upper(word)):
            transcript = unicodedata.normalize("NFD", text)
            assert normalize(transcript) == text
            assert read_back(text, charset) == read_back(text, charset, language) == text
            assert language.holds(text)


@given(st.text(LATIN + "\u030c\u0303", min_size=1, max_size=10))
def test_any_text_is_composed_once_and_comes_back(text: str) -> None:
    composed = normalize(text)
    assert normalize(composed) == composed
    assert "".join(split_graphemes(composed)) == composed
    if MARKED.knows(composed):
        assert read_back(composed, MARKED) == composed


def test_graphemes_are_what_people_count() -> None:
    assert split_graphemes("") == []
    assert split_graphemes("éx\u030cn") == ["é", "x\u030c", "n"]
    assert split_graphemes("हिन्दी")[0] == "हि"


@pytest.mark.parametrize("text", ["Łódź", "IŞIK", "STRAẞE", "x\u030c", "pel·lícula", "9,99€"])
def test_what_is_written_and_what_is_compared(text: str) -> None:
    """A reading is right though the annotation is decomposed, and a file holds the very text."""
    read = normalize(text)
    prediction = Prediction((TextInstance(QUAD, read, 0.9, 0.9),), (10, 10))
    assert json.loads(json.dumps(prediction.to_dict(), ensure_ascii=False))["instances"][0]["text"] == read
    annotated = normalize(unicodedata.normalize("NFD", text))
    assert score_recognition([read], [annotated])["recognition/word_accuracy"] == 1
