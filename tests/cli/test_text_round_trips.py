"""A drawn text comes back as the same string: through records, evaluation, `infer` and each format it writes.

The network is a stub that reads what it was told. So whatever differs in the end, another stage has changed.
"""

import csv
import io
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from tiny_spotter import build_tiny_card

from textspot.cli import infer as infer_verb
from textspot.data.annotation import Instance, sample_to_instances
from textspot.data.lmdb_records import Reader, Writer
from textspot.data.synthetic import words as word_source
from textspot.data.synthetic.renderer import Renderer, RendererConfig
from textspot.data.synthetic.words import WordConfig
from textspot.engine.evaluate import score_dataset, score_reading
from textspot.geometry import polygon_to_ribbon
from textspot.inference.spotter import Spotter
from textspot.metrics import read_results
from textspot.outputs import FORMATS
from textspot.runtime.protocol import Regions
from textspot.structures import Sample
from textspot.text.charset import CHARSETS, Charset, normalize
from textspot.text.language import learn_language, list_languages, read_words
from textspot.text.lexicon import load_lexicon
from textspot.text.spelling import spelling_of

MARKS = "\u030c\u0301\u0308"
# Turkish dotless and dotted i, German ß in each form, a ligature, letters with marks of their own, quotation marks.
AWKWARD = ["IŞIK", "ısı", "İZMİR", "Straße", "STRAẞE", "x\u030cy", "ﬁn", "pel·lícula", "ĳs", "«Été»", "9,99€", "Łódź"]
FULL = "".join(sorted({*CHARSETS["latin"], *MARKS, *"".join(AWKWARD)}))


class ToldRuntime:
    """Finds the polygons of a sample, in its order, and reads its transcripts."""

    name = "what it was told"

    def __init__(self, sample: Sample, charset: Charset):
        self.ribbons = np.stack([polygon_to_ribbon(polygon)[0] for polygon in sample.polygons])
        self.logits = to_logits([charset.encode(normalize(text)) for text in sample.transcripts], charset.num_classes)

    def spot(self, images: np.ndarray, threshold: float, max_regions: int) -> list[Regions]:  # noqa: ARG002
        return [Regions(self.ribbons, np.full(len(self.ribbons), 0.9), self.logits)] * len(images)

    def read(self, image: np.ndarray, ribbons: np.ndarray) -> np.ndarray:  # noqa: ARG002
        distance = np.abs(ribbons[:, None] - self.ribbons).sum(axis=(2, 3, 4))
        return self.logits[distance.argmin(axis=1)]


def to_logits(texts: Sequence[Sequence[int]], num_classes: int) -> np.ndarray:
    """Logits (R, T, C) that say these tokens clearly, a blank after each."""
    logits = np.zeros((len(texts), 2 * max(map(len, texts)), num_classes), np.float32)
    logits[..., 0] = 20
    for text, row in zip(texts, logits, strict=True):
        row[2 * np.arange(len(text)), text] = 40
    return logits


def tell(sample: Sample, characters: str) -> Spotter:
    """A spotter that reads a sample as it is annotated."""
    card = build_tiny_card()
    text = card.recipe["text"] | {"characters": characters}
    return Spotter(ToldRuntime(sample, Charset(characters)), replace(card, recipe=card.recipe | {"text": text}))


def write_records(folder: Path, sample: Sample) -> Reader:
    """A data set of one image whose transcripts are decomposed, as files of macOS have them."""
    buffer = io.BytesIO()
    Image.fromarray(sample.image).save(buffer, "png")
    instances = [
        replace(one, transcript=unicodedata.normalize("NFD", one.transcript)) for one in sample_to_instances(sample)
    ]
    with Writer(folder, {}) as writer:
        writer.add("img_1.png", buffer.getvalue(), instances)
    return Reader(folder)


