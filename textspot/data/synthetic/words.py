"""What is written: phrases of signs, words of a list, invented words, numbers, prices, times, codes and addresses."""

import string
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from textspot.data.synthetic.chance import choose
from textspot.given_settings import refuse_changed
from textspot.ranges import Share, check_ranges
from textspot.regular_file import refuse_other_kinds
from textspot.text.charset import PRINTABLE_ASCII

ONSETS = ("", *"bcdfghjklmnprstvwyz", "br", "ch", "cl", "cr", "dr", "fl", "gr", "pl", "qu", "sh", "st", "th", "tr")
NUCLEI = ("a", "e", "i", "o", "u", "ai", "ea", "ee", "io", "oo", "ou")
CODAS = ("", "", "", *"bdgklmnprstx", "ck", "ll", "nd", "ng", "nt", "rt", "ss", "st")
PATTERNS = (  # 9 becomes a digit, Z a capital, ~ an invented word; all else stands for itself
    *("9", "99", "999", "9999", "#9", "99%", "9.9", "99.9", "9,999", "99th", "9x9", "+9"),
    *("$9", "$99", "$9.99", "$99.99", "9.99", "£9.99", "€99"),
    *("9:99", "99:99", "9.99pm", "9am", "99/99", "99/99/99", "2099", "199-9999", "(99)"),
    *("Z9", "Z9Z", "ZZ99", "Z-99", "ZZZ-999", "99Z", "9Z9"),
    *("www.~.com", "~.com", "@~", "~@~.org", "&~", "~-~", "~/~"),
)
PUNCTUATED = ("{},", "{}.", "{}!", "{}?", "{}:", "({})", '"{}"', "{}'s", "*{}")
PUNCTUATED_SHARE = 0.08  # about the share of words with punctuation in photographs of streets
LETTERS_SHARE = 0.15  # of the invented words: letters without order, which a recogniser cannot guess
SIGN_PHRASES = Path(__file__).parent / "sign_phrases.txt"
RIGHT_TO_LEFT = ("R", "AL")  # Hebrew, Arabic and the like: rendering neither orders nor joins letters
STRING_SHARE = 0.03  # of all words: any of the wanted characters, so that the rare ones are seen as well
ATTEMPTS = 30

WordCase = Literal["lower", "title", "upper", "mixed"]
CASES: dict[WordCase, tuple[Callable[[str], str], ...]] = {
    "lower": (str.lower,),
    "title": (str.capitalize,),
    "upper": (str.upper,),
    "mixed": (str.lower, str.capitalize, str.upper),
}


@dataclass(frozen=True)
class WordConfig:
    """Which words are written.

    Args:
        file: a word list, one word per line, UTF-8; without one they are invented.
        sign_share: the share of texts that are the words of real signs, in their order.
        invented_share: share of words that are invented, where there is a word list, so that reading is learned
            and not the list.
        number_share: the share of numbers, prices, times, codes and addresses.
        case: case of the words; `mixed` is lower, Title or UPPER, for each word anew.
        characters: characters that the words may contain; other words are left out.
        min_length: minimum number of characters of a word.
        max_length: maximum number of characters of a word.
    """

    ONLY_WITH: ClassVar = {"invented_share": ("file",)}

    file: str | None = None
    sign_share: Share = 0.4
    invented_share: Share = 0.2
    number_share: Share = 0.2
    case: WordCase = "mixed"
    characters: str = PRINTABLE_ASCII
    min_length: int = 1
    max_length: int = 14

    def __post_init__(self) -> None:
        check_ranges(self, "words.")
        complaints = []
        if not 1 <= self.min_length <= self.max_length:
            complaints.append(f"min_length {self.min_length}, max_length {self.max_length}: expected 1 <= min <= max")
        if any(character.isspace() for character in self.characters):
            complaints.append(f"characters {self.characters!r} holds blanks, which part words and are never in one")
        if backwards := [c for c in self.characters if unicodedata.bidirectional(c) in RIGHT_TO_LEFT]:
            named = ", ".join(f"{c!r} (U+{ord(c):04X})" for c in backwards[:5])
            complaints.append(f"characters holds {named}, which run right to left: they would be rendered backwards")
        if not self.characters:
            complaints.append("characters is empty: nothing could be written")
        if complaints:
            raise ValueError("words: " + "; ".join(complaints))
        refuse_changed(self, "words.")


