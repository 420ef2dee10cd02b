"""Augmentation: the polygons must follow the pixels, and chance must come from the generator alone."""

import cv2
import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.data.transforms import (
    CUT_TOLERANCE,
    Camera,
    TransformConfig,
    augment,
    fill_view,
    move_points,
    place_camera,
    warp,
)
from textspot.geometry import box_to_quad, polygon_area
from textspot.structures import Sample

BORDER = (9, 8, 7)
ALL = TransformConfig(0.4, 2.0, 1.5, 0.4, max_perspective=0.4, colour=1.0, degrade=1.0, border=BORDER)


def draw_words(*polygons: np.ndarray, size: tuple[int, int] = (120, 160), ignore: bool = False) -> Sample:
    """Words as filled white polygons on black."""
    image = np.zeros((*size, 3), dtype=np.uint8)
    for polygon in polygons:
        cv2.fillPoly(image, [np.round(polygon * 16 - 8).astype(np.int32)], (255, 255, 255), cv2.LINE_AA, shift=4)
    words = [f"word{number}" for number in range(len(polygons))]
    return Sample(image, polygons, words, np.full(len(polygons), ignore), "drawn")


def draw_noise(size: tuple[int, int] = (120, 160), seed: int = 0) -> Sample:
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    return Sample(image, [box_to_quad([40, 40, 100, 60])], ["word"], np.array([False]), "noise")


def shift_by(x: float, y: float) -> np.ndarray:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], dtype=np.float64)


def look(sample: Sample, size: tuple[int, int], config: TransformConfig, rng: np.random.Generator) -> Sample:
    """A random view, by a random camera."""
    return augment(sample, place_camera(config, rng), size, config, rng)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"min_scale": 0.0}, "0 < min_scale <= max_scale, found 0.0 and 1.0"),
        ({"min_scale": 2.0}, "found 2.0 and 1.0"),
        ({"max_stretch": 0.9}, "max_stretch is 0.9, expected at least 1"),
        ({"colour": 1.5}, r"colour is 1.5, expected a value in \[0, 1\]"),
        ({"degrade": -0.5}, r"degrade is -0.5, expected a value in \[0, 1\]"),
        ({"max_perspective": 0.6}, r"max_perspective is 0.6, expected a value in \[0, 0.5\]"),
        ({"max_rotation": -0.1}, "max_rotation is -0.1, expected at least 0"),
    ],
)
def test_settings_that_cannot_be(settings_, message):
    with pytest.raises(ValueError, match=message):
        TransformConfig(**settings_)


def test_the_defaults_change_nothing_but_the_frame():
    sample = draw_noise()
    view = look(sample, sample.size, TransformConfig(), np.random.default_rng(0))
    assert view.image.tolist() == sample.image.tolist()
    assert [polygon.tolist() for polygon in view.polygons] == [polygon.tolist() for polygon in sample.polygons]
    assert view.transcripts == sample.transcripts
    assert view.ignore.tolist() == [False]
    assert view.name == "noise"


def test_nothing_is_changed_in_place():
    sample = draw_noise()
    image, polygon = sample.image.copy(), sample.polygons[0].copy()
    look(sample, (64, 64), ALL, np.random.default_rng(0))
    assert (sample.image == image).all()
    assert (sample.polygons[0] == polygon).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_and_thin_images(size):
    sample = Sample(np.full((*size, 3), 200, np.uint8), [], [], np.zeros(0, bool))
    for seed in range(20):
        view = look(sample, (64, 96), ALL, np.random.default_rng(seed))
        assert view.image.shape == (64, 96, 3)
        assert len(view) == 0


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_polygon_follows_the_pixels(seed):
    rng = np.random.default_rng(seed)
    word = np.array([[50, 50], [70, 40], [90, 38], [112, 44], [108, 74], [88, 68], [72, 70], [58, 80]], np.float32)
    config = TransformConfig(0.5, 2.0, 1.6, max_rotation=np.pi, max_perspective=0.4, border=(0, 0, 0))
    view = look(draw_words(word), (192, 224), config, rng)
    if len(view):
        (polygon,) = view.polygons
        expected = draw_words(polygon, size=(192, 224)).image[..., 0] > 127
        found = view.image[..., 0] > 127
        assert polygon.shape == word.shape
        assert polygon.dtype == np.float32
        if expected.sum() > 600:  # else most of it is cut off, and a row of pixels is a tenth of it
            assert (expected & found).sum() / (expected | found).sum() > 0.9
    else:
        assert (view.image > 127).sum() < 300


