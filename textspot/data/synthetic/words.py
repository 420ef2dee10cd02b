"""What is written: phrases of signs, words of a list, invented words, numbers, prices, times, codes and addresses."""

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import ClassVar, Literal
from zlib import crc32

import numpy as np

from textspot.data.synthetic.chance import choose
from textspot.given_settings import refuse_changed
from textspot.ranges import Share, check_ranges
from textspot.regular_file import refuse_other_kinds
from textspot.text.charset import PRINTABLE_ASCII, find_characters
from textspot.text.language import list_languages, read_words
from textspot.text.scripts import needs_shaping, refuse_right_to_left, refuse_spacing_marks, split_graphemes
from textspot.text.spelling import UNICODE, Spelling, spelling_of

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
STRING_SHARE = 0.03  # of all words: any of the wanted characters, so that the rare ones are seen as well
ATTEMPTS = 30
HELD_OUT = 10  # one word in so many of a language that ships is held out

WordCase = Literal["lower", "title", "upper", "mixed"]
CaseRule = Callable[[Spelling, str], str]
CASES: dict[WordCase, tuple[CaseRule, ...]] = {
    "lower": (Spelling.lower,),
    "title": (Spelling.title,),
    "upper": (Spelling.upper,),
    "mixed": (Spelling.lower, Spelling.title, Spelling.upper),
}
# What languages other than English write around words and numbers.
FOREIGN_PUNCTUATED = (
    *("„{}“", "„{}”", "«{}»", "»{}«", "‹{}›", "“{}”", "‚{}‘", "’{}’"),
    *("¿{}?", "¡{}!", "{}…", "–{}", "·{}"),
)
FOREIGN_PATTERNS = (
    *("9,99€", "99,99€", "€9,99", "9€", "99,–", "£99", "9.999", "99.99.2099", "9,9%", "99.99", "99h99", "9°", "-9°C"),
    *("§99", "§9", "9½", "9–99", "99²", "9×9", "9±9", "Nº9", "9ª", "©2099", "~®", "~™", "•~", "~–~", "99¢", "¥999"),
)
CYRILLIC_PATTERNS = ("№9", "№99")
ALL_PUNCTUATED, ALL_PATTERNS = PUNCTUATED + FOREIGN_PUNCTUATED, PATTERNS + FOREIGN_PATTERNS


