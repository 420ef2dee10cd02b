"""Street View Text: one XML file for all images, rectangles.

    <tagset><image><imageName>img/14_03.jpg</imageName> <lex>LIVING,ROOM</lex> <Resolution x="1280" y="880"/>
      <taggedRectangles>
        <taggedRectangle height="75" width="236" x="375" y="253"><tag>LIVING</tag></taggedRectangle>
      </taggedRectangles></image></tagset>

Source: http://vision.ucsd.edu/~kai/svt/ and dataset_zoo/svt/sample_anno.md of open-mmlab/mmocr.
"""

from xml.etree.ElementTree import Element

from textspot.data.annotation import AnnotatedImage, Instance
from textspot.data.parsing import load_xml, number_items, parse_each, read_attribute


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; bad rectangles are an `AnnotationError`."""
    images = load_xml(raw, source).iterfind("image")
    return parse_each(number_items(f"{source}: image", images), _parse_image)


def _parse_image(image: Element) -> AnnotatedImage:
    name = (image.findtext("imageName") or "").strip()
    if not name:
        raise ValueError("has no <imageName>")
    rectangles = number_items(f"{name}: rectangle", image.iterfind("taggedRectangles/taggedRectangle"))
    resolution = image.find("Resolution")
    size = None
    if resolution is not None:
        size = int(read_attribute(resolution, "y")), int(read_attribute(resolution, "x"))
    return AnnotatedImage((name,), tuple(parse_each(rectangles, _parse_rectangle)), size=size)


def _parse_rectangle(rectangle: Element) -> Instance:
    left, top, width, height = (read_attribute(rectangle, name) for name in ("x", "y", "width", "height"))
    right, bottom = left + width, top + height
    return Instance(
        polygon=((left, top), (right, top), (right, bottom), (left, bottom)),
        transcript=(rectangle.findtext("tag") or "").strip(),
    )
