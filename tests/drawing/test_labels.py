import numpy as np
import pytest

from textspot.drawing.labels import cover, draw_labels, label_size, place_labels
from textspot.drawing.outlines import draw_outlines
from textspot.drawing.page import FOUND, Label, draw_page
from textspot.geometry import box_to_quad


def label(*box, text="HARBOUR"):
    return Label(box_to_quad(np.array(box)), text)


@pytest.mark.parametrize("size", [(640, 480), (3840, 2160)])
@pytest.mark.parametrize("place", [(0, 0), (0.45, 0.45), (0.85, 0.94), (0.3, 0)])
def test_a_label_never_covers_the_word_it_names(size, place):
    left, top = np.array(place) * size
    one = label(left, top, left + 0.15 * size[0], top + 0.06 * size[1])
    [(_, box)], num_covering = place_labels([one], size, 2)
    assert cover(box[None], one.box[None])[0] == 0
    assert num_covering == 0
    assert (box >= 0).all()
    assert (box[2:] <= size).all()


def test_labels_of_a_few_lines_cover_no_word_and_not_one_another():
    labels = [
        label(100 + 150 * column, 100 + 70 * row, 220 + 150 * column, 130 + 70 * row)
        for row in range(4)
        for column in range(3)
    ]
    placed, num_covering = place_labels(labels, (800, 600), 2)
    boxes = np.array([box for _, box in placed])
    assert num_covering == 0
    assert cover(boxes, np.array([one.box for one in labels])).max() < 0.2


def test_on_a_crowded_page_the_texts_stand_beside_the_image():
    labels = [
        label(10 + 60 * column, 10 + 21 * row, 68 + 60 * column, 30 + 21 * row)
        for row in range(12)
        for column in range(6)
    ]
    image = np.full((280, 400, 3), 90, dtype=np.uint8)
    picture = np.asarray(draw_labels(image, labels))
    assert picture.shape == (280, 800, 3)
    np.testing.assert_array_equal(picture[:, 400:], np.asarray(draw_page((400, 280), labels)))
    assert set(map(tuple, picture[:, :400].reshape(-1, 3))) == {(90, 90, 90), FOUND}  # outlines alone


@pytest.mark.parametrize("longer", [640, 1280, 3840])
def test_labels_can_be_read_when_the_picture_fills_a_screen(longer):
    """At 1280 pixels they are 14 to 28 high, or what they are where the picture is smaller."""
    small, large = (label_size(label(0, 0, 200, height), (longer, longer // 2)) for height in (4, 900))
    assert small == max(10, int(longer / 90))
    assert large == max(10, int(longer / 45))


def test_a_page_has_its_texts_where_the_words_are_at_any_angle():
    upright = label(20, 20, 120, 50)
    turned = Label(box_to_quad(np.array([0, 0, 100, 30])) @ np.array([[0, 1], [-1, 0]]) + (200, 60), "HARBOUR")
    ink = np.asarray(draw_page((300, 200), [upright, turned]))[..., 0] < 128
    rows, columns = np.nonzero(ink)
    inside = [(rows >= b[1]) & (rows < b[3]) & (columns >= b[0]) & (columns < b[2]) for b in (upright.box, turned.box)]
    assert (inside[0] | inside[1]).all()
    assert inside[0].sum() == pytest.approx(inside[1].sum(), rel=0.15)
    assert inside[0].sum() > 300


@pytest.mark.parametrize(
    "polygon", [[[0, 0], [9, 0], [4, 8]], [[0, 0], [0, 0], [0, 0], [0, 0]], [[-20, -9], [-5, -9], [-5, -2], [-20, -2]]]
)
def test_a_page_takes_triangles_dots_and_what_lies_outside(polygon):
    assert draw_page((30, 20), [Label(np.float32(polygon), "EXIT")]).size == (30, 20)


def test_the_outlines_of_a_notebook_escape_what_was_read():
    drawn = draw_outlines((20, 30), [(box_to_quad(np.array([2, 3, 12, 9])), "<script>")], "a<b")
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn
    assert "a&lt;b" in drawn
    assert 'viewBox="0 0 30 20"' in drawn
