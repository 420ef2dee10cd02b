import pytest

from textspot.geometry import box_to_quad
from textspot.metrics.words import agree_end_to_end, agree_word_spotting
from textspot.structures import Prediction, TextInstance
from textspot.text.dictionary import dictionary_word
from textspot.text.lexicon import Lexicon


@pytest.mark.parametrize(
    ("transcript", "text", "agree"),
    [
        ("", "", True),
        ("", "a", False),
        ("a", "", False),
        ("!", "", True),  # the one special character may be missing
        ("Exit", "EXIT", True),
        ("(Exit)", "exit", True),
        ("(Exit)", "exit)", True),
        ("(Exit)", "(exit", True),
        ("((Exit", "exit", False),  # only one on either side
        ("Exit", "exit!", False),  # may be missing, not added
        ("-Exit", "exit", False),  # a hyphen is not special
        ("it's", "its", False),  # not inside
    ],
)
def test_agree_end_to_end(transcript, text, agree):
    assert agree_end_to_end(transcript, text) is agree


@pytest.mark.parametrize(
    ("transcript", "word"),
    [
        ("", None),
        ("ab", None),
        ("abc", "abc"),
        ("'s", None),
        ("Joe's", "Joe"),
        ("JOE'S!", None),  # the 's is taken off at the very end only; then the apostrophe splits the word
        ("-abc-", "abc"),
        ("top-up", "top-up"),
        ("(abc)", "abc"),
        ("a.b.c", None),
        ("abc def", None),
        ("62-03", None),
        ("caf\u00e9", "caf\u00e9"),
        ("a\u00d7b", None),
        ("\u6c49\u5b57\u6c49", None),
    ],
)
def test_dictionary_word(transcript, word):
    assert dictionary_word(transcript) == word


def test_word_spotting_takes_the_text_as_it_is():
    assert agree_word_spotting("Joe", "JOE")
    assert not agree_word_spotting("Joe", "(Joe)")


def test_texts_are_corrected_and_what_must_be_wrong_is_left_out():
    texts = ["c0ffee", "12:30", "qwertz", "", "ab"]
    prediction = Prediction(tuple(TextInstance(box_to_quad([0, 0, 9, 9]), text, 0.5) for text in texts), (9, 9), "1")
    corrected = prediction.with_texts(Lexicon(("Coffee", "Tea"), "generic").correct(texts))
    assert [instance.text for instance in corrected] == ["Coffee", "12:30", "qwertz", "", "ab"]
    corrected = prediction.with_texts(Lexicon(("Coffee", "Tea"), "strong", complete=True).correct(texts))
    assert [instance.text for instance in corrected] == ["Coffee", "12:30", "", "ab"]
    assert (corrected.name, corrected[0].score) == ("1", 0.5)
