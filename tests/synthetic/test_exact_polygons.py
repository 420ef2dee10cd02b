"""The polygon of a word against the pixels of that word."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import shapely

from textspot.data.synthetic.board import Board
from textspot.data.synthetic.layout import Page, lay_scene, lay_sheet
from textspot.data.synthetic.lettering import MARGIN, SUPERSAMPLE, Arc, Line, draw_lettering
from textspot.data.synthetic.paint import outline_pixels, paint
from textspot.data.synthetic.placement import Placement, plane_homography, project, translation
from textspot.data.synthetic.scribe import Scribe
from textspot.data.synthetic.style import MAX_OUTLINE_WIDTH, Style
from textspot.data.synthetic.typefaces import load_typefaces
from textspot.data.synthetic.words import PRINTABLE_ASCII, WordConfig, WordSource
from textspot.geometry import polygon_area

BLACK, WHITE = np.zeros(3, np.float32), np.full(3, 255, np.float32)
TYPEFACES = load_typefaces("shipped", PRINTABLE_ASCII)
ANYWHERE = np.zeros((1, 1))  # no place is calmer than another
PAGE = Page(height=300, width=400, text_height=(8, 60), max_rotation=1.0, max_tilt=0.6)


def scribe() -> Scribe:
    return Scribe(WordSource(WordConfig()), TYPEFACES)


def one_word(placement: Placement, number: int) -> Placement:
    """The placement with all ink but that of one word taken away."""
    outline = np.rint(placement.lettering.outlines(1)[number]).astype(np.int32)
    ink = placement.lettering.ink * cv2.fillPoly(np.zeros_like(placement.lettering.ink), [outline], 1)
    return Placement(replace(placement.lettering, ink=ink), placement.homography)


def distances_to_sides(ink: np.ndarray, quad: np.ndarray) -> np.ndarray:
    """How far inside each of the four sides of a quad the outermost ink pixel (centre) lies."""
    y, x = np.nonzero(ink)
    points = np.stack([x + 0.5, y + 0.5], axis=1)
    along = np.roll(quad, -1, axis=0) - quad
    inward = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.linalg.norm(along, axis=1)[:, None]
    return ((points[:, None] - quad) * inward).sum(axis=2).min(axis=0)


def check_ink(placement: Placement, style: Style) -> None:
    for number, polygon in enumerate(placement.polygons(grow=outline_pixels(placement, style))):
        canvas = np.full((PAGE.height, PAGE.width, 3), 255, np.uint8)
        paint(canvas, one_word(placement, number), style)
        if len(polygon) > 4:  # bent
            y, x = np.nonzero(canvas[..., 0] < 250)
            outside = shapely.distance(shapely.Polygon(polygon), shapely.points(x + 0.5, y + 0.5))
            assert outside.max(initial=0) < 0.5, placement.lettering.texts[number]
            continue
        distances = distances_to_sides(canvas[..., 0] < 250, polygon.astype(np.float64))
        assert (distances > 0).all(), (placement.lettering.texts[number], distances)
        distances = distances_to_sides(canvas[..., 0] < 160, polygon.astype(np.float64))
        assert (distances < MARGIN + 2).all(), (placement.lettering.texts[number], distances)


@pytest.mark.parametrize("outline", [None, BLACK])
@pytest.mark.parametrize("seed", range(3))
def test_ink_is_inside_its_polygon_and_touches_its_sides(seed, outline):
    style = Style(BLACK, outline=outline, outline_width=MAX_OUTLINE_WIDTH)
    placements = lay_scene(np.random.default_rng(seed), PAGE, scribe(), 20, ANYWHERE)
    assert len(placements) > 3
    for placement in placements:
        check_ink(placement, style)


def test_ink_of_a_sheet():
    placements = lay_sheet(np.random.default_rng(0), replace(PAGE, text_height=(8, 30)), scribe())
    assert len(placements) > 10
    for placement in placements:
        check_ink(placement, Style(BLACK))


@pytest.mark.parametrize("layout", ["scene", "sheet"])
def test_polygons_are_clockwise_inside_the_image_and_boards_apart(layout):
    for seed in range(3):
        rng = np.random.default_rng(seed)
        placements = (
            lay_scene(rng, PAGE, scribe(), 30, ANYWHERE) if layout == "scene" else lay_sheet(rng, PAGE, scribe())
        )
        covered = np.zeros((PAGE.height, PAGE.width), int)
        for placement in placements:
            polygons = placement.polygons()
            assert all(polygon_area(polygon) > 0 for polygon in polygons)
            assert polygons.min() >= 0
            assert (polygons.max(axis=(0, 1)) <= (PAGE.width, PAGE.height)).all()
            canvas = np.full((PAGE.height, PAGE.width, 3), 255, np.uint8)
            paint(canvas, placement, Style(BLACK, board=Board(BLACK)))
            covered += canvas[..., 0] < 128
        assert covered.max() == 1


@pytest.mark.parametrize("bend", [0.9, 0.3, -0.3, -0.9])
def test_ink_of_a_bent_line_is_inside_its_polygons(bend):
    flat = draw_lettering([Line(("Quayside", "(pub)"), TYPEFACES[1], 24)])
    bent = draw_lettering([Line(("Quayside", "(pub)"), TYPEFACES[1], 24)], bend=bend)
    check_ink(Placement(bent, np.diag([0.5, 0.5, 1])), Style(BLACK))
    for polygon, box in zip(bent.outlines(), flat.boxes, strict=True):
        area = (box[2] - box[0]) * (box[3] - box[1])
        assert polygon_area(polygon) == pytest.approx(area, rel=0.1)
    middle, end = bent.outlines()[0][[6, 0]]
    assert np.sign(end[1] - middle[1]) == np.sign(bend)  # the ends sink, or rise


@pytest.mark.parametrize("radius", [80.0, -80.0])
def test_bending_turns_a_line_into_a_circle_and_unbending_gives_it_back(radius):
    arc = Arc(100, 50, radius, shift=(3, -4))
    points = np.random.default_rng(0).uniform((20, 30), (180, 70), (50, 2))
    np.testing.assert_allclose(arc.unbend(arc.bend(points)), points, atol=1e-9)
    line = np.stack([np.linspace(20, 180, 9), np.full(9, 50)], axis=1)
    centre = np.array([103, 46 + radius])
    np.testing.assert_allclose(np.linalg.norm(arc.bend(line) - centre, axis=1), 80)
    np.testing.assert_allclose(arc.bend(np.array([100.0, 50])), [103, 46])


def test_a_line_is_never_bent_until_it_folds():
    lettering = draw_lettering([Line(("I",), TYPEFACES[1], 40)], bend=3.0)
    assert polygon_area(lettering.outlines()[0]) > 0
    assert shapely.Polygon(lettering.outlines()[0]).is_valid


def test_words_of_a_block_are_in_reading_order():
    lettering = draw_lettering([Line(("i", "MMMM"), TYPEFACES[0], 30), Line(("long", "."), TYPEFACES[0], 15)])
    widths = lettering.boxes[:, 2] - lettering.boxes[:, 0]
    assert lettering.texts == ("i", "MMMM", "long", ".")
    assert widths[1] > widths[2] > widths[3]
    assert lettering.boxes[0, 2] < lettering.boxes[1, 0]
    assert lettering.boxes[1, 3] < lettering.boxes[2, 1]


@pytest.mark.parametrize(("alignment", "side"), [(0.0, "left"), (0.5, "middle"), (1.0, "right")])
def test_lines_are_aligned(alignment, side):
    lines = [Line(("MMMM",), TYPEFACES[0], 20), Line(("MM",), TYPEFACES[0], 20)]
    long, short = draw_lettering(lines, alignment=alignment).boxes
    gaps = {"left": short[0] - long[0], "right": long[2] - short[2], "middle": (short[[0, 2]] - long[[0, 2]]).sum()}
    assert abs(gaps[side]) <= 1
    assert sum(abs(gap) <= 1 for gap in gaps.values()) == 1


def test_tracking_parts_letters():
    close, wide = (draw_lettering([Line(("MM",), TYPEFACES[0], 20, tracking=t)]).boxes[0] for t in (0.0, 0.5))
    assert (wide - close)[2] == pytest.approx(0.5 * 20 * SUPERSAMPLE, abs=2)


def test_margins_belong_to_the_frame():
    lettering = draw_lettering([Line(("MM",), TYPEFACES[0], 20)], margins=(1, 2, 3, 4))
    grown = (lettering.frame - lettering.box) / lettering.cap_height
    np.testing.assert_allclose(grown, (-1, -2, 3, 4))
    assert (lettering.frame[:2] > 0).all()
    assert (lettering.frame[2:] < lettering.ink.shape[::-1]).all()


def test_text_is_laid_where_the_image_is_calm():
    busy = np.zeros((10, 10))
    busy[:, :5] = 1  # the left half
    x = [
        placement.outline(0)[:, 0].mean()
        for seed in range(20)
        for placement in lay_scene(np.random.default_rng(seed), PAGE, scribe(), 1, busy)
    ]
    assert np.mean(np.array(x) > PAGE.width / 2) > 0.8


def test_a_level_plane_gives_level_quads():
    placement = Placement(draw_lettering([Line(("quay",), TYPEFACES[1], 20)]), translation(50, 40))
    (quad,) = placement.polygons()
    top_left, top_right, bottom_right, bottom_left = quad
    assert top_left[1] == top_right[1] < bottom_left[1] == bottom_right[1]
    assert top_left[0] == bottom_left[0] < top_right[0] == bottom_right[0]


def test_plane_homography_turns_clockwise_and_enlarges_what_comes_near():
    turned = project(plane_homography(np.pi / 2, 0, 0, radius=1), np.array([[1.0, 0], [0, 1]]))
    np.testing.assert_allclose(turned, [[0, 1], [-1, 0]], atol=1e-12)
    edges = np.array([[-10.0, -1], [-10, 1], [10, -1], [10, 1]])
    left_top, left_bottom, right_top, right_bottom = project(plane_homography(0, 0, 0.5, radius=10), edges)
    assert np.linalg.norm(right_bottom - right_top) > 2 > np.linalg.norm(left_bottom - left_top)


def half_covered() -> Placement:
    lettering = draw_lettering([Line(("I",), TYPEFACES[1], 40)])
    return Placement(replace(lettering, ink=np.where(lettering.ink > 0, 128, 0).astype(np.uint8)), translation(20, 20))


def test_paint_blends_at_half_coverage_and_leaves_the_rest():
    canvas = np.full((200, 200, 3), 200, np.uint8)
    paint(canvas, half_covered(), Style(np.array([0, 100, 200], np.float32)))
    assert canvas.reshape(-1, 3).min(axis=0).tolist() == [100, 150, 200]
    assert (canvas[:20] == 200).all()


def test_worn_paint_is_thinner():
    canvas = np.full((200, 200, 3), 200, np.uint8)
    paint(canvas, half_covered(), Style(BLACK, opacity=0.5))
    assert canvas.min() == 150


def test_paint_takes_on_the_texture_of_the_surface():
    rng = np.random.default_rng(0)
    canvas = np.repeat(rng.integers(60, 200, (200, 200, 1), dtype=np.uint8), 3, axis=2)
    lettering = draw_lettering([Line(("I",), TYPEFACES[1], 60)])
    solid = Placement(replace(lettering, ink=np.full_like(lettering.ink, 255)), np.diag([0.5, 0.5, 1]))
    inside = np.s_[10 : lettering.ink.shape[0] // 2 - 10, 10 : lettering.ink.shape[1] // 2 - 10, 0]
    before = canvas[inside].ravel()
    spread = {}
    for texture in (0.0, 0.5, 1.0):
        painted = canvas.copy()
        paint(painted, solid, Style(np.full(3, 100, np.float32), texture=texture))
        spread[texture] = painted[inside].std()
        if texture:
            assert np.corrcoef(before, painted[inside].ravel())[0, 1] > 0.9
    assert spread[0.0] == 0 < spread[0.5] < spread[1.0]


@pytest.mark.parametrize(
    "changes",
    [
        {"outline": np.array([250, 0, 0], np.float32), "outline_width": 0.1},
        {"shadow": BLACK, "shadow_offset": (0.1, 0.1)},
        {"glow": np.full(3, 255, np.float32)},
        {"emboss": 0.5},
        {"pictogram": 0},
        {"board": Board(WHITE)},
        {"board": Board(WHITE, shade=0.3)},
        {"board": Board(WHITE, corner=1.0)},
        {"board": Board(WHITE, raised=True)},
        {"board": Board(WHITE, trim=BLACK, line_width=0.1)},
        {"board": Board(WHITE, trim=BLACK, band=0.1)},
        {"board": Board(WHITE, trim=BLACK, band=-0.1)},
    ],
)
def test_every_layer_changes_the_picture(changes):
    lettering = draw_lettering([Line(("sign",), TYPEFACES[1], 24)], margins=(2, 1, 1, 1))
    pictures = []
    for style in (Style(np.full(3, 90, np.float32)), Style(np.full(3, 90, np.float32), **changes)):
        canvas = np.full((120, 240, 3), 160, np.uint8)
        paint(canvas, Placement(lettering, np.diag([0.5, 0.5, 1])), style)
        pictures.append(canvas)
    assert (pictures[0] != pictures[1]).any()
