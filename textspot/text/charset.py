"""The characters a recogniser knows, and how a transcript becomes the text it is trained on."""

import string
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textspot.regular_file import refuse_other_kinds
from textspot.text.scripts import JOINERS, refuse_right_to_left

PRINTABLE_ASCII = string.digits + string.ascii_letters + string.punctuation  # the usual 94 of scene text
# All accented letters in ten words or more of one of the languages that ship, and those of Maltese and Welsh.
LATIN_LETTERS = (
    "ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĊČĎĐĒĖĘĚĞĠĢĦĪĮİĶĹĻĽŁŃŅŇŐŒŔŘŚŞŠŤŪŮŰŲŴŶŸŹŻŽȘȚẞ"
    "àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćċčďđēėęěğġģħīįıķĺļľłńņňőœŕřśşšťūůűųŵŷÿźżžșțß"
)
SYMBOLS = "€£¥¢§°©®™«»‹›„“”‚‘’–—…·•¡¿ªº²³¼½¾±×÷µ"
# The alphabets of Russian, Ukrainian, Bulgarian and Serbian.
CYRILLIC_LETTERS = "АБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯЁЄІЇҐЍЈЉЊЋЂЏабвгдежзийклмнопрстуфхцчшщъыьэюяёєіїґѝјљњћђџ"
PUNCTUATION = string.punctuation + SYMBOLS  # around words
LATIN = PRINTABLE_ASCII + LATIN_LETTERS + SYMBOLS
CYRILLIC = PRINTABLE_ASCII + CYRILLIC_LETTERS + SYMBOLS + "№"
CHARSETS = {"ascii": PRINTABLE_ASCII, "latin": LATIN, "cyrillic": CYRILLIC}

Case = Literal["keep", "upper", "lower"]
FOLDS: dict[Case, Callable[[str], str]] = {"keep": str, "upper": str.upper, "lower": str.lower}


@dataclass(frozen=True)
class TextConfig:
    """Which characters are read, and what happens to the others.

    Args:
        characters: the characters of the charset, in the order of their classes; or `ascii`, the 94 that can be
            printed; or `latin` or `cyrillic`, these and what Europe's languages in that script write besides; or a text
            file (`*.txt`, such as a word list), the 94 and every character in it, as a capital and as a small letter.
        case: `keep` transcripts as they are, or fold them to `upper` or `lower` case.
        unknown: treatment of a character outside the charset: `error` stops before training starts and lists
            them; `skip` trains the detector on that word, never the recogniser, and counts it.
    """

    characters: str = PRINTABLE_ASCII
    case: Case = "keep"
    unknown: Literal["error", "skip"] = "error"

    def __post_init__(self) -> None:
        object.__setattr__(self, "characters", find_characters(self.characters))
        if complaint := refuse_right_to_left(self.characters):
            raise ValueError(f"text.characters {complaint}")


def find_characters(name: str) -> str:
    """The characters of a charset by its name, or of a file; anything else is the characters themselves."""
    return read_characters(name) if names_file(name) else CHARSETS.get(name, name)


def names_file(characters: str) -> bool:
    """Whether it is the name of a text file. No charset ends like this: it would hold t twice."""
    return characters.endswith(".txt")


def read_characters(file: str) -> str:
    """The usual 94 characters and those of a UTF-8 file, as capitals and as small letters, by code point. A file that
    cannot be read is a ValueError."""
    refuse_other_kinds(file, "a text file")
    try:
        found = set("".join(map(normalize, Path(file).read_text(encoding="utf-8-sig").split("\n"))))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: no UTF-8 text file of the characters to read: {error}") from error
    cased = {character for letter in found for character in (letter.upper(), letter.lower()) if len(character) == 1}
    return PRINTABLE_ASCII + "".join(sorted((found | cased).difference(PRINTABLE_ASCII, " ")))


def normalize(transcript: str, case: Case = "keep") -> str:
    """The text of a transcript: composed characters (NFC), in the wanted case, without invisible characters; what
    separates words (line breaks, no-break and wide blanks) is a blank, and none stands around it."""
    return _fold(transcript, case).strip()


def _fold(text: str, case: Case) -> str:
    """Case first: an accented capital may be several characters that compose."""
    composed = unicodedata.normalize("NFC", FOLDS[case](text))
    return composed if composed.isascii() and composed.isprintable() else "".join(map(_shown, composed))


def _shown(character: str) -> str:
    """The character; a blank for whatever separates words, nothing for what is invisible."""
    if character.isspace():
        return " "
    return "" if is_invisible(character) else character


def is_invisible(character: str) -> bool:
    """Whether a character leaves no mark where it stands: controls, zero width, byte order marks."""
    return unicodedata.category(character) in ("Cc", "Cf") and character not in JOINERS


class Charset:
    """The characters of a recogniser. Class 0 is the CTC blank, class i + 1 is `characters[i]`."""

    def __init__(self, characters: str):
        if not characters:
            raise ValueError("the charset is empty: text.characters must hold at least one character")
        repeated = sorted({c for c in characters if characters.count(c) > 1})
        if repeated:
            raise ValueError(f"text.characters holds {''.join(repeated)!r} more than once")
        self.characters = characters
        self._token = {character: number + 1 for number, character in enumerate(characters)}

    @property
    def num_classes(self) -> int:
        """Number of characters and the blank."""
        return len(self.characters) + 1

    def knows(self, text: str) -> bool:
        """Whether every character of the text has a class."""
        return all(character in self._token for character in text)

    def encode(self, text: str) -> list[int]:
        """Tokens of a text; a character without a class is a ValueError that names it."""
        if not self.knows(text):
            unknown = sorted({character for character in text if character not in self._token})
            raise ValueError(f"{text!r} holds characters outside the charset: {' '.join(unknown)}")
        return [self._token[character] for character in text]

    def decode(self, tokens: Iterable[int]) -> str:
        """Text of tokens without blanks, composed (NFC) as transcripts are: a letter and a mark that follow each other
        may be one character."""
        return unicodedata.normalize("NFC", "".join(self.characters[token - 1] for token in tokens))

    def missing(self, counts: Mapping[str, int], case: Case = "keep") -> dict[str, int]:
        """The characters of `counts` (character -> occurrences in the data) that have no class, most frequent first."""
        found: dict[str, int] = {}
        for character, count in counts.items():
            for folded in _fold(character, case):  # not `normalize`: a space counts
                if folded not in self._token:
                    found[folded] = found.get(folded, 0) + count
        return dict(sorted(found.items(), key=lambda item: -item[1]))
