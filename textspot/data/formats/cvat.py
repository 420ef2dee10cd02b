"""CVAT: its export "CVAT for images 1.1", one XML file for all images.

    <annotations><version>1.1</version>
      <image id="0" name="photos/door.jpg" width="640" height="480" subset="train">
        <polygon label="text" occluded="0" points="12.00,8.00;90.00,8.00;90.00,31.00;12.00,31.00" z_order="0">
          <attribute name="transcript">OPEN</attribute></polygon>
        <box label="text" xtl="100" ytl="20" xbr="180" ybr="40" rotation="15.00"/>
        <box label="ignore" xtl="5" ytl="60" xbr="30" ybr="70"/>
      </image></annotations>

The transcript is the attribute `transcript`, `transcription` or `text`; without one it is a box without a reading.
`rotation` is in degrees, clockwise about the centre of the box. The label `ignore` or `illegible`, an attribute
`ignore` that is true, or the transcript `###` marks text to ignore. An attribute `language` is kept, `subset` names the
split.

Source: https://docs.cvat.ai/docs/manual/advanced/xml_format/ and cvat-ai/cvat#4748 for the rotation.
"""

from xml.etree.ElementTree import Element

from textspot.data.annotation import IGNORE_LABELS, AnnotatedImage, Instance, is_dont_care
from textspot.data.formats.outlines import turn_box
from textspot.data.parsing import (
    AnnotationError,
    Point,
    load_xml,
    number_items,
    parse_each,
    parse_points,
    read_attribute,
)

_TRANSCRIPT_NAMES = ("transcript", "transcription", "text")


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one export, whose name `source` complaints carry; bad shapes are an `AnnotationError`."""
    root = load_xml(raw, source)
    if root.find("track") is not None:
        raise AnnotationError([f"{source}: holds tracks of a video: export as CVAT for images 1.1"])
    images = root.iterfind("image")
    return parse_each(((f"{source}: image {image.get('name')}", image) for image in images), _parse_image)


def _parse_image(image: Element) -> AnnotatedImage:
    name = image.get("name")
    if not name:
        raise ValueError('attribute "name": expected a path, found none')
    shapes = [shape for shape in image if shape.tag != "tag"]  # a tag is about the whole image
    return AnnotatedImage(
        names=(name,),
        instances=tuple(parse_each(number_items("shape", shapes), _parse_shape)),
        part=image.get("subset", ""),
        size=(int(read_attribute(image, "height")), int(read_attribute(image, "width"))),
    )


def _parse_shape(shape: Element) -> Instance:
    attributes = {(a.get("name") or "").lower(): (a.text or "").strip() for a in shape.iterfind("attribute")}
    transcript = next((attributes[name] for name in _TRANSCRIPT_NAMES if name in attributes), "")
    marked = shape.get("label", "").lower() in IGNORE_LABELS or attributes.get("ignore", "").lower() == "true"
    return Instance(
        polygon=_outline(shape),
        transcript=transcript,
        ignore=marked or is_dont_care(transcript),
        language=attributes.get("language", ""),
    )


def _outline(shape: Element) -> tuple[Point, ...]:
    if shape.tag == "polygon":
        return parse_points(shape.get("points", "").replace(";", ",").split(","))
    if shape.tag == "box":
        left, top, right, bottom = (read_attribute(shape, name) for name in ("xtl", "ytl", "xbr", "ybr"))
        rotation = read_attribute(shape, "rotation") if "rotation" in shape.attrib else 0.0
        return turn_box((left, top, right, bottom), rotation, pivot=((left + right) / 2, (top + bottom) / 2))
    raise ValueError(f"<{shape.tag}> is no outline; expected a polygon or a box")
