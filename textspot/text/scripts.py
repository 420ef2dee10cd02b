"""Which scripts can be read and drawn, and why others cannot."""

import unicodedata
from collections.abc import Iterable

RIGHT_TO_LEFT = ("R", "AL")  # Hebrew, Arabic and the like
MARKS = ("Mn", "Me")  # stand on the letter before them
SPACING_MARKS = ("Mc",)  # vowel signs of Indic scripts, Khmer and others: beside, before or around their letter
JOINERS = "\u200c\u200d"  # invisible and yet letters of words in many scripts: zero width non-joiner and joiner
MOST_NAMED = 5


def split_graphemes(text: str) -> list[str]:
    """What people count as the characters of a text: letters with their marks (Unicode Annex 29); none of an empty
    one."""
    import regex

    return regex.findall(r"\X", text)


def needs_shaping(text: str) -> bool:
    """Whether glyphs cannot stand side by side, one for each character: marks have to be put onto their letters."""
    return not text.isascii() and any(unicodedata.category(c) in MARKS or c in JOINERS for c in text)


def refuse_right_to_left(characters: Iterable[str]) -> str:
    """What is wrong with characters of which some run from right to left; nothing if none does.

    CTC puts characters in the order in which they stand along the ribbon, from left to right. Transcripts have them in
    the order in which they are spoken. For these scripts the two differ, and nothing here turns one into the other.
    """
    named = _name(c for c in characters if unicodedata.bidirectional(c) in RIGHT_TO_LEFT)
    if not named:
        return ""
    return f"holds {named}, which run right to left: these are neither rendered nor read. Leave them out"


def refuse_spacing_marks(characters: Iterable[str]) -> str:
    """What is wrong with drawing characters of which some are vowel signs that may stand before their letter; nothing
    if none is. No typeface and no word list here tells whether they are drawn as they should be."""
    named = _name(c for c in characters if unicodedata.category(c) in SPACING_MARKS)
    if not named:
        return ""
    return f"holds {named}, vowel signs that stand before or around a letter: these are not rendered. Leave them out"


def _name(characters: Iterable[str]) -> str:
    """The first of them, with their code points."""
    return ", ".join([f"{c!r} (U+{ord(c):04X})" for c in characters][:MOST_NAMED])
