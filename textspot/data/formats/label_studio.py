"""Label Studio: its JSON export ("JSON", not "JSON-MIN"), coordinates in percent of the image.

    [{"id": 7, "data": {"ocr": "/data/upload/1/1a2b3c4d-door.jpg"}, "annotations": [{"was_cancelled": false, "result": [
       {"id": "r1", "type": "rectanglelabels", "original_width": 640, "original_height": 480, "image_rotation": 0,
        "value": {"x": 10, "y": 20, "width": 30, "height": 5, "rotation": 15, "rectanglelabels": ["Text"]}},
       {"id": "r1", "type": "textarea", "original_width": 640, "original_height": 480,
        "value": {"x": 10, "y": 20, "width": 30, "height": 5, "rotation": 15, "text": ["OPEN"]}},
       {"id": "r2", "type": "polygonlabels", "original_width": 640, "original_height": 480, "image_rotation": 0,
        "value": {"points": [[50, 50], [70, 48], [70, 60], [50, 62]], "polygonlabels": ["Ignore"]}}]}]}]

A region is what shares an `id`: an outline (rectangle or polygon, with or without labels) and the text of its
per-region TextArea; without one it is a box without a reading. `rotation` is in degrees, clockwise about the corner
(x, y). The transcript `###` or one of the labels `Ignore` and `Illegible`, in any case, marks text to ignore.

The image of a task is the file at the end of its address; the eight digits that an upload puts before the name may be
missing. A task that nobody annotated, or that was skipped, is left out and counted.

Source: https://labelstud.io/guide/task_format, https://labelstud.io/templates/image_bbox ("Rotation"),
https://labelstud.io/templates/optical_character_recognition.
"""

import re
from collections import defaultdict
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from textspot.data.annotation import IGNORE_LABELS, AnnotatedImage, Instance, is_dont_care
from textspot.data.formats.outlines import turn_box
from textspot.data.pairing import path_tails
from textspot.data.parsing import AnnotationError, Point, load_json, parse_each, parse_point_pairs, read_key
from textspot.image_files import IMAGE_SUFFIXES

_NO_REGIONS = ("relation", "choices", "rating", "number", "taxonomy", "datetime")  # or about a whole image
_UPLOAD_PREFIX = re.compile(r"[0-9a-f]{8}-")

Size = tuple[int, int]


def parse(raw: bytes, source: str) -> list[AnnotatedImage]:
    """The images of one export, whose name `source` complaints carry; bad regions are an `AnnotationError`."""
    tasks = load_json(raw, source)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) and "data" in task for task in tasks):
        raise AnnotationError([f'{source}: expected a list of tasks with "data"; export as JSON, not as JSON-MIN'])
    return parse_each(((f"{source}: task {task.get('id')}", task) for task in tasks), _parse_task)


def _parse_task(task: dict[str, Any]) -> AnnotatedImage:
    names = _image_names(read_key(task, "data", dict))
    annotations = [
        annotation
        for annotation in read_key(task, "annotations", list)
        if not read_key(annotation, "was_cancelled", bool, default=False)
    ]
    chosen = [a for a in annotations if read_key(a, "ground_truth", bool, default=False)] or annotations
    if len(chosen) > 1:
        raise ValueError(f"has {len(chosen)} annotations: delete all but one of them, or mark one as ground truth")
    if not chosen:
        return AnnotatedImage(names, (), left_out="not annotated")
    regions = _group_regions(read_key(chosen[0], "result", list))
    instances = parse_each(((f"region {key}", region) for key, region in regions.items()), _parse_region)
    results = [result for region in regions.values() for result in region]
    sizes = {_original_size(result) for result in results if "original_width" in result}
    return AnnotatedImage(names, tuple(instances), size=sizes.pop() if len(sizes) == 1 else None)


def _image_names(data: dict[str, Any]) -> tuple[str, ...]:
    """The names that the image's file may have: of the one address among the data that leads to an image."""
    paths = [_path_of(value) for value in data.values() if isinstance(value, str)]
    paths = [path for path in paths if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES]
    if len(paths) != 1:
        raise ValueError(f'expected the address of one image among its "data", found {len(paths)}')
    tails = path_tails(paths[0])
    return tuple(dict.fromkeys((*tails, _UPLOAD_PREFIX.sub("", tails[-1], count=1))))


def _path_of(address: str) -> str:
    """The path of an address; Label Studio's own, `/data/local-files/?d=photos/a.jpg`, have it in the query."""
    parts = urlsplit(address)
    return parse_qs(parts.query).get("d", [unquote(parts.path)])[0]


def _group_regions(results: list[Any]) -> dict[str, list[Any]]:
    regions = defaultdict(list)
    for result in results:
        if read_key(result, "type", str) not in _NO_REGIONS:
            regions[read_key(result, "id", str)].append(result)
    return regions


def _parse_region(results: list[Any]) -> Instance:
    outlines = [result for result in results if {"points", "width"} & read_key(result, "value", dict).keys()]
    if not outlines:
        kinds = ", ".join(result["type"] for result in results)
        raise ValueError(
            f'{kinds}: has no rectangle or polygon; a TextArea belongs to a region when it says perRegion="true"'
        )
    values = [result["value"] for result in results]
    transcript = " ".join(text for value in values for text in _texts(value))
    keys = [(value, key) for value in values for key in value if key.endswith("labels")]
    labels = [str(label) for value, key in keys for label in read_key(value, key, list)]
    return Instance(
        polygon=_outline(outlines[0]),
        transcript=transcript,
        ignore=is_dont_care(transcript) or any(label.lower() in IGNORE_LABELS for label in labels),
    )


def _texts(value: dict[str, Any]) -> list[str]:
    texts = read_key(value, "text", (str, list), default=[])
    return [texts] if isinstance(texts, str) else [str(text) for text in texts]


def _original_size(result: Any) -> Size:
    return read_key(result, "original_height", int), read_key(result, "original_width", int)


def _outline(result: Any) -> tuple[Point, ...]:
    """Points in pixels."""
    height, width = _original_size(result)
    if read_key(result, "image_rotation", (int, float), default=0):
        raise ValueError("the image was turned in Label Studio: turn the file itself, and annotate it again")
    value = result["value"]
    if "points" in value:
        return tuple((x * width / 100, y * height / 100) for x, y in parse_point_pairs(value["points"]))
    left, top, across, down = (
        read_key(value, key, (int, float)) * side / 100
        for key, side in (("x", width), ("y", height), ("width", width), ("height", height))
    )
    rotation = read_key(value, "rotation", (int, float), default=0)
    return turn_box((left, top, left + across, top + down), rotation, pivot=(left, top))
