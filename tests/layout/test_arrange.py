"""Lines, paragraphs and reading order of pages whose order is known."""

import numpy as np
import pytest
from drawn_pages import ANGLES, LAYOUTS, DrawnPage, Pen, draw_pages
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.geometry import box_to_quad
from textspot.layout import arrange

BAR = box_to_quad(np.array([0, 0, 60, 20]))


def lines_of(polygons):
    return [line for paragraph in arrange(polygons) for line in paragraph]


def write(layout):
    """The page that a function writes with a pen."""
    pen = Pen(np.random.default_rng(0))
    layout(pen)
    return pen.page("")


def texts_of(page: DrawnPage) -> list[str]:
    return [" ".join(page.texts[word] for word in line) for line in lines_of(page.polygons)]


def test_nothing():
    assert arrange([]) == []


def test_one_word_is_a_paragraph():
    assert arrange([BAR]) == [[[0]]]


@pytest.mark.parametrize(
    "polygon",
    [
        np.zeros((4, 2)),
        np.array([[0, 0], [9, 0], [9, 0], [0, 0]]),
        np.array([[5, 0], [5, 9], [5, 9], [5, 0]]),
        np.array([[0, 0], [9, 0], [4, 7]]),
    ],
)
def test_a_word_without_extent_or_with_three_corners_is_in_a_line_too(polygon):
    assert sorted(word for line in lines_of([BAR, polygon.astype(np.float32), BAR + 200]) for word in line) == [0, 1, 2]


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(*[st.floats(0, 500)] * 2, st.floats(0.1, 90), st.floats(0.1, 40), st.floats(0, 6.3)), max_size=25
    )
)
def test_every_word_is_in_one_line(words):
    polygons = []
    for x, y, width, height, angle in words:
        turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        polygons.append(box_to_quad(np.array([0, 0, width, height])) @ turn + (x, y))
    assert sorted(word for line in lines_of(polygons) for word in line) == list(range(len(words)))


def test_the_order_of_the_words_does_not_matter():
    page = next(draw_pages("two columns", 1, 10, seed=4))
    order = np.random.default_rng(0).permutation(len(page.texts))
    shuffled = lines_of([page.polygons[word] for word in order])
    assert [[int(order[word]) for word in line] for line in shuffled] == lines_of(page.polygons)


@pytest.mark.slow
@pytest.mark.parametrize("degrees", ANGLES)
def test_of_shaken_pages_98_percent_of_the_lines_are_right(degrees):
    """Words together and in order, as a detector would place their corners, on 5 pages of every kind."""
    right = total = 0
    for kind in LAYOUTS:
        for page in draw_pages(kind, 5, degrees, seed=7):
            found = {tuple(line) for line in lines_of(page.polygons)}
            right += sum(tuple(line) in found for line in page.lines)
            total += len(page.lines)
    assert total > 200
    assert right / total >= 0.98


@pytest.mark.parametrize("kind", LAYOUTS)
@pytest.mark.parametrize("degrees", [0, 30, 180])
def test_pages_are_read_in_order(kind, degrees):
    pages = list(draw_pages(kind, 5, degrees, seed=7))
    assert sum(lines_of(page.polygons) == page.lines for page in pages) >= 4


def test_a_heading_stands_before_both_columns_and_the_left_one_before_the_right():
    def layout(pen):
        pen.begin_line()
        pen.write(["News"], 60, 60, 40)
        for x in (60, 520):
            pen.paragraph(x, 120, 400, 20, 5, justify=True)

    page = write(layout)
    paragraphs = arrange(page.polygons)
    assert [len(paragraph) for paragraph in paragraphs] == [1, 5, 5]
    assert [line for paragraph in paragraphs for line in paragraph] == page.lines


def test_a_wider_space_begins_a_paragraph():
    def layout(pen):
        for top in (100, 100 + 4 * 26 + 16):
            pen.paragraph(60, top, 500, 20, 4, justify=False)

    assert [len(paragraph) for paragraph in arrange(write(layout).polygons)] == [4, 4]


def test_a_price_list_is_read_by_row_and_columns_of_text_are_not():
    def prices(pen):
        for row, name in enumerate(("Tea", "Coffee", "Lemon cake")):
            pen.begin_line()
            pen.write(name.split(), 60, 100 + 40 * row, 24)
            pen.write([f"{row + 2}.50"], 700, 100 + 40 * row, 24)

    assert texts_of(write(prices)) == ["Tea 2.50", "Coffee 3.50", "Lemon cake 4.50"]


def test_two_signs_side_by_side_are_not_one():
    def signs(pen):
        for x, words in ((60, ("NO", "PARKING")), (900, ("BUS", "STOP"))):
            for row, word in enumerate(words):
                pen.begin_line()
                pen.write([word], x - pen.width([word], 30) / 2, 100 + 40 * row, 30)

    assert texts_of(write(signs)) == ["NO", "PARKING", "BUS", "STOP"]


def test_small_text_on_the_line_of_a_large_word_belongs_to_it():
    def layout(pen):
        pen.begin_line()
        x = pen.write(["Sale"], 60, 100, 60)
        pen.write(["today"], x + 15, 100, 28)

    assert texts_of(write(layout)) == ["Sale today"]


def test_a_line_that_runs_upwards_is_one_line_beside_level_ones():
    level = next(draw_pages("one column", 1, 0, seed=3))
    upwards = next(draw_pages("sign", 1, 270, seed=5))
    moved = [polygon + np.array([2000, 0]) for polygon in upwards.polygons]
    found = lines_of([*level.polygons, *moved])
    expected = [[word + len(level.texts) for word in line] for line in upwards.lines]
    assert found[: len(level.lines)] == level.lines
    assert sorted(found[len(level.lines) :]) == sorted(expected)


def test_words_around_most_of_a_ring_are_one_line():
    def layout(pen):
        pen.arc(["Round", "and", "round", "the", "garden", "like", "a", "teddy", "bear"], (500.0, 500.0), 200.0, 40, 5)

    page = write(layout)
    assert [sorted(line) for line in lines_of(page.polygons)] == [list(range(9))]


@pytest.mark.slow
def test_a_page_of_1000_words():
    pen = Pen(np.random.default_rng(1))
    pen.paragraph(0, 40, 1600, 20, 90, justify=True)
    page = pen.page("")
    assert len(page.texts) > 1000
    assert lines_of(page.polygons) == page.lines
