import json

import numpy as np
import pytest

from textspot.geometry import box_to_quad
from textspot.structures import Prediction, Sample, TextInstance

IMAGE = np.zeros((20, 30, 3), dtype=np.uint8)
QUAD = box_to_quad([2, 3, 12, 9])
NONE = np.zeros(0, dtype=bool)


def test_a_sample_without_text_is_a_sample():
    sample = Sample(IMAGE, [], [], NONE)
    assert len(sample) == 0
    assert sample.size == (20, 30)


@pytest.mark.parametrize(
    ("image", "found"),
    [
        (np.zeros((20, 30), np.uint8), r"found \(20, 30\) uint8"),
        (np.zeros((20, 30, 4), np.uint8), r"found \(20, 30, 4\) uint8"),
        (np.zeros((20, 30, 3), np.float32), r"found \(20, 30, 3\) float32"),
    ],
)
def test_an_image_of_another_kind_is_refused(image, found):
    with pytest.raises(ValueError, match=f"img_7: expected an image of shape .* and type uint8, {found}"):
        Sample(image, [], [], NONE, "img_7")


@pytest.mark.parametrize(("transcripts", "ignore"), [(["a"], [False, True]), ([], [False]), (["a", "b"], [False])])
def test_counts_that_differ_are_refused(transcripts, ignore):
    message = f"img_7: 1 polygons, {len(transcripts)} transcripts and {len(ignore)} ignore flags"
    with pytest.raises(ValueError, match=message):
        Sample(IMAGE, [QUAD], transcripts, np.array(ignore), "img_7")


@pytest.mark.parametrize("ignore", [[False], np.array([0])])
def test_ignore_flags_are_an_array_of_bool(ignore):
    with pytest.raises(ValueError, match="img_7: expected ignore as an array of bool, found"):
        Sample(IMAGE, [QUAD], ["a"], ignore, "img_7")


@pytest.mark.parametrize(
    ("polygon", "message"),
    [
        (QUAD[:2], r"expected a polygon of shape \(K, 2\) with K >= 3, found shape \(2, 2\)"),
        (QUAD.ravel(), r"found shape \(8,\)"),
        (np.zeros((4, 3)), r"found shape \(4, 3\)"),
        (QUAD * np.nan, "not finite"),
        (np.where(QUAD == 2, np.inf, QUAD), "not finite"),
    ],
)
def test_polygons_that_are_none_are_refused(polygon, message):
    with pytest.raises(ValueError, match=f"img_7: instance 1: .*{message}"):
        Sample(IMAGE, [QUAD, polygon], ["a", "b"], np.array([False, False]), "img_7")
    with pytest.raises(ValueError, match=f"text instance 'exit': .*{message}"):
        TextInstance(polygon, "exit", 0.5)


@pytest.mark.parametrize("score", [-0.01, 1.01, float("nan")])
def test_a_score_is_a_probability(score):
    with pytest.raises(ValueError, match=r"text instance 'exit': score is .*, expected a value in \[0, 1\]"):
        TextInstance(QUAD, "exit", score)
    with pytest.raises(ValueError, match="text_score is"):
        TextInstance(QUAD, "exit", 0.5, score)


def test_an_instance_unpacks_as_polygon_text_score():
    polygon, text, score = TextInstance(QUAD, "exit", 0.5, 0.25)
    assert polygon is QUAD
    assert (text, score) == ("exit", 0.5)


def test_a_prediction_is_a_sequence_and_plain_values():
    instances = TextInstance(QUAD + np.float32(1 / 3), "exit", np.float32(0.12345)), TextInstance(QUAD, "", 1, 0)
    prediction = Prediction(instances, (20, 30), "img_7.jpg")
    assert len(prediction) == 2
    assert [text for _, text, _ in prediction] == ["exit", ""]
    assert prediction[-1] is instances[1]
    values = json.loads(json.dumps(prediction.to_dict()))
    assert values["instances"].pop(0) == {
        "polygon": [[2.33, 3.33], [12.33, 3.33], [12.33, 9.33], [2.33, 9.33]],
        "text": "exit",
        "score": 0.1235,
        "text_score": 1.0,
    }
    assert [len(values.pop("instances")), values] == [1, {"image": "img_7.jpg", "width": 30, "height": 20}]


def test_an_image_without_text_has_an_empty_prediction():
    assert Prediction((), (20, 30)).to_dict() == {"image": "", "width": 30, "height": 20, "instances": []}
