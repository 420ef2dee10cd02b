"""What is written for a tool is read again by the parser of that tool's format."""

import json

import numpy as np
import pytest

from textspot.data.formats import PER_DATASET, PER_IMAGE, ppocrlabel
from textspot.geometry import box_to_quad
from textspot.prelabel import TOOLS
from textspot.structures import Prediction, TextInstance

ODD = ["OPEN", '<b>&amp;"a"', "1,50", "日本 \U0001f600", "ŞIıß x\u030c", ""]
FILES = {
    "label_studio": {"tasks.json", "label_config.xml"},
    "labelme": {"a b.json", "deep/c.json", "empty.json"},
    "cvat": {"annotations.xml"},
    "ppocrlabel": {"Label.txt"},
    "jsonl": {"labels.jsonl"},
}


def predict(name, texts):
    """Texts one below the other, in quads whose corners are no whole pixels."""
    corners = np.float32([[10, 0], [110, 3.25], [110, 23], [10, 20]])
    words = (TextInstance(corners + np.float32([0, 40 * row]), text, 0.9) for row, text in enumerate(texts))
    return Prediction(tuple(words), (300, 400), name)


PREDICTIONS = [predict("a b.jpg", ODD), predict("deep/c.png", ["LEFT"]), predict("empty.jpg", [])]


def read_back(tool, files):
    """The instances of each image by its name."""
    if tool in PER_IMAGE:
        return {name: list(PER_IMAGE[tool](data, name).instances) for name, data in files.items()}
    [data] = [data for name, data in files.items() if name != "label_config.xml"]
    return {image.names[0]: list(image.instances) for image in PER_DATASET[tool](data, tool)}


@pytest.mark.parametrize("tool", TOOLS)
def test_words_come_back(tool):
    files = TOOLS[tool](PREDICTIONS)
    assert set(files) == FILES[tool]
    images = list(read_back(tool, files).values())
    for prediction, instances in zip(PREDICTIONS, images, strict=True):
        assert [one.transcript for one in instances] == [word.text for word in prediction]
        assert not any(one.ignore for one in instances)
        for one, word in zip(instances, prediction, strict=True):
            np.testing.assert_allclose(one.polygon, word.polygon, atol=0.011)


@pytest.mark.parametrize("tool", TOOLS)
def test_no_images(tool):
    assert all(instances == [] for instances in read_back(tool, TOOLS[tool]([])).values())


@pytest.mark.parametrize("tool", ["label_studio", "cvat", "ppocrlabel", "jsonl"])
def test_images_keep_their_names(tool):
    names = list(read_back(tool, TOOLS[tool](PREDICTIONS)))
    assert names == [one.name for one in PREDICTIONS]


def test_the_words_of_an_image_come_in_reading_order():
    one, two = (box_to_quad(np.array([x, 10, x + 80, 30])) for x in (100, 200))
    prediction = Prediction((TextInstance(two, "two", 0.9), TextInstance(one, "one", 0.5)), (50, 400), "a.jpg")
    [image] = ppocrlabel.parse(TOOLS["ppocrlabel"]([prediction])["Label.txt"], "Label.txt")
    assert [found.transcript for found in image.instances] == ["one", "two"]


def test_the_configuration_of_label_studio_names_what_the_tasks_use():
    files = TOOLS["label_studio"](PREDICTIONS)
    configuration = files["label_config.xml"].decode()
    for task in json.loads(files["tasks.json"]):
        assert all(f'name="{result["from_name"]}"' in configuration for result in task["annotations"][0]["result"])
