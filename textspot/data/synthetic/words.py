"""What is written: words of a list, invented words, numbers, prices, times, codes and addresses."""

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

PRINTABLE_ASCII = string.digits + string.ascii_letters + string.punctuation

ONSETS = ("", *"bcdfghjklmnprstvwyz", "br", "ch", "cl", "cr", "dr", "fl", "gr", "pl", "qu", "sh", "sp", "st", "th", "tr")
NUCLEI = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "io", "oo", "ou")
CODAS = ("", "", "", *"bdgklmnprstx", "ck", "ll", "nd", "ng", "nt", "rt", "ss", "st")
NUMBERS = (  # 9 becomes a digit, Z a capital, ~ an invented word; all else stands for itself
    *("9", "99", "999", "9999", "#9", "99%", "9.9", "99.9", "9,999", "99th", "9x9", "+9"),
    *("$9", "$99", "$9.99", "$99.99", "9.99", "£9.99", "€99"),
    *("9:99", "99:99", "9.99pm", "9am", "99/99", "99/99/99", "2099", "199-9999", "(99)"),
    *("Z9", "Z9Z", "ZZ99", "Z-99", "ZZZ-999", "99Z", "9Z9"),
    *("www.~.com", "~.com", "@~", "~@~.org", "&~"),
)
PUNCTUATED = ("{},", "{}.", "{}!", "{}?", "{}:", "({})", '"{}"', "{}'s", "{}-{}", "{}&{}", "*{}")
PUNCTUATED_SHARE = 0.08  # about the share of words with punctuation in photographs of streets
LETTERS_SHARE = 0.15  # of the invented words: letters without order, so that a reader cannot guess instead of reading
ATTEMPTS = 30

WordCase = Literal["lower", "title", "upper", "mixed"]
_CASES: dict[str, Sequence] = {
    "lower": (str.lower,),
    "title": (str.capitalize,),
    "upper": (str.upper,),
    "mixed": (str.lower, str.capitalize, str.upper),
}


@dataclass(frozen=True)
class WordConfig:
    """Which words are written.

    Args:
        file: a word list, one word per line, UTF-8; without one all words are invented.
        invented_share: with a word list: the share of words that are invented nevertheless, so that reading is learned and not
            the list.
        number_share: the share of numbers, prices, times, codes and addresses.
        case: how words are cased; `mixed` is lower, Title or UPPER for each word anew.
        characters: only words made of these characters are written.
        min_length: words have at least so many characters.
        max_length: words have at most so many characters.
    """

    file: str | None = None
    invented_share: float = 0.2
    number_share: float = 0.2
    case: WordCase = "mixed"
    characters: str = PRINTABLE_ASCII
    min_length: int = 1
    max_length: int = 14

    def __post_init__(self) -> None:
        complaints = [
            f"{name} is {getattr(self, name)}, expected a share in [0, 1]"
            for name in ("invented_share", "number_share")
            if not 0 <= getattr(self, name) <= 1
        ]
        if not 1 <= self.min_length <= self.max_length:
            complaints.append(f"min_length {self.min_length} and max_length {self.max_length}: expected 1 <= min <= max")
        if not self.characters.strip():
            complaints.append("characters is empty: nothing could be written")
        if complaints:
            raise ValueError("words: " + "; ".join(complaints))


class WordSource:
    """Draws words that fit a `WordConfig`; holds no random state of its own."""

    def __init__(self, config: WordConfig):
        self._config = config
        self._characters = frozenset(config.characters)
        self._spare = [c for c in config.characters if not c.isspace() and any(f(c) == c for f in _CASES[config.case])]
        if not self._spare:
            raise ValueError(f"words: case {config.case!r} leaves nothing to write of the characters {config.characters!r}")
        self._list = self._fitting(config.file) if config.file else ()

    def allows(self, word: str) -> bool:
        """Whether the word has a wanted length and only wanted characters."""
        return self._config.min_length <= len(word) <= self._config.max_length and self._characters.issuperset(word)

    def draw(self, rng: np.random.Generator) -> str:
        """One word. Where the characters or lengths wanted leave no likely word, it is a string of those characters."""
        for _ in range(ATTEMPTS):
            word = self._draw_any(rng)
            if self.allows(word):
                return word
        length = rng.integers(self._config.min_length, self._config.max_length + 1)
        return "".join(_choose(rng, self._spare) for _ in range(length))

    def _draw_any(self, rng: np.random.Generator) -> str:
        if rng.random() < self._config.number_share:
            return _fill(rng, _choose(rng, NUMBERS))
        if self._list and rng.random() >= self._config.invented_share:
            word = _choose(rng, self._list)
        else:
            word = _invent(rng, self._config.min_length, self._config.max_length)
        word = _choose(rng, _CASES[self._config.case])(word)
        if rng.random() < PUNCTUATED_SHARE:
            word = _choose(rng, PUNCTUATED).format(word, word[::-1])
        return word

    def _fitting(self, file: str) -> tuple[str, ...]:
        cases = _CASES[self._config.case]
        words = tuple(word for word in _read_list(file) if any(self.allows(case(word)) for case in cases))
        if not words:
            raise ValueError(
                f"{file}: none of its {len(_read_list(file))} words has {self._config.min_length} to "
                f"{self._config.max_length} characters of {self._config.characters!r} in {self._config.case} case; "
                "expected a text file with one word per line"
            )
        return words


@lru_cache(maxsize=4)
def _read_list(file: str) -> tuple[str, ...]:
    if not Path(file).is_file():
        raise FileNotFoundError(f"{file}: no such word list; expected a text file with one word per line")
    lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _choose(rng: np.random.Generator, items: Sequence):
    return items[rng.integers(len(items))]


def _invent(rng: np.random.Generator, min_length: int, max_length: int) -> str:
    length = round(rng.triangular(min_length, (2 * min_length + max_length) / 3, max_length + 0.01)) if max_length > 1 else 1
    if rng.random() < LETTERS_SHARE:
        return "".join(_choose(rng, string.ascii_lowercase) for _ in range(length))
    word = ""
    while len(word) < length:
        word += _choose(rng, ONSETS) + _choose(rng, NUCLEI) + _choose(rng, CODAS)
    return word[:length]


def _fill(rng: np.random.Generator, pattern: str) -> str:
    fillings = {"9": string.digits, "Z": string.ascii_uppercase}
    text = "".join(_choose(rng, fillings[c]) if c in fillings else c for c in pattern)
    return "".join(_invent(rng, 2, 6) if c == "~" else c for c in text)
