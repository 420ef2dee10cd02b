import unicodedata
from collections import Counter

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from textspot.model_card import ModelCard
from textspot.text.charset import CHARSETS, LATIN, PRINTABLE_ASCII, Charset, TextConfig, normalize
from textspot.text.language import list_languages, read_words
from textspot.text.spelling import spelling_of

E_ACUTE, E_THEN_ACUTE = "\u00e9", "e\u0301"


@pytest.mark.parametrize(("characters", "message"), [("", "the charset is empty"), ("abcba", "'ab' more than once")])
def test_charsets_that_cannot_be(characters, message):
    with pytest.raises(ValueError, match=message):
        Charset(characters)


def test_the_default_charset_is_the_usual_94_characters_and_the_blank():
    charset = Charset(TextConfig().characters)
    assert charset.num_classes == 95
    assert charset.characters == PRINTABLE_ASCII
    assert all(33 <= ord(character) <= 126 for character in charset.characters)


def test_a_charset_of_one():
    charset = Charset("x")
    assert charset.num_classes == 2
    assert charset.encode("xx") == [1, 1]
    assert charset.decode([1]) == "x"


def test_the_empty_text():
    assert Charset("ab").encode("") == []
    assert Charset("ab").decode([]) == ""
    assert Charset("ab").knows("")


def test_class_0_is_nobodys():
    assert Charset("abc").encode("cab") == [3, 1, 2]


@given(st.text(PRINTABLE_ASCII))
def test_encode_and_back(text):
    charset = Charset(PRINTABLE_ASCII)
    tokens = charset.encode(text)
    assert charset.decode(tokens) == text
    assert all(0 < token < charset.num_classes for token in tokens)


def test_an_unknown_character_is_named_once():
    charset = Charset("abc")
    assert not charset.knows("abcd")
    with pytest.raises(ValueError, match=r"'bdaed' holds characters outside the charset: d e$"):
        charset.encode("bdaed")


@pytest.mark.parametrize(
    ("transcript", "case", "text"),
    [
        ("", "keep", ""),
        (" \t", "keep", ""),
        (" Main St. ", "keep", "Main St."),
        ("Main St.", "upper", "MAIN ST."),
        ("Main St.", "lower", "main st."),
        (E_THEN_ACUTE, "keep", E_ACUTE),
        (E_THEN_ACUTE, "upper", E_ACUTE.upper()),
        ("stra\u00dfe", "upper", "STRASSE"),
    ],
)
def test_normalize(transcript, case, text):
    assert normalize(transcript, case) == text


@given(st.text(max_size=6), st.sampled_from(["keep", "upper", "lower"]))
@example("\u0390", "upper")  # capitals of an iota with two accents: three characters that compose to two
def test_a_normalized_text_is_composed_and_stays_as_it_is(transcript, case):
    text = normalize(transcript, case)
    assert unicodedata.is_normalized("NFC", text)
    assert normalize(text, case) == text


def test_missing_characters_most_frequent_first():
    assert Charset("abc").missing({}) == {}
    assert Charset("abc").missing({"a": 9, "x": 2, "y": 5}) == {"y": 5, "x": 2}


def test_missing_characters_are_counted_after_folding():
    counts = {"a": 1, "A": 2, "b": 4, "B": 8}
    assert Charset("AB").missing(counts) == {"b": 4, "a": 1}
    assert Charset("AB").missing(counts, "upper") == {}
    assert Charset("A").missing(counts, "upper") == {"B": 12}
    assert Charset("S").missing({"\u00df": 3}, "upper") == {}


def test_the_space_inside_a_transcript_can_be_missing():
    """It would pass the check before training, and every transcript of two words would be left out of it."""
    text = normalize("Main St.")
    counts = {character: text.count(character) for character in text}
    assert not Charset(PRINTABLE_ASCII).knows(text)
    assert Charset(PRINTABLE_ASCII).missing(counts) == {" ": 1}


@pytest.mark.parametrize("name", list_languages())
def test_a_charset_holds_the_letters_that_a_list_uses(name):
    spelling, counts = spelling_of(name), Counter(letter for word in read_words(name) for letter in set(word))
    used = {letter for letter, count in counts.items() if count >= 10}
    used |= set("".join(map(spelling.upper, used)))
    assert any(used <= set(characters) for characters in CHARSETS.values())


def test_charsets_hold_each_character_once_and_ascii_first():
    for characters in CHARSETS.values():
        assert len(set(characters)) == len(characters)
        assert characters.startswith(PRINTABLE_ASCII)


def test_a_charset_by_its_name():
    assert TextConfig("latin").characters == LATIN
    assert TextConfig("ascii") == TextConfig()
    assert TextConfig("latin!").characters == "latin!"


def test_scripts_from_right_to_left_are_refused():
    with pytest.raises(ValueError, match=r"text.characters holds 'א' \(U\+05D0\), which run right to left"):
        TextConfig("abא")


def test_the_characters_of_a_file(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\ufeffλόγος\n  e\u0301t\u00e9 STRASSE ß\n\n東京\n", encoding="utf-8")
    characters = TextConfig(str(file)).characters
    assert characters == PRINTABLE_ASCII + "ÉßéΌΓΛΟΣγλοςό京東"
    assert Charset(characters).knows("ΛΌΓΟΣ")
    file.write_text("", encoding="utf-8")
    assert TextConfig(str(file)).characters == PRINTABLE_ASCII


def test_files_of_characters_that_cannot_be_read(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.txt: no UTF-8 text file of the characters to read"):
        TextConfig(str(tmp_path / "gone.txt"))
    (tmp_path / "latin1.txt").write_bytes("é".encode("latin-1"))
    with pytest.raises(ValueError, match=r"latin1\.txt: no UTF-8 text file"):
        TextConfig(str(tmp_path / "latin1.txt"))
    (tmp_path / "hebrew.txt").write_text("שלום", encoding="utf-8")
    with pytest.raises(ValueError, match="which run right to left"):
        TextConfig(str(tmp_path / "hebrew.txt"))


def test_a_card_of_weights_names_no_file(tmp_path):
    (tmp_path / "words.txt").write_text("abc", encoding="utf-8")
    recipe = {"text": {"characters": str(tmp_path / "words.txt")}, "preprocess": {}, "postprocess": {}}
    with pytest.raises(ValueError, match="is the name of a file, expected characters"):
        ModelCard(recipe)
