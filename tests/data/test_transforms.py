"""Augmentation: the polygons must follow the pixels, and chance must come from the generator alone."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from textspot.data.transforms import CUT_TOLERANCE, TransformConfig, augment, warp
from textspot.geometry import box_to_quad
from textspot.structures import Sample

BORDER = (9, 8, 7)
ALL = TransformConfig(0.4, 2.0, max_stretch=1.5, max_rotation=0.4, colour=1.0, border=BORDER)


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
    return np.array([[1, 0, x], [0, 1, y]], dtype=np.float64)


@pytest.mark.parametrize(
    ("settings_", "message"),
    [
        ({"min_scale": 0.0}, "0 < min_scale <= max_scale, found 0.0 and 1.0"),
        ({"min_scale": 2.0}, "found 2.0 and 1.0"),
        ({"max_stretch": 0.9}, "max_stretch is 0.9, expected at least 1"),
        ({"colour": 1.5}, r"colour is 1.5, expected a probability in \[0, 1\]"),
        ({"max_rotation": -0.1}, "max_rotation is -0.1, expected at least 0"),
    ],
)
def test_settings_that_cannot_be(settings_, message):
    with pytest.raises(ValueError, match=message):
        TransformConfig(**settings_)


def test_the_defaults_change_nothing_but_the_frame():
    sample = draw_noise()
    view = augment(sample, sample.size, TransformConfig(), np.random.default_rng(0))
    assert view.image.tolist() == sample.image.tolist()
    assert [polygon.tolist() for polygon in view.polygons] == [polygon.tolist() for polygon in sample.polygons]
    assert view.transcripts == sample.transcripts
    assert view.ignore.tolist() == [False]
    assert view.name == "noise"


def test_nothing_is_changed_in_place():
    sample = draw_noise()
    image, polygon = sample.image.copy(), sample.polygons[0].copy()
    augment(sample, (64, 64), ALL, np.random.default_rng(0))
    assert (sample.image == image).all()
    assert (sample.polygons[0] == polygon).all()


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (7, 5)])
def test_tiny_and_thin_images(size):
    sample = Sample(np.full((*size, 3), 200, np.uint8), [], [], np.zeros(0, bool))
    for seed in range(20):
        view = augment(sample, (64, 96), ALL, np.random.default_rng(seed))
        assert view.image.shape == (64, 96, 3)
        assert len(view) == 0


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1))
def test_the_polygon_follows_the_pixels(seed):
    rng = np.random.default_rng(seed)
    word = np.array([[50, 50], [70, 40], [90, 38], [112, 44], [108, 74], [88, 68], [72, 70], [58, 80]], np.float32)
    config = TransformConfig(0.5, 2.0, max_stretch=1.6, max_rotation=np.pi, border=(0, 0, 0))
    view = augment(draw_words(word), (192, 224), config, rng)
    if len(view):
        (polygon,) = view.polygons
        expected = draw_words(polygon, size=(192, 224)).image[..., 0] > 127
        found = view.image[..., 0] > 127
        assert polygon.shape == word.shape
        assert polygon.dtype == np.float32
        if expected.sum() > 300:  # else most of it is cut off
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
    view = warp(Sample(image, [word], ["word"], np.array([False])), np.diag([zoom, zoom, 1])[:2], size, BORDER)
    left, top, right, bottom = view.polygons[0][[0, 2]].ravel().astype(int)
    assert (left, top, right, bottom) == tuple(int(edge * zoom) for edge in (40, 24, 80, 48))
    brightness = view.image[..., 0].astype(int)
    assert brightness[top:bottom, left:right].mean() > 245
    assert brightness.sum() == pytest.approx(255 * (right - left) * (bottom - top), rel=0.03)


def test_thin_strokes_are_averaged_and_not_skipped():
    image = np.zeros((400, 400, 3), np.uint8)
    image[:, ::4] = 255
    view = warp(Sample(image, [], [], np.zeros(0, bool)), np.diag([0.25, 0.25, 1])[:2], (100, 100), BORDER)
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
    view = augment(draw_noise(), (240, 320), TransformConfig(border=BORDER), np.random.default_rng(0))
    outside = (view.image == BORDER).all(axis=2)
    assert outside.sum() >= 240 * 320 - 121 * 161
    assert not outside[60:180, 100:220].all()


def test_the_same_generator_gives_the_same_bytes():
    first, other = draw_noise(), draw_noise((90, 200), seed=1)
    there = [augment(sample, (96, 96), ALL, np.random.default_rng(seed)) for seed, sample in enumerate([first, other])]
    back = [augment(sample, (96, 96), ALL, np.random.default_rng(seed)) for seed, sample in [(1, other), (0, first)]]
    for one, same in zip(there, back[::-1], strict=True):
        assert one.image.tobytes() == same.image.tobytes()
        assert [p.tolist() for p in one.polygons] == [p.tolist() for p in same.polygons]
    assert there[0].image.tobytes() != augment(first, (96, 96), ALL, np.random.default_rng(5)).image.tobytes()


def test_colour_changes_the_picture_and_no_polygon():
    sample = draw_noise()
    plain, coloured = (
        augment(sample, (96, 96), TransformConfig(colour=colour), np.random.default_rng(3)) for colour in (0.0, 1.0)
    )
    assert [p.tolist() for p in plain.polygons] == [p.tolist() for p in coloured.polygons]
    assert (plain.image != coloured.image).any()


def measure_boxes(config: TransformConfig) -> np.ndarray:
    """Width, height and angle of the upper edge of a square of 20 pixels in views of a large image."""
    square = draw_words(box_to_quad([90, 90, 110, 110]), size=(200, 200))
    views = [augment(square, (400, 400), config, np.random.default_rng(seed)) for seed in range(200)]
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
    shown = [len(augment(sample, (300, 300), TransformConfig(), np.random.default_rng(seed))) for seed in range(100)]
    assert sum(shown) > 70
