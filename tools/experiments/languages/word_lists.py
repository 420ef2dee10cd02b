"""Writes the word lists of `textspot/languages` from wordfreq: the most frequent words of each language.

    pip install wordfreq
    python tools/experiments/languages/word_lists.py --german /usr/share/dict/ngerman

wordfreq writes ss for ß. The German list (Debian's package wngerman) says which words are spelled with ß; nothing else
is taken from it. The command prints the size of each list, and each letter beyond ASCII with its number of words.
"""

import argparse
import unicodedata
import zlib
from collections import Counter
from pathlib import Path

from wordfreq import top_n_list

from textspot.text.language import INNER_POINT, SHIPPED
from textspot.text.spelling import UNICODE

MOST_WORDS = 20_000
PHONETIC = "\u0250"  # the first character behind the Latin letters of orthographies
CODES = {
    **{"catalan": "ca", "croatian": "sh", "czech": "cs", "danish": "da", "dutch": "nl", "finnish": "fi"},
    **{"french": "fr", "german": "de", "hungarian": "hu", "icelandic": "is", "italian": "it", "latvian": "lv"},
    **{"lithuanian": "lt", "norwegian": "nb", "polish": "pl", "portuguese": "pt", "romanian": "ro", "slovak": "sk"},
    **{"slovenian": "sl", "spanish": "es", "swedish": "sv", "turkish": "tr"},
}


def is_latin_word(word: str) -> bool:
    """Whether it holds small Latin letters alone; a Catalan point inside is one of them."""
    return all(c == INNER_POINT or (c < PHONETIC and unicodedata.category(c) == "Ll") for c in word)


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
    for name, code in CODES.items():
        words = [unicodedata.normalize("NFC", word) for word in top_n_list(code, 3 * MOST_WORDS, wordlist="small")]
        words = [word for word in words if is_latin_word(word)][:MOST_WORDS]
        if name == "german":
            words = restore_sharp_s(words, dictionary)
        text = "\n".join(sorted(words)) + "\n"
        (options.out / f"{name}.txt").write_text(text, encoding="utf-8")
        counts = Counter(c for word in words for c in set(word) if not c.isascii())
        letters = " ".join(f"{letter}{count}" for letter, count in sorted(counts.items()))
        print(f"{name}: {len(words)} words, {len(zlib.compress(text.encode()))} bytes compressed; {letters}")


if __name__ == "__main__":
    main()
