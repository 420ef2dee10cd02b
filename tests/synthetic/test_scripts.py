"""What typefaces can write, and how marks are put onto their letters."""

from pathlib import Path

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import features

from textspot.data.synthetic.lettering import Line, draw_lettering
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.synthetic.typefaces import SHIPPED, Typeface, load_typefaces
from textspot.data.synthetic.words import WordConfig
from textspot.text.charset import LATIN, PRINTABLE_ASCII

ACUTE = "\u0301"  # on x, with which it has no composed form
LACKING = "łğŁĞ"


@pytest.fixture(scope="module")
def lacking(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one typeface that has all of latin but four letters."""
    folder = tmp_path_factory.mktemp("fonts")
    font = TTFont(SHIPPED / "Roboto-Regular.ttf")
    for table in font["cmap"].tables:
        for letter in LACKING:
            table.cmap.pop(ord(letter), None)
    font.save(folder / "Lacking.ttf")
    return folder


def test_each_shipped_typeface_knows_which_glyphs_it_has() -> None:
    for face in load_typefaces("shipped", LATIN):
        glyphs = TTFont(face.path, lazy=True).getBestCmap()
        assert face.characters & set(LATIN) <= {c for c in LATIN if ord(c) in glyphs}, face.path
        assert set(PRINTABLE_ASCII) <= face.characters


def test_a_letter_without_glyph_is_never_drawn(lacking: Path) -> None:
    (face,) = load_typefaces(str(lacking), LATIN)
    assert not any(map(face.can_write, ["ł", "Łódź", "dağ"]))
    assert face.can_write("dość")
    plain = {"sign_share": 0, "invented_share": 0, "number_share": 0}
    words = WordConfig(languages=("polish", "turkish"), characters="latin", **plain)
    renderer = Renderer(
        RendererConfig(height=256, width=256, layout="sheet", fonts=str(lacking), words=words, degrade=0)
    )
    texts = [text for index in range(3) for text in renderer.render(3, index).transcripts]
    assert set("".join(texts)) & set("śçıóżş")
    assert not set("".join(texts)) & set(LACKING)


@pytest.mark.parametrize("tracking", [0.0, 0.3])
def test_a_mark_stands_on_its_letter(tracking: float) -> None:
    face = next(face for face in load_typefaces("shipped", "x" + ACUTE) if face.path.endswith("DroidSans.ttf"))

    def width_and_height(text: str) -> np.ndarray:
        left, top, right, bottom = draw_lettering([Line((text,), face, 40.0, tracking=tracking)]).boxes[0]
        return np.array([right - left, bottom - top])

    plain, marked = width_and_height("xxx"), width_and_height(f"xx{ACUTE}x")
    assert marked[0] == pytest.approx(plain[0], abs=2)
    assert marked[1] > 1.2 * plain[1]


def test_marks_without_a_shaper_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "check", lambda _: False)
    with pytest.raises(ValueError, match=r"U\+0301 stand on others: to draw that, install a Pillow that has Raqm"):
        load_typefaces("shipped", "x" + ACUTE)
    assert load_typefaces("shipped", "xé")


def test_joiners_need_no_glyph() -> None:
    face: Typeface = load_typefaces("shipped", "ab")[0]
    assert face.can_write("a\u200db")
