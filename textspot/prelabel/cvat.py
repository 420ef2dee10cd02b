"""CVAT: "CVAT for images 1.1" in `annotations.xml`: polygons with the label `text` and the attribute `transcript`.

The task in CVAT must have this label, with a text attribute of this name.
"""

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from textspot.outputs.page import legal_xml
from textspot.prelabel.words import points_of, words_of
from textspot.structures import Prediction


def write(predictions: Sequence[Prediction]) -> dict[str, bytes]:
    """One file for all images."""
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    for number, prediction in enumerate(predictions):
        _add_image(root, prediction, number)
    indent(root)
    return {"annotations.xml": tostring(root, encoding="utf-8", xml_declaration=True)}


def _add_image(root: Element, prediction: Prediction, number: int) -> None:
    height, width = map(str, prediction.size)
    values = {"id": str(number), "name": legal_xml(prediction.name), "width": width, "height": height}
    image = SubElement(root, "image", values)
    for word in words_of(prediction):
        points = ";".join(f"{x:.2f},{y:.2f}" for x, y in points_of(word))
        shape = {"label": "text", "source": "auto", "occluded": "0", "points": points, "z_order": "0"}
        polygon = SubElement(image, "polygon", shape)
        SubElement(polygon, "attribute", {"name": "transcript"}).text = legal_xml(word.text)
