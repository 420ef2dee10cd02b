import string
from dataclasses import replace

import numpy as np
import pytest

from textspot.data.synthetic.words import PATTERNS, SIGN_PHRASES, WordConfig, WordSource
from textspot.text.charset import CHARSETS, LATIN, PUNCTUATION
from textspot.text.language import list_languages, read_words
from textspot.text.spelling import Spelling


def draw(config: WordConfig, count: int = 300, sign_share: float = 0.0) -> list[str]:
    source, rng = WordSource(replace(config, sign_share=sign_share)), np.random.default_rng(5)
    return [word for _ in range(count) for word in source.draw(rng, 1)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"number_share": 1.5}, r"number_share is 1.5, expected a value in \[0, 1\]"),
        ({"invented_share": -1}, "invented_share is -1"),
        ({"sign_share": 2}, "sign_share is 2"),
        ({"min_length": 0}, "min_length 0, max_length 14: expected 1 <= min <= max"),
        ({"min_length": 5, "max_length": 4}, "min_length 5, max_length 4"),
        ({"characters": ""}, "characters is empty"),
        ({"characters": "a b"}, "holds blanks"),
        ({"languages": ("german", "klingon")}, "languages holds klingon, expected some of bulgarian, catalan, "),
        ({"part": "train"}, "words.part goes with .*languages"),
        ({"characters": "ab\u0915\u093f"}, r"U\+093F.*vowel signs that stand before or around"),
        ({"characters": "ab\u05d0\u0633"}, r"U\+05D0.*U\+0633.*run right to left"),
    ],
)
def test_impossible_configurations_are_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        WordConfig(**changes)


def test_a_case_that_leaves_no_character_is_refused():
    with pytest.raises(ValueError, match="case upper leaves nothing to write of characters 'abc'"):
        WordSource(WordConfig(case="upper", characters="abc"))


def test_the_same_generator_gives_the_same_words():
    assert draw(WordConfig()) == draw(WordConfig())


def test_invented_words_hardly_repeat():
    assert len(set(draw(WordConfig(min_length=6, number_share=0)))) > 290


@pytest.mark.parametrize("characters", ["A", "0", "0123456789", "ABC", ".,-", "é"])
def test_few_characters_still_give_words_of_them_alone(characters):
    words = draw(WordConfig(characters=characters, max_length=3), count=40)
    assert set("".join(words)) <= set(characters)
    assert {len(word) for word in words} == {1, 2, 3}


@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (3, 3), (2, 8), (18, 20)])
def test_lengths_stay_within_bounds_and_use_them(shortest, longest):
    lengths = {len(word) for word in draw(WordConfig(min_length=shortest, max_length=longest))}
    assert min(lengths) == shortest
    assert max(lengths) == longest


@pytest.mark.parametrize(
    ("case", "expected"),
    [("lower", str.islower), ("upper", str.isupper), ("title", str.istitle)],
)
def test_case(case, expected):
    words = draw(WordConfig(case=case, number_share=0, characters=string.ascii_letters))
    assert np.mean([expected(word) for word in words]) > 0.95


def test_mixed_case_holds_all_three():
    words = draw(WordConfig(case="mixed", number_share=0, min_length=2, characters=string.ascii_letters))
    for kind in (str.islower, str.isupper, str.istitle):
        assert np.mean([kind(word) for word in words]) > 0.2


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0.1), (0.5, 0.35, 0.6), (1, 0.85, 1)])
def test_share_of_numbers(share, least, most):
    words = draw(WordConfig(number_share=share))
    assert least <= np.mean([any(c in string.digits + "@&-/." for c in word) for word in words])
    assert np.mean([any(c.isdigit() for c in word) for word in words]) <= most


def test_every_printable_character_is_written_at_times():
    written = "".join(draw(WordConfig(), count=4000))
    assert set(written) == set(string.digits + string.ascii_letters + string.punctuation)


def test_every_pattern_can_be_written():
    longest = max(len(pattern) + 12 for pattern in PATTERNS)
    words = draw(WordConfig(number_share=1, max_length=longest, characters=string.printable[:94] + "£€"), count=3000)
    for start in ("$", "£", "€", "www.", "#", "@"):
        assert any(word.lower().startswith(start) for word in words), start


