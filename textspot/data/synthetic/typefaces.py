"""The typefaces that words are rendered in: where they lie and what each can write."""

import string
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from PIL import ImageFont, features

from textspot.text.scripts import JOINERS, needs_shaping
from textspot.text.spelling import UNICODE

SHIPPED = Path(__file__).parent / "fonts"
SYSTEM_FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "C:/Windows/Fonts",
)
SUFFIXES = (".ttf", ".otf")
BASIC = string.ascii_letters + string.digits
WITHOUT_JOINERS = str.maketrans("", "", JOINERS)  # they have no glyph and need none
PROBE_SIZE = 64
LEGIBLE_LETTER, LEGIBLE_STROKE = 6.0, 0.8  # pixels: the mean width of a letter, and the width of the stem of an l


@dataclass(frozen=True)
class Typeface:
    """One font file.

    `cap_height` is the height of its capitals as a share of the font size; `legible_height` the height of capitals in
    pixels from which it can be read; `capitals_only` says that its lower case letters have the shape of capitals, so
    that what is seen is upper case.
    """

    path: str
    characters: frozenset[str]
    cap_height: float
    legible_height: float
    capitals_only: bool

    def font(self, size: int, shaped: bool = False) -> ImageFont.FreeTypeFont:
        """The font at a size in pixels, cached; a shaped one puts marks onto their letters."""
        return _load_font(self.path, size, ImageFont.Layout.RAQM if shaped else ImageFont.Layout.BASIC)

    def spell(self, text: str) -> str:
        """The text as a recogniser of this typeface sees it."""
        return UNICODE.upper(text) if self.capitals_only else text

    def can_write(self, text: str) -> bool:
        """Whether the typeface has a glyph for each character."""
        return self.characters.issuperset(text.translate(WITHOUT_JOINERS))


def load_typefaces(fonts: str, characters: str) -> tuple[Typeface, ...]:
    """The typefaces of `shipped`, `system` or a folder, sorted by file name.

    What is no scalable font, or lacks some basic Latin letter or digit, is left out.

    A folder that does not exist is a FileNotFoundError; a folder without any usable font file is a ValueError, and so
    are characters that take a shaper where Pillow has none.
    """
    if needs_shaping(characters):
        marks = ", ".join(f"U+{ord(c):04X}" for c in characters if needs_shaping(c))
        require_shaper(f"the characters {marks} stand on others")
    folders = {"shipped": [SHIPPED], "system": [Path(folder).expanduser() for folder in SYSTEM_FOLDERS]}.get(fonts)
    if folders is None:
        folders = [Path(fonts)]
        if not folders[0].is_dir():
            raise FileNotFoundError(f"fonts: {fonts}: no such folder; expected shipped, system or a folder of fonts")
    paths = [path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES]
    found = (_probe(str(path), characters) for path in sorted(paths, key=lambda path: (path.name, str(path))))
    typefaces = tuple(typeface for typeface in found if typeface is not None)
    if not typefaces:
        raise ValueError(
            f"fonts: {fonts}: none of the {len(paths)} font files (*.ttf, *.otf) there has all of A-Z, a-z and 0-9; "
            "set fonts to shipped, system or a folder of Latin typefaces"
        )
    return typefaces


def require_shaper(reason: str) -> None:
    """A ValueError that gives the reason, where Pillow cannot place glyphs in relation to one another."""
    if not features.check("raqm"):
        raise ValueError(f"{reason}: to draw that, install a Pillow that has Raqm")


@lru_cache(maxsize=512)  # about 0.2 MB and 0.1 ms each
def _load_font(path: str, size: int, layout: ImageFont.Layout = ImageFont.Layout.BASIC) -> ImageFont.FreeTypeFont:
    # The basic layout where it will do: shaping depends on how Pillow was built, and would join letters into ligatures.
    return ImageFont.truetype(path, size, layout_engine=layout)


@cache
def _probe(path: str, characters: str) -> Typeface | None:
    """What a font file can write; None if it is not a scalable font with all basic Latin letters and digits."""
    try:
        font = _load_font(path, PROBE_SIZE)
    except OSError:
        return None
    shapes = {c: _shape(font, c) for c in {*characters, *BASIC}}
    no_glyph = {_shape(font, "\U0010ffff"), None}
    has = frozenset(c for c, shape in shapes.items() if shape not in no_glyph)
    distinct = {shapes[c] for c in string.ascii_uppercase}
    if not has.issuperset(BASIC) or len(distinct) < len(string.ascii_uppercase):
        return None
    capital = -font.getbbox("H", anchor="ls")[1]
    letter_width = font.getlength(string.ascii_letters) / len(string.ascii_letters) / capital
    stem = font.getmask("l", mode="L")
    stroke = sum(stem.getpixel((x, stem.size[1] // 2)) for x in range(stem.size[0])) / 255 / capital
    return Typeface(
        path,
        has,
        cap_height=capital / PROBE_SIZE,
        legible_height=max(LEGIBLE_LETTER / letter_width, LEGIBLE_STROKE / stroke if stroke else np.inf),
        capitals_only=font.getbbox("p", anchor="ls")[3] < 0.05 * PROBE_SIZE,
    )


def _shape(font: ImageFont.FreeTypeFont, character: str) -> tuple[tuple[int, int], bytes] | None:
    """Size and pixels of a glyph, None without ink."""
    mask = font.getmask(character, mode="L")
    return (mask.size, bytes(mask)) if mask.getbbox() else None
