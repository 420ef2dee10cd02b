"""Which language an image is in."""

from collections import Counter

import pytest

from textspot.text.language import list_languages, read_words
from textspot.text.language_choice import LanguageChoice, choose_language, choose_name


@pytest.mark.parametrize(
    ("texts", "name"),
    [
        ([], "english"),
        (["12:30", "A", "€5", ""], "english"),
        (["THE", "END"], "english"),
        (["AUSGANG", "Straße"], "german"),
        (["ÇIKIŞ"], "turkish"),
        (["„Wyjście”", "EXIT"], "polish"),
        (["sortie", "de", "secours"], "french"),
        (["OPEN", "Parking", "Salida", "calle"], "spanish"),
        (["ЕЩЁ", "ВЫХОД"], "russian"),
        (["П’ЯТЬ", "її"], "ukrainian"),
        (["ЊЕГА", "ће"], "serbian"),
        (["във", "ЩЕ"], "bulgarian"),
    ],
)
def test_the_words_decide(texts, name):
    assert choose_name(texts) == name


def test_words_of_each_language_are_found_to_be_its_own():
    lists = {name: read_words(name) for name in list_languages()}
    counts = Counter(word for words in lists.values() for word in words)
    for name, words in lists.items():
        assert choose_name([word for word in words if counts[word] == 1][::100]) == name


def test_what_users_ask_for():
    choice = choose_language("auto")
    assert isinstance(choice, LanguageChoice)
    assert choice.name == "auto"
    assert choice.choose(["AUSGANG"]).name == choose_language("german").name == "german"
    assert choose_language("none") is None
