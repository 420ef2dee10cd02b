"""COCO-Text 2, as `textspot.data.formats.coco_text` reads it: one JSON object of images and annotations.

A region that was found and not read is illegible. Words keep their order of reading, and their score under `score`.
"""

import json
from collections.abc import Sequence
from typing import Any

from textspot.outputs.page import ReadPage, whole_box
from textspot.structures import TextInstance


def write(pages: Sequence[ReadPage]) -> bytes:
    """The tables `imgs`, `anns` and `imgToAnns`; images and annotations count from 1."""
    images: dict[str, Any] = {}
    annotations: dict[str, Any] = {}
    of_image: dict[str, list[int]] = {}
    for number, page in enumerate(pages, start=1):
        height, width = page.prediction.size
        images[str(number)] = {"id": number, "file_name": page.name, "width": width, "height": height, "set": ""}
        read = [word for line in page.prediction.lines() for word in line]
        words = enumerate([*read, *(one for one in page.prediction if not one.text)], start=len(annotations) + 1)
        found = {str(key): _annotate(word, key, number) for key, word in words}
        annotations |= found
        of_image[str(number)] = [int(key) for key in found]
    tables = {"imgs": images, "anns": annotations, "imgToAnns": of_image}
    return f"{json.dumps(tables, ensure_ascii=False)}\n".encode("utf-8", "backslashreplace")


def _annotate(word: TextInstance, number: int, image: int) -> dict[str, Any]:
    left, top, right, bottom = whole_box(word.polygon)
    return {
        "id": number,
        "image_id": image,
        "mask": [round(float(value), 2) for value in word.polygon.ravel()],
        "bbox": [left, top, right - left, bottom - top],
        "utf8_string": word.text,
        "legibility": "legible" if word.text else "illegible",
        "score": round(float(word.score), 4),
    }