@pytest.mark.parametrize("name", list_languages())
def test_words_of_each_language(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    some = tuple(read_words(name)[::900])
    charset = next(kind for kind, characters in CHARSETS.items() if set(characters).issuperset("".join(some)))
    monkeypatch.setattr(word_source, "_part_of", lambda *_: some)
    words = WordConfig(languages=(name,), characters=charset, sign_share=0, invented_share=0, max_length=20)
    config = RendererConfig(height=160, width=256, layout="sheet", words=words, degrade=0, max_text_height=16)
    sample = Renderer(replace(config, empty_share=0, occluded_share=0)).render(0, 0)
    drawn = [text for text, ignored in zip(sample.transcripts, sample.ignore, strict=True) if not ignored]
    assert len(drawn) > 5
    reader, spotter = write_records(tmp_path / "data", sample), tell(sample, CHARSETS[charset])
    assert [one.text for one in spotter(sample.image)] == list(sample.transcripts)
    spotter.language = learn_language([*some, *drawn], name, spelling=spelling_of(name))
    figures = score_dataset(["icdar2015/end_to_end"], spotter, reader).figures
    assert figures["icdar2015/end_to_end"]["hmean"] == 1
    assert score_reading(spotter, reader)["recognition/word_accuracy"] == 1


@pytest.fixture
def awkward() -> Sample:
    """An image whose words stand below one another."""
    polygons = [np.float32([[4, y], [90, y], [90, y + 8], [4, y + 8]]) for y in range(4, 20 * len(AWKWARD), 20)]
    image = np.full((20 * len(AWKWARD), 96, 3), 200, np.uint8)
    return Sample(image, polygons, AWKWARD, np.zeros(len(AWKWARD), bool))


def test_a_lexicon_gives_each_word_as_it_is_listed(awkward: Sample, tmp_path: Path) -> None:
    """Also of two words that differ in case alone, or in the dot of an i; also from a decomposed list."""
    listed = [*(text.swapcase() for text in AWKWARD if len(text.swapcase()) == len(text)), "isi", *AWKWARD]
    (tmp_path / "words.txt").write_text(unicodedata.normalize("NFD", "\n".join(listed)), encoding="utf-8")
    spotter = tell(awkward, FULL)
    for complete in (False, True):
        spotter.lexicon = load_lexicon(tmp_path / "words.txt", "words", complete)
        assert [one.text for one in spotter(awkward.image)] == AWKWARD
        assert spotter.lexicon.correct(AWKWARD) == AWKWARD


def test_letters_and_marks_are_read_as_they_are_compared() -> None:
    """A network may read a letter and its mark one by one, though there is a class for both."""
    charset = Charset(FULL)
    tokens = [charset.encode(c)[0] for c in ("e", MARKS[1], "x", MARKS[0])]
    assert charset.decode(tokens) == "éx\u030c"


@pytest.fixture
def infer(awkward: Sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    """The folder of what `infer` writes of the image, in all formats."""
    monkeypatch.setattr(infer_verb, "load_spotter", lambda _: tell(awkward, FULL))
    Image.fromarray(awkward.image).save(tmp_path / "page.png")
    formats = ["json", "rrc", *FORMATS]
    out = tmp_path / "out"
    assert infer_verb.main([str(tmp_path / "page.png"), "--out", str(out), "--format", *formats]) == 0
    assert " | ".join(AWKWARD) in capsys.readouterr().out
    return out


def test_what_infer_writes(infer: Path) -> None:
    page = infer / "page"

    def text_of(suffix: str) -> str:
        return page.with_name(f"page{suffix}").read_text(encoding="utf-8")

    assert [one["text"] for one in json.loads(text_of(".json"))["instances"]] == AWKWARD
    assert [one["utf8_string"] for one in json.loads(text_of(".coco.json"))["anns"].values()] == AWKWARD
    assert [one.text for one in read_results(infer, ["page"])[0]["page"]] == AWKWARD
    assert text_of(".txt").split() == AWKWARD
    assert [row["text"] for row in csv.DictReader(io.StringIO(text_of(".csv").removeprefix("\ufeff")))] == AWKWARD
    assert [word.get("CONTENT") for word in ElementTree.parse(f"{page}.alto.xml").iter() if word.get("WC")] == AWKWARD
    spans = [span for span in ElementTree.parse(f"{page}.hocr").iter() if span.get("class") == "ocrx_word"]
    assert ["".join(span.itertext()) for span in spans] == AWKWARD
    assert all(text in text_of(".md") for text in AWKWARD)


def test_the_text_of_a_pdf_is_found_again(infer: Path) -> None:
    pdfium = pytest.importorskip("pypdfium2")
    found = pdfium.PdfDocument(infer / "page.pdf")[0].get_textpage().get_text_bounded()
    apart = [unicodedata.normalize("NFKC", text) for text in AWKWARD]  # pdfium gives the letters of a ligature
    assert unicodedata.normalize("NFKC", found).split() == apart


def test_annotation_of_any_form_trains_the_same_tokens() -> None:
    charset = Charset(FULL)
    for text in AWKWARD:
        forms = [text, unicodedata.normalize("NFD", text), f"\u200b{text}\ufeff", f" {text}\u00a0"]
        assert {tuple(charset.encode(normalize(form))) for form in forms} == {tuple(charset.encode(text))}
        assert Instance(((0, 0), (9, 0), (9, 9)), text).readable
