"""Label Studio: tasks with an annotation each, in percent of the image, in `tasks.json`; and the labelling
configuration they fit, in `label_config.xml`.

The images are addressed as files that Label Studio serves itself (Settings, Cloud Storage, Local files), below its
document root: the name of a prediction is the path from there.
"""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from textspot.prelabel.words import points_of, to_json, words_of
from textspot.structures import Prediction, TextInstance

CONFIGURATION = b"""<View>
  <Image name="image" value="$ocr"/>
  <PolygonLabels name="label" toName="image"><Label value="Text"/><Label value="Ignore"/></PolygonLabels>
  <TextArea name="transcription" toName="image" perRegion="true" editable="true" required="false"/>
</View>
"""


def write(predictions: Sequence[Prediction]) -> dict[str, bytes]:
    """One file of all tasks, and the configuration of the project."""
    tasks = [_task(one, number) for number, one in enumerate(predictions, start=1)]
    return {"tasks.json": to_json(tasks), "label_config.xml": CONFIGURATION}


def _task(prediction: Prediction, number: int) -> dict[str, Any]:
    address = f"/data/local-files/?d={quote(prediction.name)}"
    annotation = {"was_cancelled": False, "result": results_of(prediction)}
    return {"id": number, "data": {"ocr": address}, "annotations": [annotation]}


def results_of(prediction: Prediction) -> list[dict[str, Any]]:
    """The regions of an image as an annotation, or a prediction, of a task holds them."""
    words = enumerate(words_of(prediction))
    return [part for place, word in words for part in _region(word, place, prediction.size)]


def _region(word: TextInstance, number: int, size: tuple[int, int]) -> list[dict[str, Any]]:
    """The outline, and its text where there is one."""
    height, width = size
    points = [[100 * x / width, 100 * y / height] for x, y in points_of(word)]
    shared = {"id": f"r{number}", "to_name": "image", "original_width": width, "original_height": height}
    shared |= {"image_rotation": 0}
    outline = {"type": "polygonlabels", "from_name": "label", "value": {"points": points, "polygonlabels": ["Text"]}}
    text = {"type": "textarea", "from_name": "transcription", "value": {"points": points, "text": [word.text]}}
    return [shared | outline, *([shared | text] if word.text else [])]