@pytest.mark.parametrize("zoom", [0.25, 0.5, 1.0, 3.0])
def test_coordinates_are_those_of_pixel_corners(zoom):
    """Half a pixel matters at stride 4: a box of full pixels covers them exactly, at every zoom."""
    word = box_to_quad([40, 24, 80, 48])
    image = np.zeros((120, 160, 3), np.uint8)
    image[24:48, 40:80] = 255
    size = (int(120 * zoom), int(160 * zoom))
    view = warp(Sample(image, [word], ["word"], np.array([False])), np.diag([zoom, zoom, 1]), size, BORDER)
    left, top, right, bottom = view.polygons[0][[0, 2]].ravel().astype(int)
    assert (left, top, right, bottom) == tuple(int(edge * zoom) for edge in (40, 24, 80, 48))
    brightness = view.image[..., 0].astype(int)
    assert brightness[top:bottom, left:right].mean() > 245
    assert brightness.sum() == pytest.approx(255 * (right - left) * (bottom - top), rel=0.03)


def test_thin_strokes_are_averaged_and_not_skipped():
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, ::4] = 255
    view = warp(Sample(image, [], [], np.zeros(0, bool)), np.diag([0.25, 0.25, 1]), (100, 100), BORDER)
    assert (np.abs(view.image.astype(int) - 64) <= 1).all()


def test_words_outside_vanish_and_words_the_frame_cuts_are_ignored():
    words = [box_to_quad([x, 40, x + 40, 60]) for x in (0, 50, 110)]
    view = warp(draw_words(*words), shift_by(-60, 0), (120, 60), BORDER)
    assert view.transcripts == ["word1", "word2"]
    assert view.ignore.tolist() == [True, True]
    assert view.polygons[0][0].tolist() == [-10, 40]
    assert len(warp(draw_words(*words), shift_by(500, 0), (120, 160), BORDER)) == 0


@pytest.mark.parametrize(("overhang", "ignored"), [(0, False), (0.9, False), (1.1, True)])
@pytest.mark.parametrize("direction", [(-1, 0), (1, 0), (0, -1), (0, 1)])
def test_a_word_may_lose_a_little_of_its_smaller_extent(overhang, ignored, direction):
    word = box_to_quad([0, 0, 60, 20])
    inset = CUT_TOLERANCE * 20 * overhang
    size = (20, 60)
    view = warp(draw_words(word, size=size), shift_by(*(inset * np.array(direction))), size, BORDER)
    assert view.ignore.tolist() == [ignored]


def test_an_ignored_word_stays_ignored():
    view = warp(draw_words(box_to_quad([40, 40, 100, 60]), ignore=True), shift_by(0, 0), (120, 160), BORDER)
    assert view.ignore.tolist() == [True]


def test_what_lies_outside_the_image_has_the_border_colour():
    view = look(draw_noise(), (240, 320), TransformConfig(border=BORDER), np.random.default_rng(0))
    outside = (view.image == BORDER).all(axis=2)
    assert outside.sum() >= 240 * 320 - 121 * 161
    assert not outside[60:180, 100:220].all()


def test_the_same_generator_gives_the_same_bytes():
    first, other = draw_noise(), draw_noise((90, 200), seed=1)
    there = [look(sample, (96, 96), ALL, np.random.default_rng(seed)) for seed, sample in enumerate([first, other])]
    back = [look(sample, (96, 96), ALL, np.random.default_rng(seed)) for seed, sample in [(1, other), (0, first)]]
    for one, same in zip(there, back[::-1], strict=True):
        assert one.image.tobytes() == same.image.tobytes()
        assert [p.tolist() for p in one.polygons] == [p.tolist() for p in same.polygons]
    assert there[0].image.tobytes() != look(first, (96, 96), ALL, np.random.default_rng(5)).image.tobytes()


