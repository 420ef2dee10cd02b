"""The project's own format: JSON lines, one file for all images, one line per image.

    {"image": "door.jpg", "instances": [{"polygon": [[12, 8], [90, 8], [90, 31], [12, 31]], "transcript": "OPEN"}]}
    {"image": "photos/wall.jpg", "instances": []}

`image` is a path below the source folder. An instance holds a `polygon` of three or more points, clockwise from the
start of reading, in pixels of the upright image, and if wanted a `transcript` (null or left out: a box without a
reading), `ignore` (true: counts neither way), `language`, and `score` (how sure the program was that read the
transcript). An image without text has an empty list.
"""

import json

from textspot.data.annotation import AnnotatedImage, Instance
from textspot.data.parsing import number_items, parse_each, parse_json, parse_lines


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; bad lines are an `AnnotationError`."""
    return parse_lines(raw, source, _parse_line)


def _parse_line(line: str) -> AnnotatedImage:
    try:
        values = parse_json(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error}); is each image on one line of its own?") from error
    if not isinstance(values, dict) or set(values) != {"image", "instances"}:
        raise ValueError('expected an object with the keys "image" and "instances"')
    if not isinstance(values["image"], str) or not isinstance(values["instances"], list):
        raise ValueError('expected "image" to be a path and "instances" a list')
    instances = parse_each(number_items("instance", values["instances"]), Instance.from_dict)
    return AnnotatedImage((values["image"],), tuple(instances))
