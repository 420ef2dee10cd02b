"""Which language an image is in."""

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
    ],
)
def test_the_words_decide(texts, name):
    assert choose_name(texts) == name


@pytest.mark.parametrize("name", list_languages())
def test_words_of_each_language_are_found_to_be_its_own(name):
    own = set(read_words(name)).difference(*(read_words(other) for other in list_languages() if other != name))
    assert choose_name(sorted(own)[::100]) == name


def test_what_users_ask_for():
    choice = choose_language("auto")
    assert isinstance(choice, LanguageChoice)
    assert choice.name == "auto"
    assert choice.choose(["AUSGANG"]).name == choose_language("german").name == "german"
    assert choose_language("none") is None
