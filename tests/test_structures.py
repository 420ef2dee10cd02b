import json
import sys

import numpy as np
import pytest
from PIL import Image

from textspot.extras import MissingExtraError
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


def words(*texts, **options):
    """A prediction of words, each on a line of its own."""
    instances = [TextInstance(QUAD + np.float32([0, 9 * row]), text, 0.9) for row, text in enumerate(texts)]
    return Prediction(tuple(instances), (60, 90), **options)


def test_lines_and_text_are_in_reading_order_and_hold_what_was_read():
    first, second = (TextInstance(QUAD + np.float32([12 * x, 0]), text, 0.5) for x, text in enumerate(["one", "two"]))
    unread = TextInstance(QUAD + 20, "", 0.9)
    prediction = Prediction((unread, second, first), (60, 90))
    [[line]] = prediction.paragraphs()
    assert list(line) == [first, second]
    assert (line.text, prediction.text, len(prediction.lines())) == ("one two", "one two", 1)
    np.testing.assert_array_equal(line.polygon, [[2, 3], [12, 3], [14, 3], [24, 3], [24, 9], [14, 9], [12, 9], [2, 9]])


def test_nothing_found_has_no_lines_and_no_text():
    pytest.importorskip("pandas")
    empty = Prediction((), (60, 90))
    assert (empty.lines(), empty.paragraphs(), empty.text) == ((), (), "")
    assert repr(empty) == "<Prediction image: 0 found: ''>"
    assert list(empty.to_dataframe().columns)[:3] == ["image", "page", "paragraph"]


def test_paragraphs_are_parted_by_a_blank_line():
    far = TextInstance(QUAD + np.float32([0, 45]), "far", 0.9)
    prediction = Prediction((*words("Open", "daily"), far), (60, 90))
    assert prediction.text == "Open\ndaily\n\nfar"


def test_objects_show_themselves_in_few_words():
    prediction = words("exit", name="a.jpg", page=3)
    assert repr(prediction) == "<Prediction a.jpg page 3: 1 found: 'exit'>"
    assert repr(prediction[0]) == "TextInstance('exit', score=0.90, at=(7, 6))"
    assert repr(prediction.lines()) == "(Line('exit'),)"
    assert repr(prediction.paragraphs()) == "(Paragraph('exit'),)"
    assert len(repr(words("w" * 900))) < 120
    assert prediction._repr_html_().count("<polygon") == 1


def test_plot_takes_an_array_a_pillow_image_a_path_or_nothing(tmp_path):
    image = np.full((60, 90, 3), 80, dtype=np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    prediction = words("exit", name=str(tmp_path / "a.png"))
    drawn = [prediction.plot(given) for given in (image, Image.fromarray(image), tmp_path / "a.png", None)]
    assert all(isinstance(picture, Image.Image) for picture in drawn)
    assert len({picture.tobytes() for picture in drawn}) == 1
    assert drawn[0].tobytes() != image.tobytes()
    assert (image == 80).all()


@pytest.mark.parametrize(
    ("options", "kept"), [({}, "no file"), ({"name": "absent.jpg"}, "absent.jpg"), ({"page": 2}, "page 2 of ")]
)
def test_plot_without_pixels_says_what_to_give(options, kept):
    with pytest.raises(ValueError, match=rf"the prediction is of {kept}.*plot\(image\)"):
        words("exit", **options).plot()


def test_plot_refuses_an_image_of_another_size():
    with pytest.raises(ValueError, match=r"the image is \(9, 9\) high and wide, the prediction was made on \(60, 90\)"):
        words("exit").plot(np.zeros((9, 9, 3), np.uint8))


def test_a_table_has_a_row_for_each_word():
    pytest.importorskip("pandas")
    table = words("exit", "only", name="a.jpg").to_dataframe()
    assert table[["image", "paragraph", "line", "word", "text", "score"]].to_numpy().tolist() == [
        ["a.jpg", 1, 1, 1, "exit", 0.9],
        ["a.jpg", 1, 2, 1, "only", 0.9],
    ]
    assert table[["left", "top", "right", "bottom"]].to_numpy()[1].tolist() == [2, 12, 12, 18]


def test_without_pandas_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match="pandas is not installed: pip install pandas"):
        words("exit").to_dataframe()
