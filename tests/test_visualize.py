import numpy as np
import pytest

from textspot.drawing.page import FOUND
from textspot.geometry import box_to_quad
from textspot.structures import Prediction, Sample, TextInstance
from textspot.visualize import ANNOTATED, IGNORED, LABEL_WIDTH, draw_prediction, draw_regions, draw_sample

BLACK = np.zeros((60, 200, 3), dtype=np.uint8)


def quad(*box):
    return box_to_quad(np.array(box))


def coloured(picture, colour):
    """Rows and columns of the pixels of that colour."""
    return np.nonzero((picture == colour).all(axis=2))


def test_nothing_found_leaves_the_image_as_it_is():
    picture = draw_prediction(BLACK, Prediction((), (60, 200)))
    np.testing.assert_array_equal(picture, BLACK)


def test_the_outline_is_drawn_on_a_copy():
    before = BLACK.copy()
    picture = draw_prediction(BLACK, Prediction((TextInstance(quad(20, 30, 90, 50), "", 0.9),), (60, 200)))
    rows, columns = coloured(picture, FOUND)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 50, 20, 90)
    np.testing.assert_array_equal(BLACK, before)


@pytest.mark.parametrize("box", [(-10, -5, 12, 9), (170, 40, 199, 50), (190, 55, 260, 90)])
def test_a_label_stays_inside_the_picture(box):
    with_text, without = (
        draw_prediction(BLACK, Prediction((TextInstance(quad(*box), text, 0.9),), (60, 200)))
        for text in ("HARBOUR", "")
    )
    rows, columns = np.nonzero((with_text != without).any(axis=2))
    assert 40 < np.ptp(columns) < 100
    for end in (columns.min(), columns.max()):  # the label's margins
        assert (with_text[rows.max() - 2, end] == FOUND).all()


def test_a_dot_takes_a_label():
    dot = np.zeros((1, 1, 3), dtype=np.uint8)
    assert draw_prediction(dot, Prediction((TextInstance(quad(0, 0, 1, 1), "EXIT", 0.9),), (1, 1))).shape == (1, 1, 3)


def test_ignored_annotations_are_grey_and_without_text():
    polygons = [quad(20, 30, 60, 50), quad(120, 30, 160, 50)]
    picture = draw_sample(Sample(BLACK, polygons, ["EXIT", "###"], np.array([False, True])))
    assert coloured(picture, ANNOTATED)[1].max() < 100
    rows, columns = coloured(picture, IGNORED)
    assert columns.min() == 120
    assert rows.min() == 30


def test_no_regions_give_a_white_square():
    picture = draw_regions(BLACK, np.zeros((0, 8, 16, 2)), [])
    assert picture.shape == (8, 8, 3)
    assert (picture == 255).all()


def test_a_region_shows_its_part_of_the_image():
    image = np.zeros((60, 200, 3), dtype=np.uint8)
    image[20:28, 100:116] = (200, 0, 0)
    x, y = np.meshgrid(np.arange(100, 116) + 0.5, np.arange(20, 28) + 0.5)
    picture = draw_regions(image, np.stack([x, y], axis=2)[None], ["EXIT"], zoom=2)
    assert picture.shape == (8 * 2 + 2, 16 * 2 + LABEL_WIDTH * 8 * 2, 3)
    assert (picture[:16, :32] == (200, 0, 0)).all()
    assert (picture[:, 32:] < 100).any()  # the letters
