"""Case and accents by the rules of languages."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from textspot.text.charset import CHARSETS, CYRILLIC_LETTERS, LATIN_LETTERS
from textspot.text.language import learn_language, list_languages, load_language, read_words
from textspot.text.spelling import bare, look_alike, spelling_of


@pytest.mark.parametrize(
    ("language", "word", "title", "upper"),
    [
        ("turkish", "ışık", "Işık", "IŞIK"),
        ("turkish", "istanbul", "İstanbul", "İSTANBUL"),
        ("english", "istanbul", "Istanbul", "ISTANBUL"),
        ("german", "straße", "Straße", "STRASSE"),
        ("dutch", "ijsland", "IJsland", "IJSLAND"),
        ("dutch", "lijn", "Lijn", "LIJN"),
        ("ukrainian", "п'ять", "П'ять", "П'ЯТЬ"),
        ("serbian", "љубав", "Љубав", "ЉУБАВ"),
        ("croatian", "ijekavica", "Ijekavica", "IJEKAVICA"),
        ("french", "école", "École", "ÉCOLE"),
        ("french", "", "", ""),
    ],
)
def test_capitals(language, word, title, upper):
    spelling = spelling_of(language)
    assert (spelling.title(word), spelling.upper(word)) == (title, upper)
    assert spelling.fold(title) == spelling.fold(word) == spelling.lower(title) == word
    if "ß" not in word:
        assert spelling.fold(upper) == spelling.lower(upper) == word


@pytest.mark.parametrize(
    ("language", "holds", "lacks"),
    [
        ("german", ["Straße", "STRASSE", "STRAẞE", "„Straße“"], ["STRAßß"]),
        ("turkish", ["IŞIK", "Işık", "İSTİYORUM"], ["ışik", "ISTIYORUM", "İŞIK"]),
        ("french", ["étudiant", "ÉTUDIANT", "ETUDIANT", "«Étudiant»"], ["etudiant", "Etudiant"]),
        ("romanian", ["știu", "ştiu", "ŞTIU"], ["știuț"]),
        ("russian", ["ещё", "ЕЩЕ", "«Актёр»", "актер"], ["ещё!ё"]),
        ("ukrainian", ["п'ять", "П’ЯТЬ", "пʼять"], ["п-ять"]),
        ("catalan", ["pel·lícula", "PEL·LÍCULA"], ["pellícula"]),
    ],
)
def test_words_of_a_language_in_all_spellings(language, holds, lacks):
    model = load_language(language)
    assert [text for text in holds if not model.holds(text)] == []
    assert [text for text in lacks if model.holds(text)] == []


@given(st.text(LATIN_LETTERS + CYRILLIC_LETTERS + "Iiabc’ʼ", max_size=8), st.sampled_from(list_languages()))
def test_folding_keeps_each_letter_and_is_done_once(text, language):
    spelling = spelling_of(language)
    folded = spelling.fold(text)
    assert spelling.fold(folded) == folded
    assert spelling.fold(unicodedata.normalize("NFD", text)) == folded
    assert folded == "".join(map(spelling.fold, text))


@pytest.mark.parametrize("language", list_languages())
def test_each_letter_of_a_word_is_one_of_the_model(language):
    """A letter that the model did not know would end the word in the beam."""
    words = read_words(language)[::500]
    model = learn_language(words, language, spelling=spelling_of(language))
    for word in words:
        for cased in (word, model.spelling.upper(word), model.spelling.title(word)):
            assert min(map(model.letter_of, cased)) > 0, cased


def test_bare_letters_and_look_alikes():
    assert bare("ÉcöleŁßø") == "EcoleŁßø"
    assert "".join(map(look_alike, "éŁøıİ„»–aß€")) == 'eLoiI""-aß€'
    assert "".join(map(look_alike, "ВёїЈ№жΆώΡλ")) == "BeiJ№жAωPλ"
    assert all(look_alike(c) == c or look_alike(c).isascii() for c in CHARSETS["latin"])
