"""What a user asks for, and which language the texts of an image are in, of those that ship.

Each text that is a word votes for the languages whose lists hold it. Its vote is the logarithm of the number of all
languages over the number of these (inverse document frequency, Spärck Jones 1972). So a word that few lists hold counts
most, and one that all hold, as they do many English ones, counts nothing.
"""

from collections.abc import Iterable
from functools import cache
from math import log

from textspot.text.charset import PUNCTUATION
from textspot.text.language import LanguageModel, list_languages, load_language, read_words
from textspot.text.spelling import spelling_of

AUTO = "auto"
FALLBACK = "english"
SHORTEST = 2  # letters of a word that votes


class LanguageChoice:
    """All languages that ship, of which one is chosen for the texts of each image."""

    name = AUTO

    def choose(self, texts: Iterable[str]) -> LanguageModel:
        """The language of texts that were read without one; English for none."""
        return load_language(choose_name(texts))


def choose_language(name: str) -> LanguageModel | LanguageChoice | None:
    """What a user asks for: `none`, `auto`, or what `load_language` takes."""
    if name == AUTO:
        return LanguageChoice()
    return None if name == "none" else load_language(name)


def choose_name(texts: Iterable[str]) -> str:
    """The name of the language with the most votes; of several, English if it is among them, else the first."""
    votes = count_votes(texts)
    return max(votes, key=lambda name: (votes[name], name == FALLBACK))


def count_votes(texts: Iterable[str]) -> dict[str, float]:
    """The votes of texts for each language, in nats."""
    votes = dict.fromkeys(list_languages(), 0.0)
    for text in texts:
        word = text.strip(PUNCTUATION)
        names = [name for name in votes if spelling_of(name).fold(word) in _words_of(name)]
        for name in names if len(word) >= SHORTEST else ():
            votes[name] += log(len(votes) / len(names))
    return votes


@cache
def _words_of(name: str) -> frozenset[str]:
    words, spelling = read_words(name), spelling_of(name)
    return frozenset(map(spelling.fold, words) if spelling.same else words)
