"""COCO-Text version 2 and TextOCR: one JSON object with tables of images and of annotations.

    {"imgs": {"522579": {"id": 522579, "file_name": "COCO_train2014_000000522579.jpg", "width": 640, "height": 480,
                         "set": "train"}},
     "anns": {"167312": {"id": 167312, "image_id": 522579, "mask": [468.9, 286.7, 468.9, 295.2, 493, 295.8, 493, 287.2],
                         "utf8_string": "the", "legibility": "legible", "language": "english"}},
     "imgToAnns": {"522579": [167312]}}

TextOCR has `points` instead of `mask`, no legibility, and the transcript `.` for what is illegible or not English.
Illegible text is to be ignored; legible text without a `utf8_string` is a box without a reading. `set` names the split,
which a card chooses under `part`. COCO-Text does not say in which direction its masks run: the builder turns them.

Source: https://bgshih.github.io/cocotext/, https://textvqa.org/textocr/dataset/ ("JSON format mostly follows COCO-Text
v2"), and dataset_zoo/cocotextv2/sample_anno.md of open-mmlab/mmocr.
"""

from collections import defaultdict
from typing import Any

from textspot.data.annotation import AnnotatedImage, Instance
from textspot.data.pairing import path_tails
from textspot.data.parsing import AnnotationError, load_json, parse_each, parse_points, read_key

UNREADABLE = "."  # TextOCR only: in COCO-Text it is a full stop


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one file, whose name `source` complaints carry; bad instances are an `AnnotationError`."""
    ((images, annotations),) = parse_each([(source, load_json(raw, source))], _read_tables)
    by_image: dict[str, list[Instance]] = defaultdict(list)
    named = ((f"{source}: annotation {key}", value) for key, value in annotations.items())
    for image, instance in parse_each(named, _parse_annotation):
        by_image[image].append(instance)
    if stray := sorted(by_image.keys() - images.keys()):
        raise AnnotationError([f"{source}: annotates the image {key}, which `imgs` does not list" for key in stray])
    return parse_each(
        ((f"{source}: image {key}", (value, by_image[key])) for key, value in images.items()), _parse_image
    )


def _read_tables(values: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return read_key(values, "imgs", dict), read_key(values, "anns", dict)


def _parse_annotation(value: Any) -> tuple[str, Instance]:
    image = str(read_key(value, "image_id", (int, str)))
    transcript = read_key(value, "utf8_string", str, default="")
    if "points" in value:
        polygon, ignore = parse_points(read_key(value, "points", list)), transcript == UNREADABLE
    else:
        polygon, ignore = parse_points(read_key(value, "mask", list)), read_key(value, "legibility", str) != "legible"
    language = read_key(value, "language", str, default="")
    return image, Instance(polygon, transcript, ignore, "" if language == "na" else language)


def _parse_image(image: tuple[Any, list[Instance]]) -> AnnotatedImage:
    value, instances = image
    name = read_key(value, "file_name", str)
    return AnnotatedImage(
        names=path_tails(name) or (name,),  # TextOCR: `train/a.jpg`, unpacked elsewhere
        instances=tuple(instances),
        part=read_key(value, "set", str, default=""),
        size=(read_key(value, "height", int), read_key(value, "width", int)),
    )
