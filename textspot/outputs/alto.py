"""ALTO 4: XML of pages, blocks, lines and words in pixels, which libraries and archives keep beside scans.

Source: https://www.loc.gov/standards/alto/v4/alto-4-4.xsd
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from textspot.outputs.page import ReadPage, legal_xml, whole_box
from textspot.structures import Line

NAMESPACE = "http://www.loc.gov/standards/alto/ns-v4#"
SCHEMA = "http://www.loc.gov/standards/alto/v4/alto-4-4.xsd"
_ROOT = {
    "xmlns": NAMESPACE,
    "xmlns:xsi": "http://www.w3.org/2001/XMLSchema-instance",
    "xsi:schemaLocation": f"{NAMESPACE} {SCHEMA}",
    "SCHEMAVERSION": "4.4",
}


def write(pages: Sequence[ReadPage]) -> bytes:
    """One document with a `Page` for each page."""
    alto = Element("alto", _ROOT)
    description = SubElement(alto, "Description")
    SubElement(description, "MeasurementUnit").text = "pixel"
    if pages:
        source = SubElement(description, "sourceImageInformation")
        SubElement(source, "fileName").text = legal_xml(pages[0].prediction.name)
    layout = SubElement(alto, "Layout")
    for number, page in enumerate(pages, start=1):
        _add_page(layout, page, number)
    indent(alto)
    return b'<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(alto, encoding="utf-8")


def _add_page(layout: Element, page: ReadPage, number: int) -> None:
    height, width = page.prediction.size
    sides = {"WIDTH": str(width), "HEIGHT": str(height)}
    element = SubElement(layout, "Page", {"ID": f"p{number}", "PHYSICAL_IMG_NR": str(number), **sides})
    space = SubElement(element, "PrintSpace", {"HPOS": "0", "VPOS": "0", **sides})
    for block, paragraph in enumerate(page.prediction.paragraphs(), start=1):
        name = f"p{number}_b{block}"
        place = _place(*(word.polygon for line in paragraph for word in line))
        text_block = SubElement(space, "TextBlock", {"ID": name, **place})
        for row, line in enumerate(paragraph, start=1):
            _add_line(text_block, line, f"{name}_l{row}")


def _add_line(block: Element, line: Line, name: str) -> None:
    element = SubElement(block, "TextLine", {"ID": name, **_place(*(word.polygon for word in line))})
    for number, word in enumerate(line, start=1):
        if number > 1:
            SubElement(element, "SP")
        values = {"ID": f"{name}_w{number}", **_place(word.polygon), "WC": f"{word.score:.4f}"}
        string = SubElement(element, "String", {**values, "CONTENT": legal_xml(word.text)})
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in word.polygon)
        SubElement(SubElement(string, "Shape"), "Polygon", {"POINTS": corners})


def _place(*polygons: np.ndarray) -> dict[str, str]:
    left, top, right, bottom = whole_box(*polygons)
    return {"HPOS": str(left), "VPOS": str(top), "WIDTH": str(right - left), "HEIGHT": str(bottom - top)}