@pytest.mark.parametrize("name", ["colour", "degrade"])
def test_what_changes_the_picture_changes_no_polygon(name):
    sample = draw_noise()
    plain, changed = (
        look(sample, (96, 96), TransformConfig(**{name: share}), np.random.default_rng(3)) for share in (0.0, 1.0)
    )
    assert [p.tolist() for p in plain.polygons] == [p.tolist() for p in changed.polygons]
    assert (plain.image != changed.image).any()


def sees(polygon: np.ndarray, view: Sample) -> bool:
    """Whether a polygon lies in the frame of a view, but for half a pixel."""
    return bool((polygon > -0.5).all() and (polygon < np.array(view.size[::-1]) + 0.5).all())


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_every_word_keeps_its_vertices_its_direction_and_its_place_among_the_others(seed):
    """A polygon in order stays one: as many vertices, no crossing, clockwise; those in the frame keep their text."""
    rng = np.random.default_rng(seed)
    words = [box_to_quad([x, y, x + 34, y + 12]) + rng.uniform(-3, 3, (4, 2)) for x in (10, 60, 110) for y in (20, 60)]
    words = [np.array(word, np.float32) for word in words]
    view = look(draw_words(*words), (96, 128), ALL, rng)
    assert set(view.transcripts) <= {f"word{number}" for number in range(6)}
    for polygon, ignored in zip(view.polygons, view.ignore, strict=True):
        assert polygon.shape == (4, 2)
        assert np.isfinite(polygon).all()
        assert shapely.Polygon(polygon).is_valid
        assert polygon_area(polygon) > 0
        assert not (ignored and sees(polygon, view))


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_what_stands_in_a_word_moves_with_it(seed):
    """The left half of the word is red: it is red in the view as well, however turned and tilted."""
    rng = np.random.default_rng(seed)
    word = box_to_quad([50, 40, 110, 70])
    image = np.zeros((120, 160, 3), np.uint8)
    image[40:70, 50:80], image[40:70, 80:110] = (250, 0, 0), (0, 0, 250)
    config = TransformConfig(0.5, 2.0, 1.5, np.pi, max_perspective=0.4)
    camera = place_camera(config, rng)
    sample = Sample(image, [word, box_to_quad([50, 40, 80, 70])], ["both", "red"], np.zeros(2, bool))
    view = augment(sample, camera, (192, 224), config, rng)
    for polygon, text in zip(view.polygons, view.transcripts, strict=True):
        inside = np.zeros(view.size, np.uint8)
        cv2.fillPoly(inside, [np.round(polygon * 16 - 8).astype(np.int32)], 1, shift=4)
        inside = cv2.erode(inside, np.ones((3, 3), np.uint8)).astype(bool)
        whole = (polygon >= 0).all() and (polygon <= view.size[::-1]).all()  # what the frame cuts may be red alone
        if inside.sum() > 100 and whole:
            red = (view.image[..., 0] > view.image[..., 2])[inside].mean()
            assert red > 0.95 if text == "red" else red < 0.9


def test_perspective_enlarges_what_is_near():
    """An edge that is nearer by a fifth of the distance is 1 / 0.8 as long, the opposite one 1 / 1.2."""
    tilted = np.array([[1, 0, 0], [0, 1, 0], [0.2 / 80, 0, 1]])
    left, right = (move_points(np.array([[x, -60], [x, 60]]), tilted) for x in (-80, 80))
    assert np.linalg.norm(np.diff(left, axis=0)) == pytest.approx(120 / 0.8)
    assert np.linalg.norm(np.diff(right, axis=0)) == pytest.approx(120 / 1.2)


