"""The project's own format: JSON lines, one file for all images, one line per image.

    {"image": "door.jpg", "instances": [{"polygon": [[12, 8], [90, 8], [90, 31], [12, 31]], "transcript": "OPEN"}]}
    {"image": "photos/wall.jpg", "instances": []}

`image` is a path below the source folder. An instance holds a `polygon` of three or more points, clockwise from the
start of reading, in pixels of the upright image, and if wanted a `transcript` (null or left out: a box without a
reading), `ignore` (true: counts neither way) and `language`. An image without text has an empty list.
"""

import json
from typing import Any

from textspot.data.annotation import AnnotationError, Instance, parse_lines


def parse(text: str, source: str) -> dict[str, list[Instance]]:
    """The instances of each image, by its path; bad lines and an image named twice are an `AnnotationError`."""
    parsed = parse_lines(text, source, _parse_line)
    instances = dict(parsed)
    if len(instances) < len(parsed):
        names = [name for name, _ in parsed]
        repeated = sorted({name for name in names if names.count(name) > 1})
        raise AnnotationError([f"{source}: the image {name} has more than one line" for name in repeated])
    return instances


def _parse_line(line: str) -> tuple[str, list[Instance]]:
    try:
        values = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON ({error}); is each image on one line of its own?") from error
    if not isinstance(values, dict) or set(values) != {"image", "instances"}:
        raise ValueError('expected an object with the keys "image" and "instances"')
    if not isinstance(values["image"], str) or not isinstance(values["instances"], list):
        raise ValueError('expected "image" to be a path and "instances" a list')
    return values["image"], [_instance(number, value) for number, value in enumerate(values["instances"], start=1)]


def _instance(number: int, value: Any) -> Instance:
    try:
        return Instance.from_dict(value)
    except ValueError as error:
        raise ValueError(f"instance {number}: {error}") from error
