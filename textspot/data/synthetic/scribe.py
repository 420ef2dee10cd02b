"""Who writes: draws words and a typeface that can write them."""

from collections.abc import Sequence

import numpy as np

from textspot.data.synthetic.chance import choose
from textspot.data.synthetic.typefaces import Typeface
from textspot.data.synthetic.words import WordSource

ATTEMPTS = 20

Lines = tuple[tuple[str, ...], ...]


class Scribe:
    """Picks words and typefaces that go together."""

    def __init__(self, words: WordSource, typefaces: Sequence[Typeface]):
        self._words = words
        self._typefaces = typefaces

    def pick(self, rng: np.random.Generator, block: Sequence[int], cap_height: float) -> tuple[Lines, Typeface] | None:
        """Lines of as many words as `block` says, as they are seen in the typeface beside them.

        It is a typeface that can be read at capitals of `cap_height` pixels, unless none can. None if, in `ATTEMPTS`
        tries, none had the glyphs or, where it knows capitals only, was allowed to write capitals.
        """
        legible = [typeface for typeface in self._typefaces if cap_height >= typeface.legible_height]
        typefaces = legible or self._typefaces
        for _ in range(ATTEMPTS):
            typeface = choose(rng, typefaces)
            lines = tuple(tuple(typeface.spell(self._words.draw(rng)) for _ in range(count)) for count in block)
            if all(typeface.can_write(word) and self._words.allows(word) for line in lines for word in line):
                return lines, typeface
        return None
