import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.text.charset import PRINTABLE_ASCII, Charset
from textspot.text.lexicon import MOST_EDITS, ImageLexicons, Lexicon, load_image_lexicons, load_lexicon, open_lexicon

COFFEE = Lexicon(("Coffee", "Tea", "Toffee", "Joe's"), "weak")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", None),
        ("te", None),  # too short
        ("!!!", None),  # nothing but punctuation
        ("tea", "Tea"),
        ("(TEA)", "Tea"),
        ("Joe's", "Joe's"),
        ("C0FFEE", "Coffee"),  # a look-alike costs one half
        ("coffe", "Coffee"),
        ("cxffxe", None),  # two edits in six characters
        ("loffee", "Coffee"),  # as near as Toffee: the first
        ("12:30", None),
    ],
)
def test_find(text, word):
    assert COFFEE.find(text) == word
    assert COFFEE.correct([text]) == [text if word is None else word]


def test_a_look_alike_is_nearer_than_another_letter():
    assert Lexicon(("BOSS", "B0AT", "BOAT"), "x").find("B0SS") == "BOSS"
    assert Lexicon(("LOST", "LAST"), "x").find("L0ST") == "LOST"
    assert Lexicon(("STOP", "SHOP"), "x").find("5HOP") == "SHOP"


def test_a_lexicon_without_words_finds_nothing():
    assert Lexicon((), "strong").find("word") is None


def test_all_at_once_are_those_one_by_one(monkeypatch):
    monkeypatch.setattr("textspot.text.lexicon.CHUNK", 2)
    texts = ["C0FFEE", "", "tea", "nothing", "TEA", "toffe", "12:30"]
    assert COFFEE.find_all(texts) == [Lexicon(COFFEE.words, "new").find(text) for text in texts]
    assert COFFEE.find_all([]) == []


def test_what_was_found_before_is_remembered_and_not_for_ever(monkeypatch):
    monkeypatch.setattr("textspot.text.lexicon.MOST_REMEMBERED", 2)
    lexicon, searched = Lexicon(("LAST", "STOP"), "x"), []
    search = Lexicon._search
    monkeypatch.setattr(Lexicon, "_search", lambda self, plains: searched.append(plains) or search(self, plains))
    assert [lexicon.find(text) for text in ("stop", "ST0P", "(st0p)", "exit", "EXIT")] == ["STOP"] * 3 + [None] * 2
    assert searched == [["STOP"], ["ST0P"], ["EXIT"]]
    assert lexicon.find_all(["exit", "last", "ST0P"]) == [None, "LAST", "STOP"]
    assert pickle.loads(pickle.dumps(lexicon)) == lexicon


def edit_distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        row, above = [i], row
        for j, y in enumerate(b, start=1):
            row.append(min(above[j] + 1, row[-1] + 1, above[j - 1] + (x != y)))
    return row[-1]


def loop_find(words, text):
    fold = {"0": "O", "1": "I", "L": "I"}
    best = None
    for number, word in enumerate(words):
        plain = edit_distance(text, word)
        folded = edit_distance(*("".join(fold.get(c, c) for c in s) for s in (text, word)))
        if plain + folded <= 2 * MOST_EDITS * len(text):
            best = min(best or (9, 9, 9), (plain + folded, plain, number))
    return words[best[2]] if best else None


alike = st.text(alphabet="O01LIA", min_size=3, max_size=8)


@settings(max_examples=200, deadline=None)
@given(st.lists(alike, max_size=8, unique=True), alike)
def test_find_agrees_with_the_loop(words, text):
    assert Lexicon(tuple(words), "x").find(text) == loop_find(words, text)


def test_lexicons_of_images():
    lexicons = ImageLexicons({"7": COFFEE}, "strong")
    for name in ("7", "img_7", "img_7.jpg", "icdar/img_7.png"):
        assert lexicons.of(name) is COFFEE
    with pytest.raises(ValueError, match=r"no strong lexicon for image 'img_8.jpg'; expected a file voc_img_8.txt"):
        lexicons.of("img_8.jpg")
    assert COFFEE.of("img_8.jpg") is COFFEE


def test_load_lexicon(tmp_path):
    path = tmp_path / "GenericVocabulary.txt"
    path.write_bytes("\ufeffone\r\n\r\n two \r\ncaf\u00e9\none".encode())
    lexicon = load_lexicon(path, "generic")
    assert lexicon == Lexicon(("one", "two", "caf\u00e9"), "generic", complete=False)
    assert load_lexicon(path, "weak", complete=True).complete
    path.write_bytes(b"one\ncaf\xe9")
    with pytest.raises(ValueError, match=r"GenericVocabulary\.txt: line 2: not UTF-8"):
        load_lexicon(path, "generic")
    path.write_bytes(b"\n")
    with pytest.raises(ValueError, match="no words; expected one per line"):
        load_lexicon(path, "generic")


