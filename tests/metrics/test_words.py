import pytest

from textspot.metrics.words import agree_end_to_end, agree_word_spotting, dictionary_word


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
