"""Annotation formats: text of a file to instances. The names here are the choices of `format` in a dataset card."""

from collections.abc import Callable

from textspot.data.annotation import Instance
from textspot.data.formats import icdar_box, icdar_quad, jsonl

# One annotation file per image: parse(text, source) gives that image's instances.
PER_IMAGE: dict[str, Callable[[str, str], list[Instance]]] = {
    "icdar_quad": icdar_quad.parse,
    "icdar_box": icdar_box.parse,
}

# One annotation file for all images: parse(text, source) gives the instances of each image by its path.
PER_DATASET: dict[str, Callable[[str, str], dict[str, list[Instance]]]] = {
    "jsonl": jsonl.parse,
}
