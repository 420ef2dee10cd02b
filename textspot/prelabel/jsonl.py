"""The project's own format: one line of JSON per image, in `labels.jsonl`."""

from collections.abc import Sequence

from textspot.prelabel.words import points_of, to_json, words_of
from textspot.structures import Prediction, TextInstance


def write(predictions: Sequence[Prediction]) -> dict[str, bytes]:
    """One file for all images."""
    lines = (to_json({"image": one.name, "instances": [_instance(w) for w in words_of(one)]}) for one in predictions)
    return {"labels.jsonl": b"".join(lines)}


def _instance(word: TextInstance) -> dict[str, object]:
    return {"polygon": points_of(word), "transcript": word.text}