def test_perspective_fills_its_range_and_no_more():
    """Of two words, three quarters of the way to the left edge and to the right one."""
    words = draw_words(*(box_to_quad([x - 1, 59, x + 1, 61]) for x in (20, 140)))
    config = TransformConfig(max_perspective=0.2)
    views = [look(words, (120, 160), config, np.random.default_rng(seed)) for seed in range(200)]
    heights = np.array([[np.linalg.norm(polygon[3] - polygon[0]) for polygon in view.polygons] for view in views])
    ratios = np.log(heights[:, 0] / heights[:, 1]) / np.log(1.15 / 0.85)
    assert -1.03 < ratios.min() < -0.8
    assert 0.8 < ratios.max() < 1.03


def test_what_lies_behind_the_camera_is_not_seen():
    """Points beyond the horizon, here at x = -100, would come back on the other side of the image."""
    tilted = np.array([[1, 0, 0], [0, 1, 0], [0.01, 0, 1]])
    words = [box_to_quad([left, 40, left + 30, 60]) for left in (-300, -110, 40)]
    view = warp(draw_words(*words), tilted, (120, 160), BORDER)
    assert view.transcripts == ["word2"]
    crossing = warp(draw_words(box_to_quad([-150, 40, 60, 60])), tilted, (120, 160), BORDER)
    assert crossing.ignore.tolist() == [True]
    assert crossing.polygons[0][0, 0] == -150 / 0.2


def measure_boxes(config: TransformConfig) -> np.ndarray:
    """Width, height and angle of the upper edge of a square of 20 pixels in views of a large image."""
    square = draw_words(box_to_quad([90, 90, 110, 110]), size=(200, 200))
    views = [look(square, (400, 400), config, np.random.default_rng(seed)) for seed in range(200)]
    quads = [view.polygons[0] for view in views]
    top, side = (np.array([quad[i] - quad[i - 1] for quad in quads]) for i in (1, 2))
    return np.stack([np.hypot(*top.T), np.hypot(*side.T), np.arctan2(top[:, 1], top[:, 0])], axis=1)


@pytest.mark.parametrize(
    ("config", "widths", "stretches", "angles"),
    [
        (TransformConfig(), (20, 20), (1, 1), (0, 0)),
        (TransformConfig(min_scale=0.5, max_scale=1.5), (10, 30), (1, 1), (0, 0)),
        (TransformConfig(max_stretch=2.0), (20 / 2**0.5, 20 * 2**0.5), (0.5, 2), (0, 0)),
        (TransformConfig(max_rotation=0.5), (20, 20), (1, 1), (-0.5, 0.5)),
    ],
)
def test_every_setting_fills_its_range_and_no_more(config, widths, stretches, angles):
    width, height, angle = measure_boxes(config).T
    for values, (low, high) in ((width, widths), (width / height, stretches), (angle, angles)):
        assert values.min() >= low - 1e-3
        assert values.max() <= high + 1e-3
        assert values.min() <= low + 0.1 * (high - low) + 1e-3
        assert values.max() >= high - 0.1 * (high - low) - 1e-3


def test_crops_follow_the_words():
    """A word covers a thousandth of the image; uniform crops would show it one time in nine."""
    sample = draw_words(box_to_quad([20, 20, 70, 40]), size=(900, 900))
    shown = [len(look(sample, (300, 300), TransformConfig(), np.random.default_rng(seed))) for seed in range(100)]
    assert sum(shown) > 70


@pytest.mark.parametrize(
    ("image_size", "zoom", "expected"),
    [
        ((720, 1280), (0.4, 0.4), (0.4, 0.4)),  # a photograph is larger than the view all the same
        ((100, 200), (1.0, 1.0), (1.6, 1.6)),  # a graphic is enlarged until it is four fifths as wide as the view
        ((400, 100), (0.5, 0.4), (1.0, 0.8)),  # its stretch stays
        ((1, 1), (1.0, 1.0), (320.0, 320.0)),
    ],
)
def test_small_images_fill_the_view(image_size, zoom, expected):
    camera = Camera(np.array(zoom), 0.0, np.zeros(2))
    np.testing.assert_allclose(fill_view(camera, image_size, (400, 400)).zoom, expected)
