"""Lexicons: lists of words that are preferred. The rules are ours; no benchmark prescribes any.

Where the recogniser's logits are at hand (`Lexicon.read`), a word competes with the reading. It counts for the word how
probable the region makes it by all its alignments (`word_tree`), and half of that of the reading, as a region that is
read with doubt is more often no text. It counts for it too how much more probable the word is in the list than as
random letters: one of as many words as the list holds, against one letter of 26 for each of its own. So a long word of
a short list is believed where a short one of a long list is not. A list that is not complete is taken for part of a
vocabulary of `VOCABULARY` words.

Where there is only a text (`Lexicon.correct`: result files of others), it is compared with the words without case and
without the punctuation around them. Their distance is the mean of two edit distances, plain and with look-alikes (0 and
O, 1 and l and I, ...) taken as one: to mistake a look-alike costs one half, any other edit one. The nearest word
replaces the reading if the distance is at most `MOST_EDITS` of the reading's length; of equally near words the one with
the smaller plain distance, then the first. Readings shorter than three characters are never replaced.
"""

import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from pathlib import Path, PurePath

import numpy as np

from textspot.regular_file import refuse_other_kinds
from textspot.text.charset import normalize
from textspot.text.dictionary import dictionary_word
from textspot.text.word_tree import WordTree, grow_tree, spell

SHORTEST = 3  # characters; RRC vocabularies hold no shorter words
MOST_EDITS = 0.3  # of the length of the reading: one in four characters, two in seven
COMPLETE = ("strong", "weak", "full")  # the lexicons of the benchmarks that hold every word of their images
MOST_REMEMBERED = 100_000  # answers; a search among 90,000 words takes milliseconds, and readings repeat
CHUNK = 64  # readings compared with all words at a time
VOCABULARY = 90_000  # words, of which a list that is not complete holds some
RANDOM_LETTER = log(26)  # nats
DOUBT = 0.5  # weight of the reading's log-probability beside 1 for the word's

_LOOK_ALIKES = str.maketrans("01L|!5$8269", "OIIIISSBZGG")


@dataclass(frozen=True)
class Lexicon:
    """A list of words.

    Args:
        words: the words, as they are to be reported.
        name: how figures call it: `strong`, `weak`, `generic`, `full`.
        complete: whether it is known to hold every dictionary-like word of its images, so that a dictionary-like
            reading without a near word must be wrong. True of the benchmarks' lexicons in `COMPLETE`.
    """

    words: tuple[str, ...]
    name: str
    complete: bool = False

    def of(self, _image_name: str) -> "Lexicon":
        """The lexicon of one image: itself, as it serves all images alike."""
        return self

    def read(
        self, probability_RTC: np.ndarray, characters: str, readings: Sequence[tuple[str, float]]
    ) -> list[tuple[str | None, float]]:
        """Text and score of regions with probabilities (R, T, C), of a blank and the characters, that were read without
        the lexicon as `readings`, texts with their scores.

        The score of a word is the T-th root of what counts for it, and more than 1 where the list makes up for doubts.
        The reading stays if its own score is higher; a text that spells a word becomes that word. With a complete
        lexicon a text that is like a dictionary word is no choice: it becomes the best word, which may be what `find`
        gives, or None.
        """
        num_steps = probability_RTC.shape[1]
        texts = [text for text, _ in readings]
        near = self.find_all(texts) if self.complete else texts  # among many words that takes milliseconds for each
        hints = [[text, word or ""] for text, word in zip(texts, near, strict=True)]
        matches = self._tree.find(probability_RTC, characters, hints)
        return [
            self._choose(*reading, match, num_steps) if reading[0] else reading
            for reading, match in zip(readings, matches, strict=True)
        ]

    def _choose(
        self, text: str, score: float, match: tuple[str, float] | None, num_steps: int
    ) -> tuple[str | None, float]:
        """The reading or the word that matches it."""
        kept = self._keep(text)
        if match is None:
            word = self._as_listed(text)  # with letters that the tree does not have
            return (kept, score if kept else 0.0) if word is None else (word, score)
        spelling, log_likelihood = match
        among = len(self.words) if self.complete else max(len(self.words), VOCABULARY)
        nats = log_likelihood + DOUBT * num_steps * log(max(score, 1e-300)) + len(spelling) * RANDOM_LETTER - log(among)
        word_score = exp(nats / num_steps)
        if spelling == spell(text):
            return self._as_listed(text), max(score, word_score)
        if kept is None or word_score > score:
            return self._by_spelling[spelling], word_score
        return kept, score

    def find(self, text: str) -> str | None:
        """The word that the text should be, None when no word is near enough."""
        return self.find_all([text])[0]

    def find_all(self, texts: Sequence[str]) -> list[str | None]:
        """The word that each text should be, or None; several texts at once take less time than one by one."""
        plains = [_bare(text) for text in texts]
        wanted = list(dict.fromkeys(plain for plain in plains if len(plain) >= SHORTEST))
        unknown = [plain for plain in wanted if plain not in self._answers]
        if len(self._answers) + len(unknown) > MOST_REMEMBERED:
            self._answers.clear()
            unknown = wanted
        for start in range(0, len(unknown), CHUNK):
            self._answers.update(self._search(unknown[start : start + CHUNK]))
        found = zip(texts, plains, strict=True)
        return [text if text in self._listed else self._answers.get(plain) for text, plain in found]

    def _search(self, plains: Sequence[str]) -> dict[str, str | None]:
        """The word for each bare reading of `SHORTEST` characters or more."""
        answers = {plain: self._by_bare_word.get(plain) for plain in plains}
        inexact = [plain for plain, word in answers.items() if word is None]
        if not inexact:
            return answers
        from rapidfuzz.distance import Levenshtein
        from rapidfuzz.process import cdist

        limits = [MOST_EDITS * len(plain) for plain in inexact]
        # Folding only makes strings more alike, so the folded distance is a lower bound for the mean of both.
        distances = cdist(
            [plain.translate(_LOOK_ALIKES) for plain in inexact],
            self._folded,
            scorer=Levenshtein.distance,
            score_cutoff=int(max(limits)),
            dtype=np.uint16,
        )
        for plain, limit, row in zip(inexact, limits, distances, strict=True):
            ranked = [
                (int(row[number]) + distance, distance, number)
                for number in np.flatnonzero(row <= limit).tolist()
                if (distance := Levenshtein.distance(plain, self._bare_words[number])) + row[number] <= 2 * limit
            ]
            answers[plain] = self.words[min(ranked)[2]] if ranked else None
        return answers

    def correct(self, texts: Sequence[str]) -> list[str | None]:
        """Each text as it should be: its word, or the text itself when no word is near enough.

        But with a complete lexicon a text that is like a dictionary word and near none of the lexicon is None: it must
        be wrong. Numbers and prices, which no vocabulary holds, stay.
        """
        found = zip(texts, self.find_all(texts), strict=True)
        return [self._keep(text) if word is None else word for text, word in found]

    def _keep(self, text: str) -> str | None:
        return None if self.complete and dictionary_word(text) is not None else text

    @cached_property
    def _tree(self) -> WordTree:
        return grow_tree(self.words)

    def _as_listed(self, text: str) -> str | None:
        """The word of its spelling, itself if it is one: ısı and isi, or May and may, share theirs."""
        return text if text in self._listed else self._by_spelling.get(spell(text))

    @cached_property
    def _listed(self) -> frozenset[str]:
        return frozenset(self.words)

    @cached_property
    def _by_spelling(self) -> dict[str, str]:
        """The first word of each spelling."""
        return {spell(word): word for word in reversed(self.words) if spell(word)}

    @cached_property
    def _answers(self) -> dict[str, str | None]:
        """What was found before, by bare reading."""
        return {}

    @cached_property
    def _bare_words(self) -> list[str]:
        return [_bare(word) for word in self.words]

    @cached_property
    def _folded(self) -> list[str]:
        return [word.translate(_LOOK_ALIKES) for word in self._bare_words]

    @cached_property
    def _by_bare_word(self) -> dict[str, str]:
        """The first word for each bare form."""
        return dict(reversed(list(zip(self._bare_words, self.words, strict=True))))


