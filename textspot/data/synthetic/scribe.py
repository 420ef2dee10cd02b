"""Who writes: draws words and a typeface that can write them."""

from collections.abc import Sequence

import numpy as np

from textspot.data.synthetic.typefaces import Typeface
from textspot.data.synthetic.words import WordSource

ATTEMPTS = 20
LEGIBLE_WIDTH = 6.0  # pixels of a mean letter: narrow and thin typefaces need a larger size than others

Lines = tuple[tuple[str, ...], ...]


class Scribe:
    """Picks words and typefaces that go together."""

    def __init__(self, words: WordSource, typefaces: Sequence[Typeface]):
        self._words = words
        self._typefaces = typefaces

    def pick(self, rng: np.random.Generator, block: Sequence[int], cap_height: float) -> tuple[Lines, Typeface] | None:
        """Lines of as many words as `block` says, as they are seen in the typeface beside them.

        Where some typefaces are wide enough to be read at capitals of `cap_height` pixels, it is one of those. None if in `ATTEMPTS` tries no typeface was found that has the glyphs and, if it knows capitals only, whose capitals
        are wanted.
        """
        wide = [typeface for typeface in self._typefaces if cap_height * typeface.letter_width >= LEGIBLE_WIDTH]
        typefaces = wide or self._typefaces
        for _ in range(ATTEMPTS):
            typeface = typefaces[rng.integers(len(typefaces))]
            lines = tuple(tuple(typeface.spell(self._words.draw(rng)) for _ in range(count)) for count in block)
            if all(typeface.can_write(word) and self._words.allows(word) for line in lines for word in line):
                return lines, typeface
        return None
