"""ICDAR 2019 ArT: one JSON object for all images, by the name of the image without suffix.

    {"gt_0": [{"transcription": "Hôtel", "points": [[12, 8], [60, 2], [90, 8], [92, 31], [62, 26], [14, 31]],
               "language": "Latin", "illegibility": false}], "gt_1": []}

Points run clockwise. What is illegible or says `###` is to be ignored.

Source: https://rrc.cvc.uab.es/?ch=14&com=tasks and docs/en/datasets/ic19_art.md of mindspore-lab/mindocr.
"""

from typing import Any

from textspot.data.annotation import AnnotatedImage, Instance, is_dont_care
from textspot.data.parsing import AnnotationError, load_json, number_items, parse_each, parse_point_pairs, read_key


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; bad instances are an `AnnotationError`."""
    values = load_json(raw, source)
    if not isinstance(values, dict):
        raise AnnotationError([f"{source}: expected an object with the names of images as keys"])
    return parse_each(((f"{source}: image {name}", (name, value)) for name, value in values.items()), _parse_image)


def _parse_image(named: tuple[str, Any]) -> AnnotatedImage:
    name, values = named
    if not isinstance(values, list):
        raise ValueError("expected a list of instances")
    instances = parse_each(number_items("instance", values), _parse_instance)
    return AnnotatedImage((f"{name}.jpg", f"{name}.png"), tuple(instances))


def _parse_instance(value: Any) -> Instance:
    transcript = read_key(value, "transcription", str)
    return Instance(
        polygon=parse_point_pairs(read_key(value, "points", list)),
        transcript=transcript,
        ignore=read_key(value, "illegibility", bool) or is_dont_care(transcript),
        language=read_key(value, "language", str, default=""),
    )
