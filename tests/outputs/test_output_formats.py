"""What is written must be read by the programs it is for, and hold every word in order."""

import csv
import io
import re
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from drawn_pages import draw_page
from PIL import Image

from textspot.data.formats import coco_text
from textspot.extras import MissingExtraError
from textspot.geometry import box_to_quad
from textspot.outputs import FORMATS, ReadPage
from textspot.outputs.markdown import escape
from textspot.structures import Prediction, TextInstance

ODD = ['<b>&amp;"quoted"', "a,b", "日本", "Ünï\U0001f600", "x\x0by\ud800"]


def page_of(texts, polygons, name="scan.png", page=None, size=(800, 1200)):
    words = tuple(TextInstance(np.float32(polygon), text, 0.9) for polygon, text in zip(polygons, texts, strict=True))
    buffer = io.BytesIO()
    Image.new("RGB", size[::-1], (240, 240, 230)).save(buffer, "JPEG")
    return ReadPage(Prediction(words, size, name, page), buffer.getvalue())


def drawn(kind, degrees=0, number=0, **options):
    page = draw_page(kind, number, 5).turn(degrees)
    width, height = np.concatenate(page.polygons).max(axis=0).astype(int) + 20
    return page_of(page.texts, page.polygons, size=(int(height), int(width)), **options)


@pytest.fixture(scope="module")
def odd():
    """A page of words that formats must escape, one below the other."""
    boxes = [box_to_quad(np.array([40, 100 * row, 300, 100 * row + 40])) for row in range(len(ODD))]
    return page_of(ODD, boxes)


@pytest.fixture(scope="module")
def pages():
    return [drawn("two columns", page=1), drawn("price list", page=2), page_of([], [], page=3)]


@pytest.mark.parametrize("form", FORMATS)
def test_no_pages_and_empty_pages_are_written(form):
    FORMATS[form].write([])
    assert isinstance(
        FORMATS[form].write([page_of([], []), page_of([""], [box_to_quad(np.array([0, 0, 9, 9]))])]), bytes
    )


def test_text_has_a_line_for_each_and_a_form_feed_between_pages(pages):
    texts = FORMATS["text"].write(pages).decode().split("\f")
    assert texts == [f"{page.prediction.text}\n" for page in pages[:2]] + [""]


def test_markdown_marks_headings_and_keeps_lines(pages):
    first, second, _ = FORMATS["markdown"].write(pages).decode().split("\n---\n\n")
    heading, *rest = first.split("\n\n")
    assert heading == f"# {pages[0].prediction.lines()[0].text}"
    assert [line for part in rest for line in part.strip().split("  \n")] == [
        line.text for line in pages[0].prediction.lines()[1:]
    ]
    assert second.count("  \n") > 2


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain text", "plain text"),
        ("*bold* [a](b) <i>", r"\*bold\* \[a\](b) \<i\>"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no list", r"1\. no list"),
        ("12.50", r"12\.50"),
        ("C# 2-3", "C# 2-3"),
    ],
)
def test_marks_of_markdown_are_escaped(text, escaped):
    assert escape(text) == escaped


def test_hocr_nests_pages_paragraphs_lines_and_words(pages):
    root = ElementTree.fromstring(FORMATS["hocr"].write(pages))
    found = {name: root.findall(f".//*[@class='{name}']") for name in ("ocr_page", "ocr_line", "ocrx_word")}
    assert len(found["ocr_page"]) == 3
    for page, element in zip(pages, found["ocr_page"], strict=True):
        lines = element.findall(".//*[@class='ocr_line']")
        assert [" ".join(word.text for word in line) for line in lines] == [one.text for one in page.prediction.lines()]
    title = found["ocrx_word"][0].get("title")
    assert re.fullmatch(r"bbox \d+ \d+ \d+ \d+; poly( \d+){8}; x_wconf 90", title)
    assert found["ocr_page"][1].get("title") == (
        f'image "scan.png"; bbox 0 0 {pages[1].prediction.size[1]} {pages[1].prediction.size[0]}; ppageno 1'
    )


def test_hocr_states_the_angle_of_a_line():
    root = ElementTree.fromstring(FORMATS["hocr"].write([drawn("sign", degrees=30)]))
    angles = [float(line.get("title").split("textangle ")[1]) for line in root.findall(".//*[@class='ocr_line']")]
    np.testing.assert_allclose(angles, 330, atol=3)  # counterclockwise


