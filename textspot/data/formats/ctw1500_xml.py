"""Training files of SCUT-CTW1500: one XML file per image, 14 points per line of text.

    <Annotations><image file="0200.jpg">
      <box height="197" left="131" top="49" width="399">
        <label>OLATHE</label>
        <segs>131,58,208,49,279,56,346,76,412,101,473,141,530,192,510,246,458,210,405,175,350,151,291,137,228,133,165,134</segs>
        <pts x="183" y="95" />
      </box></image></Annotations>

The polygon is `segs`; the points `pts` inside the letters are not read. An empty label is a box without a reading,
`###` marks text to ignore.

Source: data/README.md of Yuliang-Liu/Curve-Text-Detector, "Annotations-v2".
"""

from xml.etree.ElementTree import Element

from textspot.data.annotation import Instance, is_dont_care
from textspot.data.parsing import load_xml, number_items, parse_each, parse_points


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad boxes are an `AnnotationError`."""
    boxes = load_xml(raw, source).iterfind("image/box")
    return parse_each(number_items(f"{source}: box", boxes), _parse_box)


def _parse_box(box: Element) -> Instance:
    segments = box.findtext("segs")
    if segments is None:
        raise ValueError("has no <segs>")
    transcript = box.findtext("label") or ""
    return Instance(parse_points(segments.strip().split(",")), transcript, ignore=is_dont_care(transcript))
