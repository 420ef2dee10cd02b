"""How languages write capitals, and which spellings of a word are one: the rules that `str.upper` does not know.

Sources: Unicode 16, SpecialCasing.txt (Turkish i); Rat für deutsche Rechtschreibung 2024, paragraph 25 (ß and SS);
Taaladvies (IJsland); Unicode 16, chapter 7.1 (Romanian comma and cedilla); Правила русской орфографии и пунктуации
1956, paragraph 10 (ё and е); Український правопис 2019, paragraph 7 (the apostrophe).
"""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property


@dataclass(frozen=True)
class Spelling:
    """The rules of a language; the default ones are Unicode's.

    Args:
        capitals: the capital of each small letter that Unicode gives another one.
        same: letters that are often written instead of another one: those to their right ones.
        initials: two letters that are capitalised together at the beginning of a word.
        bare_capitals: whether words in capitals are often written without their accents.
        inner: what is a letter too inside a word, in the spelling that word lists have.
    """

    capitals: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    initials: tuple[str, ...] = ()
    bare_capitals: bool = False
    inner: str = "·"  # between two l of a Catalan word

    def upper(self, word: str) -> str:
        """The word in capitals; ß becomes SS."""
        return unicodedata.normalize("NFC", word.translate(self._to_capitals).upper())

    def lower(self, word: str) -> str:
        """The word in small letters."""
        return unicodedata.normalize("NFC", word.translate(self._to_small).lower())

    def title(self, word: str) -> str:
        """The word with a capital at its beginning."""
        length = 2 if self.lower(word[:2]) in self.initials else 1
        return self.upper(word[:length]) + self.lower(word[length:])

    def fold(self, text: str) -> str:
        """The text without case, one letter for each, in the spelling that word lists have; ß stays, and so does the
        length of composed text."""
        composed = unicodedata.normalize("NFC", text).translate(self._to_small)
        return "".join(map(_fold_letter, composed)).translate(self._to_same)

    @cached_property
    def _to_capitals(self) -> dict[int, str]:
        return str.maketrans(dict(self.capitals))

    @cached_property
    def _to_small(self) -> dict[int, str]:
        return str.maketrans({capital: small for small, capital in self.capitals.items()})

    @cached_property
    def _to_same(self) -> dict[int, str]:
        return str.maketrans(dict(self.same))


UNICODE = Spelling()
SPELLINGS: dict[str, Spelling] = {
    "dutch": Spelling(initials=("ij",)),
    "romanian": Spelling(same={"ş": "ș", "ţ": "ț"}),
    "russian": Spelling(same={"ё": "е"}),
    "turkish": Spelling(capitals={"i": "İ", "ı": "I"}),
    "ukrainian": Spelling(same={"’": "'", "ʼ": "'"}, inner="'"),
    **dict.fromkeys(("catalan", "french", "italian", "portuguese", "spanish"), Spelling(bare_capitals=True)),
}


def spelling_of(language: str) -> Spelling:
    """The rules of a language that ships, by its name; Unicode's where it has none of its own."""
    return SPELLINGS.get(language, UNICODE)


def bare(word: str) -> str:
    """The word without the accents of its letters; what is no letter with an accent, such as ø or ł, stays."""
    parts = unicodedata.normalize("NFD", word)
    return unicodedata.normalize("NFC", "".join(c for c in parts if unicodedata.category(c) != "Mn"))


def look_alike(character: str) -> str:
    """The plain character that one with an accent, a stroke or another shape looks like, such as e for é, o for ø and
    " for „; itself if there is none."""
    plain = bare(character).translate(_LOOK_ALIKES)
    return plain if len(plain) == 1 else character


# Letters with a stroke or without a dot have no decomposition; nor have quotation marks and dashes. Then Cyrillic and
# Greek ones.
_LOOK_ALIKES = str.maketrans(
    "øØłŁđĐðħĦı„“”‘’‚«»‹›–—·•АВЕКМНОРСТУХЅІЈаеорсухѕіјΑΒΕΖΗΙΚΜΝΟΡΤΥΧαικνορτυχ",
    'oOlLdDdhHi"""\'\',""<>--..ABEKMHOPCTYXSIJaeopcyxsijABEZHIKMNOPTYXaikvoptux',
)


def _fold_letter(letter: str) -> str:
    """Its folded form; the small letter where folding makes two of one."""
    folded = letter.casefold()
    return folded if len(folded) == 1 else letter.lower()
