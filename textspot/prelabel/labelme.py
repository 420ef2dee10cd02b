"""labelme: one JSON file beside each image; the label is `text`, the transcript the description."""

import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from textspot.prelabel.words import points_of, words_of
from textspot.structures import Prediction, TextInstance

VERSION = "5.5.0"


def write(predictions: Sequence[Prediction]) -> dict[str, bytes]:
    """A file per image, named as it with `.json`."""
    return {str(PurePosixPath(one.name).with_suffix(".json")): _write_image(one) for one in predictions}


def _write_image(prediction: Prediction) -> bytes:
    values: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": [_shape(word) for word in words_of(prediction)],
        "imagePath": PurePosixPath(prediction.name).name,
        "imageData": None,
        "imageHeight": prediction.size[0],
        "imageWidth": prediction.size[1],
    }
    return f"{json.dumps(values, ensure_ascii=False, indent=2)}\n".encode()


def _shape(word: TextInstance) -> dict[str, object]:
    place = {"label": "text", "points": points_of(word), "shape_type": "polygon"}
    return place | {"description": word.text, "group_id": None, "flags": {}}