class WordSource:
    """Draws words that fit a `WordConfig`; holds no random state of its own.

    A word list that does not exist is a FileNotFoundError; one without a single word that fits is a ValueError.
    """

    def __init__(self, config: WordConfig):
        self._config = config
        self._wanted = frozenset(config.characters)
        self._cases = [case for case in CASES[config.case] if any(case(c) in self._wanted for c in self._wanted)]
        self._characters = [c for c in config.characters if any(case(c) == c for case in self._cases)]
        if not self._characters:
            raise ValueError(f"words: case {config.case} leaves nothing to write of characters {config.characters!r}")
        self._list = self._fitting(config.file) if config.file else ()
        phrases = [[word for word in line.split() if self._fits(word)] for line in _read_list(str(SIGN_PHRASES))]
        self._phrases = [phrase for phrase in phrases if phrase]

    def allows(self, word: str) -> bool:
        """Whether the word has a wanted length and only wanted characters."""
        return self._config.min_length <= len(word) <= self._config.max_length and self._wanted.issuperset(word)

    def draw_case(self, rng: np.random.Generator) -> Callable[[str], str]:
        """One of the wanted ways to case a word."""
        return choose(rng, self._cases)

    def draw(self, rng: np.random.Generator, count: int, case: Callable[[str], str] | None = None) -> list[str]:
        """So many words, each cased anew unless a case is given. Where the characters and lengths wanted leave no
        likely word, a string of those characters."""
        phrase: list[str] = []
        if self._phrases and rng.random() < self._config.sign_share:
            while len(phrase) < count:
                phrase += choose(rng, self._phrases)
        return [self._draw_word(rng, case, phrase[number] if phrase else None) for number in range(count)]

    def _draw_word(self, rng: np.random.Generator, case: Callable[[str], str] | None, wanted: str | None) -> str:
        """The wanted word, or any, in a case in which it is allowed."""
        if rng.random() >= STRING_SHARE:
            for _ in range(ATTEMPTS):
                word = (case or self.draw_case(rng))(wanted or self._draw_any(rng))
                if self.allows(word):
                    return word
        length = rng.integers(self._config.min_length, self._config.max_length + 1)
        return "".join(choose(rng, self._characters) for _ in range(length))

    def _draw_any(self, rng: np.random.Generator) -> str:
        if rng.random() < self._config.number_share:
            return _fill(rng, choose(rng, PATTERNS))
        if self._list and rng.random() >= self._config.invented_share:
            word = choose(rng, self._list)
        else:
            word = _invent(rng, self._config.min_length, self._config.max_length)
        if rng.random() < PUNCTUATED_SHARE:
            return choose(rng, PUNCTUATED).format(word)
        return word

    def _fits(self, word: str) -> bool:
        return any(self.allows(case(word)) for case in self._cases)

    def _fitting(self, file: str) -> tuple[str, ...]:
        listed = _read_list(file)
        words = tuple(word for word in listed if self._fits(word))
        if not words:
            raise ValueError(
                f"{file}: none of its {len(listed)} words has {self._config.min_length} to {self._config.max_length} "
                f"characters of {self._config.characters!r} in {self._config.case} case; "
                "expected a text file with one word per line"
            )
        return words


@lru_cache(maxsize=4)
def _read_list(file: str) -> tuple[str, ...]:
    refuse_other_kinds(file, "a word list")
    if not Path(file).exists():
        raise FileNotFoundError(f"{file}: no such word list; expected a text file with one word per line")
    lines = Path(file).read_text(encoding="utf-8-sig").splitlines()
    return tuple(line.strip() for line in lines if line.strip())


def _invent(rng: np.random.Generator, min_length: int, max_length: int) -> str:
    """Syllables, or letters without order; short words more often than long ones."""
    length = int(rng.triangular(min_length, (2 * min_length + max_length) / 3, max_length + 1))
    if rng.random() < LETTERS_SHARE:
        return "".join(choose(rng, string.ascii_lowercase) for _ in range(length))
    word = ""
    while len(word) < length:
        word += choose(rng, ONSETS) + choose(rng, NUCLEI) + choose(rng, CODAS)
    return word[:length]


def _fill(rng: np.random.Generator, pattern: str) -> str:
    fillings: dict[str, Callable[[], str]] = {
        "9": lambda: choose(rng, string.digits),
        "Z": lambda: choose(rng, string.ascii_uppercase),
        "~": lambda: _invent(rng, 2, 6),
    }
    return "".join(fillings[c]() if c in fillings else c for c in pattern)