def test_listed_words_are_written(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("harbour\n\n  quay \nfar-too-long-for-this\n", encoding="utf-8-sig")
    config = WordConfig(
        file=str(file), invented_share=0, number_share=0, case="lower", characters=string.ascii_lowercase, max_length=8
    )
    words = draw(config)
    assert np.mean([word in ("harbour", "quay") for word in words]) > 0.9
    invented = draw(WordConfig(file=str(file), invented_share=1, number_share=0, max_length=8))
    assert not {"harbour", "quay"} & {word.lower() for word in invented}


@pytest.mark.parametrize("content", ["", "\n \n", "naïve\n", "x" * 40])
def test_a_list_without_a_word_that_fits_is_an_error_that_names_it(tmp_path, content):
    file = tmp_path / "words.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"words\.txt: none of its \d words has 1 to 14 characters of"):
        WordSource(WordConfig(file=str(file)))


def test_a_list_that_does_not_exist_is_an_error_that_names_it():
    with pytest.raises(FileNotFoundError, match=r"nowhere\.txt: no such word list; expected a text file"):
        WordSource(WordConfig(file="nowhere.txt"))


def test_words_of_signs_come_in_their_order():
    source = WordSource(WordConfig(sign_share=1.0, case="lower", max_length=20))
    phrases = [line.lower().split() for line in SIGN_PHRASES.read_text(encoding="utf-8").splitlines()]
    starts = {tuple(phrase[:3]) for phrase in phrases if len(phrase) >= 3}
    drawn = [tuple(source.draw(np.random.default_rng(i), 3)) for i in range(200)]
    assert np.mean([words in starts for words in drawn]) > 0.3
    single = {word for phrase in phrases for word in phrase}
    assert np.mean([word in single for words in drawn for word in words]) > 0.9


def test_a_given_case_holds_for_all_words():
    source = WordSource(WordConfig(characters=string.ascii_letters, number_share=0.0))
    for seed in range(20):
        words = source.draw(np.random.default_rng(seed), 5, Spelling.upper)
        assert sum(word.isupper() for word in words) >= 4  # but for a rare string of any characters


@pytest.mark.parametrize("characters", ["0123456789", "xyz", "é"])
def test_signs_without_a_wanted_character_are_left_out(characters):
    words = draw(WordConfig(characters=characters), count=40, sign_share=1.0)
    assert set("".join(words)) <= set(characters)


def test_words_of_a_language_by_its_rules():
    plain = {"sign_share": 0, "invented_share": 0, "number_share": 0, "characters": "latin", "max_length": 30}
    german = set(read_words("german"))
    for word in draw(WordConfig(languages=("german",), case="title", **plain), count=100):
        folded = word.strip("".join(set(LATIN) - set(string.ascii_letters))).lower()
        assert word[0].isupper() or not word[0].isalpha() or folded in german
    turkish = "".join(draw(WordConfig(languages=("turkish",), case="upper", **plain), count=200))
    assert "İ" in turkish
    assert "I" in turkish
    assert not set("iıöğ") & set(turkish)


def test_a_text_is_in_one_language():
    config = WordConfig(
        languages=("polish", "turkish"),
        sign_share=0,
        invented_share=0,
        number_share=0,
        case="lower",
        characters="latin",
    )
    source, rng = WordSource(config), np.random.default_rng(3)
    polish, turkish = set("ąćęłńśźż"), set("ğşıöü")
    texts = [set("".join(source.draw(rng, 4))) for _ in range(60)]
    assert sum(bool(text & polish) for text in texts) > 10
    assert sum(bool(text & turkish) for text in texts) > 10
    assert sum(bool(text & polish) and bool(text & turkish) for text in texts) < 12  # strings of any characters


def test_a_letter_and_its_mark_are_one_character(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("x\u030cx\n", encoding="utf-8")
    plain = {"sign_share": 0, "invented_share": 0, "number_share": 0, "case": "lower", "min_length": 2, "max_length": 2}
    words = draw(WordConfig(file=str(file), characters="x\u030c", **plain))
    assert set(words) == {"x\u030cx", "xx"}, "strings of any characters hold no mark that stands on nothing"


def test_held_out_words_are_never_trained_on():
    def list_words(part: str) -> set[str]:
        config = WordConfig(languages=("czech",), part=part, characters="latin", min_length=12)
        return set(WordSource(config)._lists[0].listed)

    train, held_out = list_words("train"), list_words("held_out")
    assert train.isdisjoint(held_out)
    assert train | held_out == list_words("all")
    assert 0.05 < len(held_out) / len(train | held_out) < 0.15


def test_the_words_of_all_languages_can_be_written_in_a_charset():
    """Of the lists, some of which hold rarer letters, nearly all."""
    for name in list_languages():
        words = read_words(name)
        rare = min((set("".join(words)).difference(characters) for characters in CHARSETS.values()), key=len)
        assert sum(not rare.isdisjoint(word) for word in words) <= 0.002 * len(words), name


def test_words_of_another_script_are_invented_of_their_own_parts(monkeypatch):
    monkeypatch.setattr("textspot.data.synthetic.words._part_of", lambda *_: ("слово", "буква"))
    config = WordConfig(languages=("russian",), sign_share=0, invented_share=1, case="lower", characters="cyrillic")
    words = {word.strip(PUNCTUATION) for word in draw(config, count=300)}
    assert {"слова", "букво", "слово", "буква"} <= words
    assert any(word.startswith("№") for word in draw(replace(config, number_share=1), count=300))