@dataclass(frozen=True)
class ImageLexicons:
    """A lexicon for each image (RRC: strongly contextualised), by image name without `img_`: `{"7": Lexicon(...)}`."""

    lexicons: Mapping[str, Lexicon]
    name: str

    @property
    def complete(self) -> bool:
        """Whether each holds all words of its image."""
        return all(lexicon.complete for lexicon in self.lexicons.values())

    def of(self, image_name: str) -> Lexicon:
        """The lexicon of the image `7`, `img_7` or `img_7.jpg`; a `ValueError` names the file that is missing."""
        key = PurePath(image_name).stem.removeprefix("img_")
        if key not in self.lexicons:
            raise ValueError(f"no {self.name} lexicon for image {image_name!r}; expected a file voc_img_{key}.txt")
        return self.lexicons[key]


def open_lexicon(path: str | Path, name: str = "") -> Lexicon | ImageLexicons:
    """The lexicon at `path`: a folder holds one for each image, a file one for all of them.

    Without a name a folder is called `strong` and a file by its stem. A file is complete if its name is in `COMPLETE`.
    """
    path = Path(path)
    if path.is_dir():
        return load_image_lexicons(path, name or "strong")
    name = name or path.stem
    return load_lexicon(path, name, complete=name in COMPLETE)


def load_lexicon(path: str | Path, name: str, complete: bool = False) -> Lexicon:
    """The lexicon in a text file, one word per line, UTF-8 with or without BOM; a file without words is a `ValueError`.

    RRC: `ch4_test_vocabulary.txt` (weak, complete), `GenericVocabulary.txt` (generic).
    """
    words = _read_words(path)
    if not words:
        raise ValueError(f"{path}: no words; expected one per line")
    return Lexicon(words, name, complete)


def load_image_lexicons(folder: str | Path, name: str = "strong") -> ImageLexicons:
    """The lexicons in a folder of files `voc_img_7.txt` (RRC: `ch4_test_vocabularies_per_image`), each complete.

    An empty file is the lexicon of an image without words. A folder without such a file is a `ValueError`.
    """
    files = sorted(Path(folder).glob("voc_img_*.txt"))
    if not files:
        raise ValueError(f"{folder}: no file named voc_img_<number>.txt; is the archive of the lexicons unpacked here?")
    lexicons = {file.stem.removeprefix("voc_img_"): Lexicon(_read_words(file), name, complete=True) for file in files}
    return ImageLexicons(lexicons, name)


def _read_words(path: str | Path) -> tuple[str, ...]:
    refuse_other_kinds(path, "a file of words")
    raw = Path(path).read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}: line {line}: not UTF-8; save the file as UTF-8") from error
    return _unique(filter(None, map(normalize, text.split("\n"))))


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _bare(text: str) -> str:
    """Upper case, without the punctuation around."""
    return text.strip(string.punctuation).upper()
