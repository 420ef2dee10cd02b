"""What all formats of annotation share: the words of an image in the order in which a person goes through them."""

import json
from typing import Any

from textspot.structures import Prediction, TextInstance


def words_of(prediction: Prediction) -> list[TextInstance]:
    """The words in reading order, then the regions that could not be read."""
    read = [word for line in prediction.lines() for word in line]
    return [*read, *(one for one in prediction if not one.text)]


def points_of(word: TextInstance) -> list[list[float]]:
    """The polygon's points in hundredths of a pixel."""
    return [[round(float(x), 2), round(float(y), 2)] for x, y in word.polygon]


def to_json(values: Any) -> bytes:
    """UTF-8 JSON on one line, ended by a line feed."""
    return f"{json.dumps(values, ensure_ascii=False)}\n".encode()