@dataclass(frozen=True)
class WordConfig:
    """Which words are written.

    Args:
        file: a word list, one word per line, UTF-8; without this and `languages` words are invented.
        languages: languages that ship, such as `german`; each text takes its words from the list of one, and its
            capitals, quotation marks and numbers follow what these languages do.
        part: the words of `languages` that are written: `all`; or nine in ten to `train` on, and the tenth that is
            `held_out` from them.
        sign_share: the share of texts that are the words of real signs, in their order.
        invented_share: share of words that are invented, where there is a word list, so that reading is learned
            and not the list: syllables; in `languages` of another script the halves of two of their words.
        number_share: the share of numbers, prices, times, codes and addresses.
        case: case of the words; `mixed` is lower, Title or UPPER, for each word anew.
        characters: characters that the words may contain, or what names them, as under `text.characters`: `latin`, or a
            text file; other words are left out.
        min_length: minimum number of characters of a word; a letter and its marks are one.
        max_length: maximum number of characters of a word.
    """

    ONLY_WITH: ClassVar = {"invented_share": ("file", "languages"), "part": ("languages",)}

    file: str | None = None
    languages: tuple[str, ...] = ()
    part: Literal["all", "train", "held_out"] = "all"
    sign_share: Share = 0.4
    invented_share: Share = 0.2
    number_share: Share = 0.2
    case: WordCase = "mixed"
    characters: str = PRINTABLE_ASCII
    min_length: int = 1
    max_length: int = 14

    def __post_init__(self) -> None:
        check_ranges(self, "words.")
        object.__setattr__(self, "characters", find_characters(self.characters))
        complaints = []
        if unknown := set(self.languages).difference(list_languages()):
            known = ", ".join(list_languages())
            complaints.append(f"languages holds {', '.join(sorted(unknown))}, expected some of {known}")
        if not 1 <= self.min_length <= self.max_length:
            complaints.append(f"min_length {self.min_length}, max_length {self.max_length}: expected 1 <= min <= max")
        if any(character.isspace() for character in self.characters):
            complaints.append(f"characters {self.characters!r} holds blanks, which part words and are never in one")
        for complaint in filter(None, (refuse_right_to_left(self.characters), refuse_spacing_marks(self.characters))):
            complaints.append(f"characters {complaint}")
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
        cases = CASES[config.case]
        self._cases = [case for case in cases if any(case(UNICODE, c) in self._wanted for c in self._wanted)]
        alone = [c for c in config.characters if not needs_shaping(c)]  # marks belong to letters of their own
        self._characters = [c for c in alone if any(case(UNICODE, c) == c for case in self._cases)]
        if not self._characters:
            raise ValueError(f"words: case {config.case} leaves nothing to write of characters {config.characters!r}")
        self._lists = self._read_lists()
        phrases = [[word for word in line.split() if self._fits(word)] for line in _read_list(str(SIGN_PHRASES))]
        self._phrases = [phrase for phrase in phrases if phrase]

    def allows(self, word: str) -> bool:
        """Whether the word has a wanted length and only wanted characters."""
        length = len(word) if word.isascii() else len(split_graphemes(word))
        return self._config.min_length <= length <= self._config.max_length and self._wanted.issuperset(word)

    def draw_case(self, rng: np.random.Generator) -> CaseRule:
        """One of the wanted ways to case a word."""
        return choose(rng, self._cases)

    def draw(self, rng: np.random.Generator, count: int, case: CaseRule | None = None) -> list[str]:
        """So many words, of one language, each cased anew unless a case is given. Where the characters and lengths
        wanted leave no likely word, a string of those characters."""
        phrase: list[str] = []
        if self._phrases and rng.random() < self._config.sign_share:
            while len(phrase) < count:
                phrase += choose(rng, self._phrases)
        words = choose(rng, self._lists) if len(self._lists) > 1 else self._lists[0]
        return [self._draw_word(rng, case, phrase[number] if phrase else None, words) for number in range(count)]

    def _draw_word(self, rng: np.random.Generator, case: CaseRule | None, wanted: str | None, words: "_Words") -> str:
        """The wanted word, or any, in a case in which it is allowed."""
        if rng.random() >= STRING_SHARE:
            spelling = words.spelling if wanted is None else UNICODE
            for _ in range(ATTEMPTS):
                word = (case or self.draw_case(rng))(spelling, wanted or self._draw_any(rng, words))
                if self.allows(word):
                    return word
        length = rng.integers(self._config.min_length, self._config.max_length + 1)
        return "".join(choose(rng, self._characters) for _ in range(length))

    def _draw_any(self, rng: np.random.Generator, words: "_Words") -> str:
        if rng.random() < self._config.number_share:
            return _fill(rng, choose(rng, words.patterns))
        if words.listed and rng.random() >= self._config.invented_share:
            word = choose(rng, words.listed)
        elif words.is_latin:
            word = _invent(rng, self._config.min_length, self._config.max_length)
        else:
            word = _splice(choose(rng, words.listed), choose(rng, words.listed))
        if rng.random() < PUNCTUATED_SHARE:
            return choose(rng, words.punctuated).format(word)
        return word

    def _read_lists(self) -> list["_Words"]:
        """The words of each list, at least one, though it may be empty."""
        config = self._config
        lists = [self._words_of(name) for name in config.languages]
        if config.file:
            lists.append(_Words(UNICODE, self._fitting(config.file, _read_list(config.file))))
        if config.languages:
            lists = [replace(one, patterns=_patterns_of(one), punctuated=ALL_PUNCTUATED) for one in lists]
        return lists or [_Words(UNICODE)]

    def _words_of(self, language: str) -> "_Words":
        listed = self._fitting(language, _part_of(language, self._config.part))
        is_latin = not set(string.ascii_letters).isdisjoint("".join(listed))
        return _Words(spelling_of(language), listed, is_latin=is_latin)

    def _fits(self, word: str, spelling: Spelling = UNICODE) -> bool:
        return any(self.allows(case(spelling, word)) for case in self._cases)

    def _fitting(self, name: str, listed: Sequence[str]) -> tuple[str, ...]:
        """Those of a list's words that are allowed in some case; none is a ValueError."""
        words = tuple(word for word in listed if self._fits(word, spelling_of(name)))
        if not words:
            raise ValueError(
                f"{name}: none of its {len(listed)} words has {self._config.min_length} to {self._config.max_length} "
                f"characters of {self._config.characters!r} in {self._config.case} case; "
                "expected a text file with one word per line"
            )
        return words


@dataclass(frozen=True)
class _Words:
    """A list of words, of one language, and what is written besides; Latin ones are invented of syllables."""

    spelling: Spelling
    listed: tuple[str, ...] = ()
    patterns: tuple[str, ...] = PATTERNS
    punctuated: tuple[str, ...] = PUNCTUATED
    is_latin: bool = True


def _patterns_of(words: _Words) -> tuple[str, ...]:
    return ALL_PATTERNS if words.is_latin else ALL_PATTERNS + CYRILLIC_PATTERNS


@cache
def _part_of(language: str, part: str) -> tuple[str, ...]:
    """The words of a language that ships, all or those of a part; which one a word belongs to, its checksum says."""
    words = read_words(language)
    if part == "all":
        return tuple(words)
    return tuple(word for word in words if (crc32(word.encode()) % HELD_OUT == 0) == (part == "held_out"))


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


def _splice(first: str, second: str) -> str:
    """The first half of one word and the last half of another."""
    return first[: (len(first) + 1) // 2] + second[(len(second) + 1) // 2 :]


def _fill(rng: np.random.Generator, pattern: str) -> str:
    fillings: dict[str, Callable[[], str]] = {
        "9": lambda: choose(rng, string.digits),
        "Z": lambda: choose(rng, string.ascii_uppercase),
        "~": lambda: _invent(rng, 2, 6),
    }
    return "".join(fillings[c]() if c in fillings else c for c in pattern)
