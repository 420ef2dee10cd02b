"""PPOCRLabel: `Label.txt` in the folder of the images; its own paths begin with the name of that folder.

Which it is is known to the caller alone: the images' names must begin with it. A region without text is written as
empty, to be typed.
"""

from collections.abc import Sequence

from textspot.prelabel.words import points_of, to_json, words_of
from textspot.structures import Prediction, TextInstance


def write(predictions: Sequence[Prediction]) -> dict[str, bytes]:
    """One line per image: path, tab, JSON."""
    lines = (f"{one.name}\t".encode() + to_json([_box(word) for word in words_of(one)]) for one in predictions)
    return {"Label.txt": b"".join(lines)}


def _box(word: TextInstance) -> dict[str, object]:
    return {"transcription": word.text, "points": points_of(word), "difficult": False}
