"""Who writes: draws words and a typeface that can write them."""

from collections.abc import Sequence

import numpy as np

from textspot.data.synthetic.chance import choose
from textspot.data.synthetic.lettering import Line
from textspot.data.synthetic.typefaces import Typeface
from textspot.data.synthetic.words import WordSource
from textspot.text.scripts import split_graphemes

ATTEMPTS = 20
ONE_CASE = 0.7  # share of the pieces of several words whose words are all cased alike
WIDEST_TRACKING = 0.5  # capital heights between letters, on top of the typeface's own distance
TRACKED_SHARE = 0.12


class Scribe:
    """Picks words and typefaces that go together. Of `vertical` lines, words have two characters or more: one alone
    looks the same in a line of either direction."""

    def __init__(self, words: WordSource, typefaces: Sequence[Typeface], vertical: bool = False):
        self._words = words
        self._typefaces = typefaces
        self.vertical = vertical

    def turned(self) -> "Scribe":
        """One who picks the same for vertical lines."""
        return Scribe(self._words, self._typefaces, vertical=True)

    def pick(self, rng: np.random.Generator, block: Sequence[tuple[int, float]]) -> tuple[Line, ...] | None:
        """One line for each (number of words, height of capitals) of the block, its words as they are seen in the
        block's typeface.

        It is a typeface that can be read at the lowest of the heights, unless none can. None if, in `ATTEMPTS` tries,
        none had the glyphs or, where it knows capitals only, was allowed to write capitals.
        """
        lowest = min(height for _, height in block)
        typefaces = [t for t in self._typefaces if lowest >= t.legible_height] or self._typefaces
        for _ in range(ATTEMPTS):
            typeface = choose(rng, typefaces)
            case = self._words.draw_case(rng) if rng.random() < ONE_CASE else None
            words = [typeface.spell(word) for word in self._words.draw(rng, sum(count for count, _ in block), case)]
            if all(typeface.can_write(word) and self._allows(word) for word in words):
                ends = np.cumsum([count for count, _ in block])
                gap = rng.uniform(0.35, 0.7)
                tracking = rng.uniform(0, WIDEST_TRACKING) if rng.random() < TRACKED_SHARE else 0.0
                return tuple(
                    Line(
                        tuple(words[end - count : end]), typeface, height, gap + 1.5 * tracking, tracking, self.vertical
                    )
                    for end, (count, height) in zip(ends, block, strict=True)
                )
        return None

    def _allows(self, word: str) -> bool:
        return self._words.allows(word) and (not self.vertical or len(split_graphemes(word)) > 1)
