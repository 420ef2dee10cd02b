"""The polygon of a word against the pixels of that word."""

from dataclasses import replace

import numpy as np
import pytest

from textspot.data.synthetic.layout import Page, lay_scene, lay_sheet
from textspot.data.synthetic.lettering import MARGIN, draw_lettering
from textspot.data.synthetic.paint import outline_pixels, paint
from textspot.data.synthetic.placement import Placement, plane_homography, project, translation
from textspot.data.synthetic.scribe import Scribe
from textspot.data.synthetic.style import MAX_OUTLINE_WIDTH, MAX_PLATE_PADDING, Style
from textspot.data.synthetic.typefaces import load_typefaces
from textspot.data.synthetic.words import PRINTABLE_ASCII, WordConfig, WordSource
from textspot.geometry import polygon_area

BLACK, WHITE = np.zeros(3, np.float32), np.full(3, 255, np.float32)
TYPEFACES = load_typefaces("shipped", PRINTABLE_ASCII)
PAGE = Page(height=300, width=400, text_height=(8, 60), max_rotation=1.0, max_tilt=0.6)


def scribe() -> Scribe:
    return Scribe(WordSource(WordConfig()), TYPEFACES)


def one_word(placement: Placement, number: int) -> Placement:
    """The placement with all ink but that of one word taken away."""
    left, top, right, bottom = placement.lettering.boxes[number].astype(int)
    ink = np.zeros_like(placement.lettering.ink)
    ink[top:bottom, left:right] = placement.lettering.ink[top:bottom, left:right]
    return Placement(replace(placement.lettering, ink=ink), placement.homography)


def distances_to_sides(ink: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """How far inside each of the four sides of a quad the outermost ink pixel (centre) lies."""
    y, x = np.nonzero(ink)
    points = np.stack([x + 0.5, y + 0.5], axis=1)
    along = np.roll(quad, -1, axis=0) - quad
    inward = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1)[:, None]
    return ((points[:, None] - quad) * inward).sum(axis=2).min(axis=0)


def check_ink(placement: Placement, style: Style) -> None:
    for number, quad in enumerate(placement.quads(grow=outline_pixels(placement, style))):
        canvas = np.full((PAGE.height, PAGE.width, 3), 255, np.uint8)
        paint(canvas, one_word(placement, number), style)
        distances = distances_to_sides(canvas[..., 0] < 250, quad.astype(np.float64))
        assert (distances > 0).all(), (placement.lettering.texts[number], distances)
        distances = distances_to_sides(canvas[..., 0] < 160, quad.astype(np.float64))
        assert (distances < MARGIN + 2).all(), (placement.lettering.texts[number], distances)


@pytest.mark.parametrize("outline", [None, BLACK])
@pytest.mark.parametrize("seed", range(3))
def test_ink_is_inside_its_polygon_and_touches_its_sides(seed, outline):
    style = Style(BLACK, outline=outline, outline_width=MAX_OUTLINE_WIDTH)
    placements = lay_scene(np.random.default_rng(seed), PAGE, scribe(), num_words=12)
    assert len(placements) > 3
    for placement in placements:
        check_ink(placement, style)


def test_ink_of_a_sheet():
    placements = lay_sheet(np.random.default_rng(0), PAGE, scribe())
    assert len(placements) > 10
    for placement in placements:
        check_ink(placement, Style(BLACK))


@pytest.mark.parametrize("layout", ["scene", "sheet"])
def test_polygons_are_clockwise_inside_the_image_and_apart(layout):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        placements = lay_scene(rng, PAGE, scribe(), 30) if layout == "scene" else lay_sheet(rng, PAGE, scribe())
        covered = np.zeros((PAGE.height, PAGE.width), int)
        for placement in placements:
            quads = placement.quads()
            assert all(polygon_area(quad) > 0 for quad in quads)
            assert quads.min() >= 0
            assert (quads.max(axis=(0, 1)) <= (PAGE.width, PAGE.height)).all()
            canvas = np.full((PAGE.height, PAGE.width, 3), 255, np.uint8)
            paint(canvas, placement, Style(BLACK, plate=BLACK, plate_padding=MAX_PLATE_PADDING))
            covered += canvas[..., 0] < 128
        assert covered.max() == 1


def test_words_of_a_block_are_in_reading_order():
    lettering = draw_lettering([["i", "MMMM"], ["long", "."]], TYPEFACES[0], 30)
    widths = lettering.boxes[:, 2] - lettering.boxes[:, 0]
    assert lettering.texts == ("i", "MMMM", "long", ".")
    assert widths[1] > widths[2] > widths[0] >= widths[3]
    assert lettering.boxes[0, 2] < lettering.boxes[1, 0]
    assert lettering.boxes[1, 3] < lettering.boxes[2, 1]


def test_a_level_plane_gives_level_quads():
    placement = Placement(draw_lettering([["quay"]], TYPEFACES[1], 20), translation(50, 40))
    (quad,) = placement.quads()
    top_left, top_right, bottom_right, bottom_left = quad
    assert top_left[1] == top_right[1] < bottom_left[1] == bottom_right[1]
    assert top_left[0] == bottom_left[0] < top_right[0] == bottom_right[0]


def test_plane_homography_turns_clockwise_and_enlarges_what_comes_near():
    turned = project(plane_homography(np.pi / 2, 0, 0, radius=1), np.array([[1.0, 0], [0, 1]]))
    np.testing.assert_allclose(turned, [[0, 1], [-1, 0]], atol=1e-12)
    edges = np.array([[-10.0, -1], [-10, 1], [10, -1], [10, 1]])
    left_top, left_bottom, right_top, right_bottom = project(plane_homography(0, 0, 0.5, radius=10), edges)
    assert np.linalg.norm(right_bottom - right_top) > 2 > np.linalg.norm(left_bottom - left_top)


def test_paint_blends_at_half_coverage_and_leaves_the_rest():
    lettering = draw_lettering([["I"]], TYPEFACES[1], 40)
    lettering = replace(lettering, ink=np.where(lettering.ink > 0, 128, 0).astype(np.uint8))
    canvas = np.full((200, 200, 3), 200, np.uint8)
    paint(canvas, Placement(lettering, translation(20, 20)), Style(np.array([0, 100, 200], np.float32)))
    assert canvas.reshape(-1, 3).min(axis=0).tolist() == [100, 150, 200]
    assert (canvas[:20] == 200).all()
