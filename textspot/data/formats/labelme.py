"""labelme: one JSON file per image, shapes in pixels.

    {"version": "5.5.0", "flags": {}, "imagePath": "door.jpg", "imageHeight": 480, "imageWidth": 640, "imageData": null,
     "shapes": [{"label": "OPEN", "points": [[12, 8], [90, 8], [90, 31], [12, 31]], "shape_type": "polygon",
                 "description": "", "group_id": null, "flags": {}},
                {"label": "###", "points": [[5, 40], [30, 50]], "shape_type": "rectangle"}]}

Polygons, oriented rectangles (four points) and rectangles (two opposite corners). The transcript is the label; in a
file in which any shape has a description, the description is, and the label is a class. A label or transcript `###`,
or a flag `ignore` that is set, marks text to ignore.

Source: labelme/label_file.py of wkentaro/labelme.
"""

from typing import Any

from textspot.data.annotation import DONT_CARE, Instance
from textspot.data.parsing import Point, load_json, number_items, parse_each, parse_point_pairs, read_key


def parse(raw: bytes, source: str) -> list[Instance]:
    """The instances of one file, whose name `source` complaints carry; bad shapes are an `AnnotationError`."""
    ((shapes, transcript_key),) = parse_each([(source, load_json(raw, source))], _read_shapes)
    return parse_each(number_items(f"{source}: shape", shapes), lambda shape: _parse_shape(shape, transcript_key))


def _read_shapes(values: Any) -> tuple[list[Any], str]:
    """The shapes, and the key under which they have their transcripts."""
    shapes = read_key(values, "shapes", list)
    described = any(read_key(shape, "description", str, default="").strip() for shape in shapes)
    return shapes, "description" if described else "label"


def _parse_shape(shape: Any, transcript_key: str) -> Instance:
    label = read_key(shape, "label", str)
    transcript = read_key(shape, transcript_key, str, default="")
    flags = read_key(shape, "flags", dict, default={})
    return Instance(
        polygon=_outline(read_key(shape, "shape_type", str), parse_point_pairs(read_key(shape, "points", list))),
        transcript=transcript,
        ignore=DONT_CARE in (label, transcript) or flags.get("ignore") is True,
    )


def _outline(shape_type: str, points: tuple[Point, ...]) -> tuple[Point, ...]:
    if shape_type in ("polygon", "oriented_rectangle"):
        return points
    if shape_type == "rectangle" and len(points) == 2:
        (left, right), (top, bottom) = (sorted(values) for values in zip(*points, strict=True))
        return (left, top), (right, top), (right, bottom), (left, bottom)
    raise ValueError(f"a {shape_type} of {len(points)} points is no outline; expected a polygon or a rectangle")
