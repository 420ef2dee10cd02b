"""labelme: one JSON file per image, shapes in pixels.

    {"version": "5.5.0", "flags": {}, "imagePath": "door.jpg", "imageHeight": 480, "imageWidth": 640, "imageData": null,
     "shapes": [{"label": "OPEN", "points": [[12, 8], [90, 8], [90, 31], [12, 31]], "shape_type": "polygon",
                 "description": "", "group_id": null, "flags": {}},
                {"label": "###", "points": [[5, 40], [30, 50]], "shape_type": "rectangle"}]}

Polygons, oriented rectangles (four points) and rectangles (two opposite corners). The transcript is the label; in a
data set in which any shape has a description, the description is, and the label is a class. A label or transcript
`###`, a flag `ignore` that is set, or `"difficult": true`, as X-AnyLabeling writes it, marks text to ignore.

Source: labelme/label_file.py of wkentaro/labelme.
"""

import contextlib
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from textspot.data.annotation import AnnotatedImage, Instance, is_dont_care
from textspot.data.parsing import (
    AnnotationError,
    Point,
    load_json,
    number_items,
    parse_each,
    parse_point_pairs,
    read_key,
)


def parse(raw: bytes, source: str, described: bool | None = None) -> AnnotatedImage:
    """What one file, whose name `source` complaints carry, says; bad shapes are an `AnnotationError`.

    `described` says whether the transcripts are the descriptions; None decides that by this file alone.
    """
    ((shapes, name, size),) = parse_each([(source, load_json(raw, source))], _read_image)
    if described is None:
        described = any(map(_is_described, shapes))
    key = "description" if described else "label"
    instances = parse_each(number_items(f"{source}: shape", shapes), lambda shape: _parse_shape(shape, key))
    return AnnotatedImage((name,) if name else (), tuple(instances), size=size)


def choose(raws: Iterable[bytes]) -> tuple[Callable[[bytes, str], AnnotatedImage], str]:
    """How to parse the files of a whole data set, of which some may hold no description though labels are classes in
    all of them; and a remark if the files differ in that."""
    with_description = num_shapes = 0
    for raw in raws:
        with contextlib.suppress(AnnotationError):  # said by whoever parses it
            values = load_json(raw, "")
            shapes = values.get("shapes") if isinstance(values, dict) else None
            for shape in shapes if isinstance(shapes, list) else []:
                num_shapes += 1
                with_description += _is_described(shape)
    parse_all = partial(parse, described=with_description > 0)
    if with_description in (0, num_shapes):
        return parse_all, ""
    counts = f"{with_description} of {num_shapes} shapes have a description"
    return parse_all, f"{counts}: descriptions are read as transcripts, labels as classes, in all files"


def _is_described(shape: Any) -> bool:
    description = shape.get("description") if isinstance(shape, dict) else None
    return isinstance(description, str) and description.strip() != ""


def _read_image(values: Any) -> tuple[list[Any], str, tuple[int, int] | None]:
    """The shapes, the name of the image, and its (height, width)."""
    height, width = (read_key(values, key, int, default=0) for key in ("imageHeight", "imageWidth"))
    shapes, name = read_key(values, "shapes", list), read_key(values, "imagePath", str, default="")
    return shapes, name, (height, width) if height and width else None


def _parse_shape(shape: Any, transcript_key: str) -> Instance:
    label = read_key(shape, "label", str)
    transcript = read_key(shape, transcript_key, str, default="")
    flags = read_key(shape, "flags", dict, default={})
    marked = flags.get("ignore") is True or read_key(shape, "difficult", bool, default=False)
    return Instance(
        polygon=_outline(read_key(shape, "shape_type", str), parse_point_pairs(read_key(shape, "points", list))),
        transcript=transcript,
        ignore=marked or is_dont_care(label) or is_dont_care(transcript),
    )


def _outline(shape_type: str, points: tuple[Point, ...]) -> tuple[Point, ...]:
    if shape_type in ("polygon", "oriented_rectangle"):
        return points
    if shape_type == "rectangle" and len(points) == 2:
        (left, right), (top, bottom) = (sorted(values) for values in zip(*points, strict=True))
        return (left, top), (right, top), (right, bottom), (left, bottom)
    raise ValueError(f"a {shape_type} of {len(points)} points is no outline; expected a polygon or a rectangle")
