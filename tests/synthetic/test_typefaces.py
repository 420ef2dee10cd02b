import numpy as np
import pytest

from textspot.data.synthetic.scribe import Scribe
from textspot.data.synthetic.typefaces import SHIPPED, Typeface, load_typefaces
from textspot.data.synthetic.words import PRINTABLE_ASCII, WordConfig, WordSource


def shipped(name: str) -> Typeface:
    return next(face for face in load_typefaces("shipped", PRINTABLE_ASCII) if face.path.endswith(f"{name}.ttf"))


def test_each_shipped_typeface_writes_ascii_and_is_named_with_its_licence():
    typefaces = load_typefaces("shipped", PRINTABLE_ASCII)
    readme = (SHIPPED / "README.md").read_text(encoding="utf-8")
    assert len(typefaces) == len(list(SHIPPED.glob("*.ttf"))) >= 14
    for file in SHIPPED.glob("*.ttf"):
        assert file.stem in readme
    assert all(face.can_write(PRINTABLE_ASCII) for face in typefaces)
    assert [face.path for face in typefaces] == sorted(face.path for face in typefaces)
    for licence in ("LICENSE-Apache-2.0.txt", "LICENSE-OFL-1.1.txt"):
        assert licence in readme
        assert (SHIPPED / licence).stat().st_size > 3000


def test_a_typeface_of_capitals_says_what_is_seen():
    assert shipped("AmaticSC-Regular").spell("Quay 5") == "QUAY 5"
    assert shipped("DroidSans").spell("Quay 5") == "Quay 5"


def test_a_character_without_glyph_cannot_be_written():
    face = next(face for face in load_typefaces("shipped", "x€漢") if face.path.endswith("DroidSans.ttf"))
    assert face.can_write("x€")
    assert not face.can_write("漢")


def test_metrics_of_a_typeface():
    assert shipped("DroidSans").cap_height == pytest.approx(0.714, abs=0.01)  # 1462 of 2048 units
    light, bold = shipped("OpenSans-Light").legible_height, shipped("OpenSans-ExtraBold").legible_height
    assert bold < 8 < light < shipped("AmaticSC-Regular").legible_height < 20


def test_a_folder_without_fonts_is_an_error_that_names_it(tmp_path):
    with pytest.raises(ValueError, match=f"fonts: {tmp_path}: none of the 0 font files"):
        load_typefaces(str(tmp_path), "abc")
    (tmp_path / "broken.ttf").write_bytes(b"not a font")
    with pytest.raises(ValueError, match=r"none of the 1 font files \(\*.ttf, \*.otf\) there has all of A-Z"):
        load_typefaces(str(tmp_path), "abc")


def test_a_folder_that_does_not_exist_is_an_error():
    with pytest.raises(FileNotFoundError, match="fonts: shiped: no such folder; expected shipped, system or a folder"):
        load_typefaces("shiped", "abc")


def test_typefaces_of_the_operating_system(tmp_path, monkeypatch):
    monkeypatch.setattr("textspot.data.synthetic.typefaces.SYSTEM_FOLDERS", (str(tmp_path / "gone"), str(SHIPPED)))
    assert load_typefaces("system", "abc") == load_typefaces("shipped", "abc")


def test_scribe_shuns_a_typeface_of_capitals_where_those_are_not_wanted():
    faces = (shipped("AmaticSC-Regular"), shipped("DroidSans"))
    scribe = Scribe(WordSource(WordConfig(characters="abc", max_length=3)), faces)
    picked = [scribe.pick(np.random.default_rng(i), [(1, 40), (2, 30)]) for i in range(30)]
    for lines in picked:
        assert [(line.typeface, len(line.texts), line.cap_height) for line in lines] == [
            (faces[1], 1, 40),
            (faces[1], 2, 30),
        ]
    only_capitals = Scribe(WordSource(WordConfig(characters="abc")), faces[:1])
    assert only_capitals.pick(np.random.default_rng(0), [(1, 40)]) is None


def test_scribe_takes_thin_typefaces_for_large_text_only():
    faces = (shipped("AmaticSC-Regular"), shipped("DroidSans"))
    scribe = Scribe(WordSource(WordConfig()), faces)

    def used(height: float) -> set[Typeface]:
        return {scribe.pick(np.random.default_rng(i), [(1, height)])[0].typeface for i in range(40)}

    assert used(10) == {faces[1]}
    assert used(30) == set(faces)
    assert used(3) == set(faces)  # none is legible: no reason to prefer one


def test_words_of_a_piece_are_mostly_cased_alike():
    scribe = Scribe(WordSource(WordConfig(number_share=0.0)), (shipped("DroidSans"),))
    pieces = [scribe.pick(np.random.default_rng(i), [(4, 30)])[0] for i in range(60)]
    alike = sum(all(text.isupper() for text in line.texts) for line in pieces)
    assert 60 * (1 / 3) ** 4 < 5 < alike < 40
    tracked = [line.tracking for line in pieces]
    assert min(tracked) == 0 < max(tracked)
