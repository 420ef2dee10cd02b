"""Writes the word lists of `textspot/languages` from wordfreq: the most frequent words of each language.

    pip install wordfreq
    python tools/experiments/languages/word_lists.py --german /usr/share/dict/ngerman

wordfreq writes ss for ß. The German list (Debian's package wngerman) says which words are spelled with ß; nothing else
is taken from it. It writes Serbian in Latin letters, for each of which, or each pair, Cyrillic has one. The command
prints the size of each list, and each letter beyond ASCII with its number of words.
"""

import argparse
import re
import unicodedata
import zlib
from collections import Counter
from pathlib import Path

from wordfreq import get_frequency_dict

from textspot.text.language import SHIPPED
from textspot.text.spelling import UNICODE, spelling_of

MOST_WORDS = 20_000
CODES = {
    **{"catalan": "ca", "croatian": "sh", "czech": "cs", "danish": "da", "dutch": "nl", "finnish": "fi"},
    **{"french": "fr", "german": "de", "hungarian": "hu", "icelandic": "is", "italian": "it", "latvian": "lv"},
    **{"lithuanian": "lt", "norwegian": "nb", "polish": "pl", "portuguese": "pt", "romanian": "ro", "slovak": "sk"},
    **{"slovenian": "sl", "spanish": "es", "swedish": "sv", "turkish": "tr"},
    **{"bulgarian": "bg", "russian": "ru", "serbian": "sh", "ukrainian": "uk"},
}
ALL_CODES = CODES | {"english": "en"}  # the list of English words is of another source
CYRILLIC = ("bulgarian", "russian", "serbian", "ukrainian")
SERBIAN_PAIRS = {"lj": "љ", "nj": "њ", "dž": "џ"}
SERBIAN_LETTERS = dict(zip("abvgdđežzijklmnoprstćufhcčš", "абвгдђежзијклмнопрстћуфхцчш", strict=True))
SEPARATE = "inj(?=ek)"  # injekcija: the only words of the list in which n and j are two letters


def frequencies_of(name: str) -> dict[str, float]:
    """The frequencies of the words of a language, the most frequent first, of small letters of its script alone."""
    listed = get_frequency_dict(ALL_CODES[name], wordlist="small")
    words = {unicodedata.normalize("NFC", word): share for word, share in listed.items()}
    if name == "serbian":
        words = {to_cyrillic(word): share for word, share in words.items()}
    return {word: share for word, share in words.items() if is_word(word, name)}


def is_word(word: str, name: str) -> bool:
    """Whether it holds small letters of the language's script alone, and what is a letter inside a word."""
    first, last = ("а", "ґ") if name in CYRILLIC else ("a", "ɏ")
    inner = spelling_of(name).inner
    return all(c in inner or (first <= c <= last and unicodedata.category(c) == "Ll") for c in word)


def to_cyrillic(word: str) -> str:
    """A Serbian word in Cyrillic; letters that the alphabet lacks stay."""
    word = re.sub(SEPARATE, "инј", word)
    for pair, letter in SERBIAN_PAIRS.items():
        word = word.replace(pair, letter)
    return "".join(SERBIAN_LETTERS.get(letter, letter) for letter in word)


def restore_sharp_s(words: list[str], dictionary: set[str]) -> list[str]:
    """Words with ss, spelled as the dictionary does; both where it has both."""
    restored: dict[str, None] = {}
    for word in words:
        sharp = word.replace("ss", "ß")
        if sharp == word or word in dictionary or sharp not in dictionary:
            restored[word] = None
        if sharp != word and sharp in dictionary:
            restored[sharp] = None
    return list(restored)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--german", type=Path, required=True, help="a German word list with ß, one word per line")
    parser.add_argument("--out", type=Path, default=SHIPPED)
    options = parser.parse_args()
    dictionary = {UNICODE.fold(word) for word in options.german.read_text(encoding="utf-8").splitlines()}
    for name in CODES:
        words = list(frequencies_of(name))[:MOST_WORDS]
        if name == "german":
            words = restore_sharp_s(words, dictionary)
        text = "\n".join(sorted(words)) + "\n"
        (options.out / f"{name}.txt").write_text(text, encoding="utf-8")
        counts = Counter(c for word in words for c in set(word) if not c.isascii())
        letters = " ".join(f"{letter}{count}" for letter, count in sorted(counts.items()))
        print(f"{name}: {len(words)} words, {len(zlib.compress(text.encode()))} bytes compressed; {letters}")


if __name__ == "__main__":
    main()
