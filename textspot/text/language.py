"""A language model of letters: how likely a letter is after those before it, learned from a list of words.

An n-gram model with Witten and Bell's interpolation (Chen and Goodman 1999, "An empirical study of smoothing techniques
for language modeling", 2.6), unrolled into a table: a state for each context that the words hold, a column for each
letter, so that a step of decoding is a lookup. Case is folded, by the rules of the language.

Legend: P places in the words, N letters before one, S states, L letters and 1; letter 0 is the end of a word, and in a
context its beginning.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from unicodedata import category

import numpy as np

from textspot.regular_file import refuse_other_kinds
from textspot.text.charset import PUNCTUATION, normalize
from textspot.text.spelling import UNICODE, Spelling, bare, spelling_of

ORDER = 5  # letters of an n-gram
MOST_LETTERS = 200  # an alphabet: of each letter the table has a column
NOT_A_LETTER = -1
SHIPPED = Path(__file__).parent.parent / "languages"


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """The table of a model.

    Args:
        letters: those that it knows; `letters[i]` is letter i + 1.
        log_probabilities: (S, L) float32, of each letter in each state.
        next_states: (S, L) int32, the state after each letter; after a word's end it means nothing.
        start: the state before a word.
        words: those that it was learned from, folded.
        name: that of the language, or of the file.
        spelling: the rules of case.
    """

    letters: str
    log_probabilities: np.ndarray
    next_states: np.ndarray
    start: int
    words: frozenset[str]
    name: str = "a list of words"
    spelling: Spelling = UNICODE

    def holds(self, text: str) -> bool:
        """Whether a text, without the punctuation around it, is a word of the list, of two letters or more. Capitals
        may lack their accents, where the language often leaves them out."""
        text = text.strip(PUNCTUATION)
        word = _fold(text, self.spelling)
        if len(word) < 2:
            return False
        return word in self.words or (self.spelling.bare_capitals and text.isupper() and word in self._bare_words)

    def letter_of(self, character: str) -> int:
        """The number of a character's letter, or `NOT_A_LETTER`."""
        return self._numbers.get(self.spelling.fold(character), NOT_A_LETTER)

    @cached_property
    def _bare_words(self) -> frozenset[str]:
        return frozenset(map(bare, self.words))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {letter: number + 1 for number, letter in enumerate(self.letters)}


@cache
def list_languages() -> tuple[str, ...]:
    """The names of the languages that ship."""
    return tuple(sorted(file.stem for file in SHIPPED.glob("*.txt")))


def load_language(name: str | Path) -> LanguageModel:
    """The model of a language that ships, such as `english`, or of a UTF-8 file of words, one per line. Neither is a
    ValueError."""
    if name in list_languages():
        return _load_shipped(str(name))
    try:
        refuse_other_kinds(name, "a file of words")
        return learn_language(Path(name).read_text(encoding="utf-8-sig").splitlines(), str(name))
    except (OSError, ValueError) as error:
        known = ", ".join(list_languages())
        raise ValueError(f"{name}: neither a language that ships ({known}) nor a file of words: {error}") from error


@cache
def _load_shipped(name: str) -> LanguageModel:
    return learn_language(read_words(name), name, spelling=spelling_of(name))


def read_words(name: str) -> list[str]:
    """The words of a language that ships, folded, in order of the alphabet."""
    return (SHIPPED / f"{name}.txt").read_text(encoding="utf-8").splitlines()


def learn_language(
    words: Iterable[str], name: str = LanguageModel.name, order: int = ORDER, spelling: Spelling = UNICODE
) -> LanguageModel:
    """The n-gram model of a list of words, `order` at least 2. Each counts once, one with ß also with ss; those that
    hold anything but letters (and the marks on them) do not. No word, or words of more than 200 letters, are a
    ValueError."""
    folded = {_fold(word, spelling) for word in "\n".join(words).split("\n")}
    folded |= {word.replace("ß", "ss") for word in folded if "ß" in word}  # so it is written in capitals
    no_letters = {c for c in set("".join(folded)) if category(c)[0] not in "LM" and c not in spelling.inner}
    words = sorted(word for word in folded if word and no_letters.isdisjoint(word))
    if not words:
        raise ValueError("it holds no word of letters alone")
    letters = "".join(sorted(set("".join(words))))
    if len(letters) > MOST_LETTERS:
        raise ValueError(f"its words hold {len(letters)} letters, expected at most {MOST_LETTERS}")
    contexts_PN, letter_P = _list_places(words, letters, order)
    base, longest = len(letters) + 1, order - 1
    known: list[np.ndarray] = []  # by length the contexts, ascending, as numbers of that many digits
    tables: list[np.ndarray] = []
    for length in range(order):
        code_P = contexts_PN[:, longest - length :] @ base ** np.arange(length)[::-1]
        codes_S, place_P = np.unique(code_P, return_inverse=True)
        count_SL = np.bincount(place_P * base + letter_P, minlength=len(codes_S) * base).reshape(-1, base)
        kinds_S1 = (count_SL > 0).sum(axis=1, keepdims=True)
        shorter_SL = tables[-1][_places_of(codes_S, known, length - 1, base)] if length else np.array([[1 / base]])
        known.append(codes_S)
        tables.append((count_SL + kinds_S1 * shorter_SL) / (count_SL.sum(axis=1, keepdims=True) + kinds_S1))
    first = np.cumsum([0, *map(len, known)])  # state of each length
    next_states: list[np.ndarray] = []
    for length, codes_S in enumerate(known):
        longer = min(length + 1, longest)
        code_SL = (codes_S[:, None] * base + np.arange(base)) % base**longer
        place_SL = np.searchsorted(known[longer], code_SL).clip(max=len(known[longer]) - 1)
        shorter_SL = next_states[-1][_places_of(codes_S, known, length - 1, base)] if length else np.zeros((1, base))
        next_states.append(np.where(known[longer][place_SL] == code_SL, first[longer] + place_SL, shorter_SL))
    return LanguageModel(
        letters,
        np.log(np.concatenate(tables)).astype(np.float32),
        np.concatenate(next_states).astype(np.int32),
        int(first[longest]),  # of the longest contexts, beginnings alone come first
        frozenset(words),
        name,
        spelling,
    )


def _fold(word: str, spelling: Spelling) -> str:
    """Composed and without case, and without what is invisible."""
    return normalize(spelling.fold(normalize(word)))


def _list_places(words: Sequence[str], letters: str, order: int) -> tuple[np.ndarray, np.ndarray]:
    """For each letter and each end of a word the order - 1 letters before it (P, N), and itself (P,)."""
    number = {letter: index + 1 for index, letter in enumerate(letters)}
    beginning = [0] * (order - 1)
    stream = [letter for word in words for letter in [*beginning, *map(number.__getitem__, word)]]
    windows = np.lib.stride_tricks.sliding_window_view(np.array([*stream, 0]), order)
    windows = windows[(windows[:, -2:] > 0).any(axis=1)]  # of the zeros after a word only the first is its end
    return windows[:, :-1], windows[:, -1]


def _places_of(codes: np.ndarray, known: Sequence[np.ndarray], length: int, base: int) -> np.ndarray:
    """Where the contexts without their first letter, `length` long, stand among the known ones."""
    return np.searchsorted(known[length], codes % base**length)
