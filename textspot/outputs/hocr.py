"""hOCR 1.2: XHTML whose elements say what they are in `class` and where they stand in `title`, in whole pixels.

Source: https://kba.github.io/hocr-spec/1.2/
"""

import math
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from textspot.outputs.page import ReadPage, legal_xml, whole_box
from textspot.structures import Line, Paragraph, TextInstance

CAPABILITIES = "ocr_page ocr_par ocr_line ocrx_word"
_HEAD = b'<?xml version="1.0" encoding="UTF-8"?>\n'


def write(pages: Sequence[ReadPage]) -> bytes:
    """One document with an `ocr_page` for each page."""
    html = Element("html", {"xmlns": "http://www.w3.org/1999/xhtml"})
    head = SubElement(html, "head")
    SubElement(head, "title").text = legal_xml(pages[0].prediction.name) if pages else ""
    SubElement(head, "meta", {"charset": "utf-8"})
    SubElement(head, "meta", {"name": "ocr-system", "content": "textspot"})
    SubElement(head, "meta", {"name": "ocr-capabilities", "content": CAPABILITIES})
    body = SubElement(html, "body")
    for number, page in enumerate(pages):
        _add_page(body, page, number)
    indent(html)
    return _HEAD + tostring(html, encoding="utf-8")


def _add_page(body: Element, page: ReadPage, number: int) -> None:
    height, width = page.prediction.size
    name = legal_xml(page.prediction.name).replace("\\", "\\\\").replace('"', '\\"')
    title = f'image "{name}"; bbox 0 0 {width} {height}; ppageno {number}'
    element = SubElement(body, "div", {"class": "ocr_page", "id": f"page_{number + 1}", "title": title})
    for paragraph in page.prediction.paragraphs():
        _add_paragraph(element, paragraph)


def _add_paragraph(page: Element, paragraph: Paragraph) -> None:
    box = _bbox(*(word.polygon for line in paragraph for word in line))
    element = SubElement(page, "p", {"class": "ocr_par", "title": box})
    for line in paragraph:
        title = "; ".join([_bbox(*(word.polygon for word in line)), *_angle(line)])
        row = SubElement(element, "span", {"class": "ocr_line", "title": title})
        for word in line:
            _add_word(row, word)


def _add_word(line: Element, word: TextInstance) -> None:
    corners = " ".join(f"{x:.0f} {y:.0f}" for x, y in word.polygon)
    title = f"{_bbox(word.polygon)}; poly {corners}; x_wconf {100 * word.score:.0f}"
    SubElement(line, "span", {"class": "ocrx_word", "title": title}).text = legal_xml(word.text)


def _bbox(*polygons: np.ndarray) -> str:
    return "bbox " + " ".join(map(str, whole_box(*polygons)))


def _angle(line: Line) -> Iterator[str]:
    """The angle of a line in degrees, counterclockwise; level ones have none."""
    (x, y), (to_x, to_y) = line[0].polygon[0], line[-1].polygon[(len(line[-1].polygon) - 1) // 2]
    degrees = -math.degrees(math.atan2(to_y - y, to_x - x)) % 360
    if 1 < degrees < 359:
        yield f"textangle {degrees:.1f}"