def test_load_image_lexicons(tmp_path):
    with pytest.raises(ValueError, match=r"no file named voc_img_<number>\.txt"):
        load_image_lexicons(tmp_path)
    (tmp_path / "voc_img_1.txt").write_text("one\ntwo")
    (tmp_path / "voc_img_2.txt").write_text("")
    lexicons = load_image_lexicons(tmp_path)
    assert lexicons.of("img_1").words == ("one", "two")
    assert lexicons.of("img_1").complete
    assert (lexicons.name, lexicons.of("2").words) == ("strong", ())


@pytest.mark.parametrize(
    ("name", "called", "complete"),
    [("", "ch4_test_vocabulary", False), ("weak", "weak", True), ("full", "full", True), ("generic", "generic", False)],
)
def test_a_file_is_one_lexicon_and_its_name_says_whether_it_is_complete(tmp_path, name, called, complete):
    path = tmp_path / "ch4_test_vocabulary.txt"
    path.write_text("one")
    assert open_lexicon(path, name) == Lexicon(("one",), called, complete)


def test_a_folder_is_a_lexicon_for_each_image(tmp_path):
    (tmp_path / "voc_img_1.txt").write_text("one")
    assert open_lexicon(tmp_path).of("img_1") == Lexicon(("one",), "strong", complete=True)
    assert open_lexicon(tmp_path, "mine").name == "mine"
    with pytest.raises(FileNotFoundError, match="absent"):
        open_lexicon(tmp_path / "absent.txt")


def shown(text: str, doubts: dict[int, tuple[str, float]], steps: int = 16) -> np.ndarray:
    """Probabilities (1, T, C) of a text, at some characters of another one with that probability."""
    charset = Charset(PRINTABLE_ASCII)
    probability = np.full((1, steps, charset.num_classes), 1e-6, np.float32)
    probability[:, :, 0] = 1
    for place, token in enumerate(charset.encode(text)):
        probability[0, 2 * place, 0] = 1e-6
        other, doubt = doubts.get(place, (" ", 0.0))
        probability[0, 2 * place, token] = 1 - doubt
        if doubt:
            probability[0, 2 * place, charset.encode(other)[0]] = doubt
    return probability / probability.sum(axis=2, keepdims=True)


@pytest.mark.parametrize(
    ("complete", "text", "doubts", "expected"),
    [
        (False, "HOTEI", {4: ("L", 0.1)}, "Hotel"),  # in doubt, and a word of the list
        (False, "HOTEI", {}, "HOTEI"),  # read with certainty
        (False, "THE", {2: ("A", 0.01)}, "THE"),  # a short word is near by chance
        (False, "hotel", {}, "Hotel"),
        (False, "(hotel)", {}, "Hotel"),
        (False, "12:30", {}, "12:30"),
        (False, "1.2", {}, "1.2"),
        (True, "HOTEI", {}, "Hotel"),  # a word of a complete list is all that it can be
        (True, "12:30", {}, "12:30"),  # no list holds numbers
    ],
)
def test_a_word_competes_with_the_reading(complete, text, doubts, expected):
    lexicon = Lexicon(("Hotel", "Tea", "Toffee"), "own", complete)
    ((found, score),) = lexicon.read(shown(text, doubts), PRINTABLE_ASCII, [(text, 0.9)])
    assert found == expected
    assert (score == 0.9) == (expected == text)


def test_where_no_word_of_a_complete_list_is_near_there_is_no_text():
    for words in ((), ("!!",), ("Tea",)):
        ((found, score),) = Lexicon(words, "own", complete=True).read(
            shown("ZEBRA", {}), PRINTABLE_ASCII, [("ZEBRA", 1.0)]
        )
        assert found is None or score < 0.5
    assert Lexicon((), "own", complete=True).read(shown("ZEBRA", {}), PRINTABLE_ASCII, [("", 0.5)]) == [("", 0.5)]
    assert Lexicon(("Tea",), "own").read(shown("A", {})[:0], PRINTABLE_ASCII, []) == []


def test_a_word_scores_higher_the_longer_it_is_and_the_fewer_words_there_are():
    def score(word: str, *others: str) -> float:
        lexicon = Lexicon((word, *others), "own", complete=True)
        return lexicon.read(shown(word, {0: ("x", 0.3)}), PRINTABLE_ASCII, [(word, 0.98)])[0][1]

    assert score("toffee") > score("tea") > score("tea", "lot", "kit") > 0.98


def test_words_of_letters_that_the_tree_lacks_are_found_where_they_are_read(monkeypatch):
    monkeypatch.setattr("textspot.text.word_tree.MOST_LETTERS", 1)
    lexicon = Lexicon(("Aa", "Zoo"), "own", complete=True)
    assert lexicon.read(shown("ZOO", {}), PRINTABLE_ASCII, [("ZOO", 0.9)]) == [("Zoo", 0.9)]