def test_alto_nests_pages_blocks_lines_and_words(pages):
    root = ElementTree.fromstring(FORMATS["alto"].write(pages))
    ns = {"a": "http://www.loc.gov/standards/alto/ns-v4#"}
    assert [page.get("PHYSICAL_IMG_NR") for page in root.findall(".//a:Page", ns)] == ["1", "2", "3"]
    for page, element in zip(pages, root.findall(".//a:Page", ns), strict=True):
        lines = element.findall(".//a:TextLine", ns)
        texts = [" ".join(word.get("CONTENT") for word in line.findall("a:String", ns)) for line in lines]
        assert texts == [line.text for line in page.prediction.lines()]
        assert int(element.get("WIDTH")) == page.prediction.size[1]
    names = [element.get("ID") for element in root.iter() if element.get("ID")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("form", ["hocr", "alto"])
def test_markup_is_well_formed_whatever_was_read(form, odd):
    text = FORMATS[form].write([odd]).decode()
    ElementTree.fromstring(text)
    assert "x\ufffdy\ufffd" in text


def test_csv_has_a_row_for_each_word_in_order(pages, odd):
    rows = list(csv.DictReader(io.StringIO(FORMATS["csv"].write([*pages, odd]).decode(), newline="")))
    words = [word for page in pages for line in page.prediction.lines() for word in line]
    assert [row["text"] for row in rows] == [*(word.text for word in words), *ODD[:4], "x\x0by\\ud800"]
    assert (rows[0]["image"], rows[0]["page"], rows[0]["line"]) == ("scan.png", "1", "1")
    corners = [[float(number) for number in point.split(",")] for point in rows[0]["polygon"].split()]
    np.testing.assert_allclose(corners, words[0].polygon, atol=0.01)


def test_our_own_parser_reads_coco_text(pages):
    unread = TextInstance(box_to_quad(np.array([1, 2, 30, 9])), "", 0.5)
    more = ReadPage(Prediction((*pages[0].prediction, unread), pages[0].prediction.size, "more.png"))
    images = coco_text.parse(FORMATS["coco_text"].write([pages[0], more]), "out.json")
    assert [image.names[0] for image in images] == ["scan.png#page=1", "more.png"]
    words = [word for line in pages[0].prediction.lines() for word in line]
    assert [one.transcript for one in images[0].instances] == [word.text for word in words]
    assert images[0].size == pages[0].prediction.size
    np.testing.assert_allclose(images[0].instances[3].polygon, words[3].polygon, atol=0.01)
    assert [one.ignore for one in images[1].instances] == [False] * len(words) + [True]


needs_pdftotext = pytest.mark.skipif(
    not shutil.which("pdftotext"), reason="pdftotext of poppler-utils is not installed"
)


def read_pdf(data, *options):
    done = subprocess.run(["pdftotext", *options, "-", "-"], input=data, capture_output=True, check=True)
    return [page.split("\n") for page in done.stdout.decode().split("\f")]


@needs_pdftotext
def test_pdftotext_reads_the_words_and_lines_of_a_searchable_pdf_in_order(pages, odd):
    odd = page_of(ODD[:4], [word.polygon for word in odd.prediction][:4])
    read = read_pdf(FORMATS["pdf"].write([*pages, odd]), "-raw")
    for page, lines in zip([*pages, odd], read, strict=False):
        assert [line for line in lines if line] == [line.text for line in page.prediction.lines()]


@needs_pdftotext
def test_pdftotext_reads_turned_and_curved_text():
    pages = [drawn("one column", 12), drawn("sign", 90), drawn("curved")]
    read = read_pdf(FORMATS["pdf"].write(pages), "-raw")
    for page, lines in zip(pages, read, strict=False):
        assert " ".join(lines).split() == page.prediction.text.split()


@needs_pdftotext
def test_the_text_of_a_pdf_lies_over_its_words():
    page = drawn("one column")
    lines = read_pdf(FORMATS["pdf"].write([page]), "-bbox")[0]
    found = [re.fullmatch(r'<word xMin="(.+?)" .* xMax="(.+?)" .*>(.+)</word>', line.strip()) for line in lines]
    words = [word for line in page.prediction.lines() for word in line]
    assert [one[3] for one in found if one] == [word.text for word in words]
    sides = np.array([[float(one[1]), float(one[2])] for one in found if one]) / 0.36
    np.testing.assert_allclose(sides[:, 0], [word.polygon[:, 0].min() for word in words], atol=3)
    np.testing.assert_allclose(sides[:, 1], [word.polygon[:, 0].max() for word in words], atol=3)


def test_a_pdf_shows_the_image_and_not_the_text():
    pypdfium2 = pytest.importorskip("pypdfium2")
    page = drawn("sign")
    document = pypdfium2.PdfDocument(FORMATS["pdf"].write([page]))
    width, height = document[0].get_size()
    np.testing.assert_allclose((height, width), np.array(page.prediction.size) * 0.36, atol=0.1)
    pixels = document[0].render().to_numpy()
    assert pixels[5:-5, 5:-5].min() > 225


def test_without_fpdf_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "fpdf", None)
    with pytest.raises(MissingExtraError, match=r"fpdf is not installed: pip install 'textspot\[pdf\]'"):
        FORMATS["pdf"].write([])
