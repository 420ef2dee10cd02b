import hashlib
import subprocess
import sys
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
import pytest

from textspot.data.synthetic import Renderer, RendererConfig, WordConfig, camera
from textspot.data.synthetic.camera import READABLE_BLUR, photograph
from textspot.data.synthetic.occlusion import covered_shares, occlude
from textspot.data.synthetic.style import LUMINANCE, MIN_CONTRAST, choose_style, contrasting
from textspot.data.synthetic.surface import Photographs, busyness, draw_surface
from textspot.data.synthetic.typefaces import SHIPPED
from textspot.geometry import box_to_quad, polygon_area, polygon_to_ribbon, ribbon_size
from textspot.structures import Sample

SMALL = RendererConfig(height=160, width=224)
LETTERS = WordConfig(characters="ABCDEFGHIKLMNOPRSTUVWXYZ", case="upper")


def digest(sample: Sample) -> str:
    parts = [sample.image.tobytes(), np.array(sample.polygons).tobytes(), repr(sample.transcripts).encode()]
    return hashlib.sha256(b"".join(parts)).hexdigest()


def height_of(polygon: np.ndarray) -> float:
    return ribbon_size(polygon_to_ribbon(polygon)[0])[0]


def render(count: int = 8, **changes) -> list[Sample]:
    renderer = Renderer(replace(SMALL, **changes))
    return [renderer.render(1, index) for index in range(count)]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"drawn_share": 1.5}, "drawn_share is 1.5"),
        ({"occluded_share": -1.0}, "occluded_share is -1.0"),
        ({"height": 0}, "renderer.height is 0, expected at least 1"),
        ({"words_per_image": (3, 2)}, r"words_per_image \(3, 2\): expected 0 <= least <= most"),
        ({"min_text_height": 3.0}, "min_text_height 3.0, max_text_height 48.0: expected 4 <= min <= max"),
        ({"min_text_height": 50.0}, "min_text_height 50.0, max_text_height 48.0"),
        ({"empty_share": 1.1}, r"empty_share is 1.1, expected a value in \[0, 1\]"),
        ({"degrade": -0.1}, "degrade is -0.1"),
        ({"max_tilt": 1.2}, "max_tilt is 1.2"),
        ({"max_rotation": 4.0}, r"max_rotation is 4.0, expected a value in \[0, 3.14159\]"),
        ({"degrade": 2, "empty_share": 2}, "empty_share is 2.*; renderer.degrade is 2"),
        ({"layout": "sheet", "words_per_image": (2, 3)}, "renderer.words_per_image goes with renderer.layout: scene"),
        ({"drawn_share": 0.5}, "renderer.drawn_share goes with renderer.backgrounds"),
    ],
)
def test_impossible_configurations_are_refused(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        replace(SMALL, **changes)


@pytest.mark.parametrize("layout", ["scene", "sheet"])
def test_an_image_depends_on_seed_and_index_alone(layout):
    first, second = Renderer(replace(SMALL, layout=layout)), Renderer(replace(SMALL, layout=layout))
    forwards = [digest(first.render(3, index)) for index in range(4)]
    backwards = [digest(second.render(3, index)) for index in reversed(range(4))]
    assert forwards == backwards[::-1]
    assert len({*forwards, digest(first.render(4, 0))}) == 5


def test_another_process_draws_the_same():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_renderer import SMALL, Renderer, digest\n"
        "print(digest(Renderer(SMALL).render(3, 5)))"
    )
    command = [sys.executable, "-c", code, str(__file__).rpartition("/")[0]]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == digest(Renderer(SMALL).render(3, 5))


@pytest.mark.parametrize("layout", ["scene", "sheet"])
def test_a_sample_keeps_its_promises(layout):
    samples = render(layout=layout, height=120, width=300)
    assert sum(len(sample) for sample in samples) > 10
    for sample in samples:
        assert sample.size == (120, 300)
        assert sample.ignore.dtype == bool
        for polygon in sample.polygons:
            assert polygon.shape in ((4, 2), (14, 2))
            assert polygon.dtype == np.float32
            assert polygon_area(polygon) > 0
            assert (polygon >= 0).all()
            assert (polygon <= (300, 120)).all()


@pytest.mark.parametrize("layout", ["scene", "sheet"])
@pytest.mark.parametrize(("height", "width", "text_height"), [(1, 1, 10), (9, 224, 10), (160, 224, 200)])
def test_where_no_word_fits_there_is_none(layout, height, width, text_height):
    limits = {"height": height, "width": width, "min_text_height": text_height, "max_text_height": text_height}
    for sample in render(2, layout=layout, **limits):
        assert len(sample) == 0
        assert sample.ignore.shape == (0,)


def test_words_per_image():
    assert all(len(sample) == 0 for sample in render(3, words_per_image=(0, 0)))
    roomy = {"height": 400, "width": 400, "max_text_height": 14.0, "empty_share": 0.0}
    assert [len(sample) for sample in render(3, words_per_image=(5, 5), **roomy)] == [5, 5, 5]
    counts = {len(sample) for sample in render(20, words_per_image=(0, 2), **roomy)}
    assert counts == {0, 1, 2}


@pytest.mark.slow
def test_empty_share():
    assert all(len(sample) == 0 for sample in render(3, empty_share=1.0))
    assert all(len(sample) > 0 for sample in render(20, empty_share=0.0))


def test_a_sheet_is_dense():
    words = WordConfig(max_length=6)
    samples = render(4, layout="sheet", height=256, width=512, max_text_height=22.0, words=words, empty_share=0.0)
    assert min(len(sample) for sample in samples) >= 24


def test_words_are_those_of_the_configuration():
    samples = render(layout="sheet", words=WordConfig(characters="0123456789", min_length=2, max_length=3))
    texts = [text for sample in samples for text in sample.transcripts]
    assert len(texts) > 50
    assert all(text.isdigit() and 2 <= len(text) <= 3 for text in texts)


@pytest.mark.slow
def test_text_heights():
    samples = render(30, words=LETTERS, min_text_height=20.0, max_text_height=30.0, max_tilt=0.0)
    heights = [height_of(polygon) for sample in samples for polygon in sample.polygons if len(polygon) == 4]
    assert 19 < min(heights) < 24
    assert 26 < max(heights) < 30 * (1 + 2 * 0.12) + 4  # outlines and margins belong to the polygon


@pytest.mark.slow
@pytest.mark.parametrize("limit", [0.0, 0.3, np.pi])
def test_rotation_stays_within_its_limit_and_uses_it(limit):
    samples = render(30, max_rotation=limit, max_tilt=0.0)
    straight = [polygon for sample in samples for polygon in sample.polygons if len(polygon) == 4]
    edges = np.array([polygon[1] - polygon[0] for polygon in straight], np.float64)
    angles = np.abs(np.arctan2(edges[:, 1], edges[:, 0]))
    assert angles.max() <= limit + 1e-3
    assert angles.max() >= 0.6 * limit


@pytest.mark.slow
def test_tilt_makes_perspective():
    def taper(tilt: float) -> float:
        samples = render(15, max_rotation=0.0, max_tilt=tilt)
        straight = [p for sample in samples for p in sample.polygons if len(p) == 4]
        sides = [np.linalg.norm(p[[0, 1]] - p[[3, 2]], axis=1) for p in straight]
        return max(float(abs(np.log(left / right))) for left, right in sides)

    assert taper(0.0) < 1e-3
    assert 0.1 < taper(0.6) < 0.7


def test_low_words_are_ignored():
    samples = render(ignore_below=16.0, degrade=0.0, occluded_share=0.0)
    for sample in samples:
        assert sample.ignore.tolist() == [height_of(polygon) < 16 for polygon in sample.polygons]
    flags = np.concatenate([sample.ignore for sample in samples])
    assert 0 < flags.mean() < 1


def test_fonts_of_a_folder(tmp_path):
    (tmp_path / "only.ttf").write_bytes((SHIPPED / "AmaticSC-Regular.ttf").read_bytes())
    texts = [text for sample in render(fonts=str(tmp_path)) for text in sample.transcripts]
    assert texts
    assert all(text == text.upper() for text in texts)


def test_backgrounds_of_a_folder(tmp_path):
    red_green = np.zeros((50, 80, 3), np.uint8)
    red_green[:, :, 1], red_green[:, :, 2] = 60, 250  # green and red in OpenCV's order
    cv2.imwrite(str(tmp_path / "photo.png"), red_green)
    bare = {"words_per_image": (0, 0), "degrade": 0.0, "occluded_share": 0.0}
    (sample,) = render(1, backgrounds=str(tmp_path), drawn_share=0.0, **bare)
    assert np.unique(sample.image.reshape(-1, 3), axis=0).tolist() == [[250, 60, 0]]


@pytest.mark.parametrize("size", [(1, 1), (30, 400), (700, 20)])
def test_a_photograph_of_any_size_fills_the_image(tmp_path, size):
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((*size, 3), 99, np.uint8))
    crop = Photographs(str(tmp_path)).crop(np.random.default_rng(0), 64, 48)
    assert crop.shape == (64, 48, 3)
    assert (crop == 99).all()


def test_unusable_backgrounds_are_named(tmp_path):
    with pytest.raises(ValueError, match=f"backgrounds: {tmp_path}: holds no image"):
        render(backgrounds=str(tmp_path))
    (tmp_path / "broken.jpg").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"broken\.jpg: cannot be decoded as an image"):
        render(backgrounds=str(tmp_path), drawn_share=0.0)
    with pytest.raises(FileNotFoundError, match="gone: no such folder"):
        render(backgrounds=str(tmp_path / "gone"))


def test_drawn_surfaces_differ():
    surfaces = [draw_surface(np.random.default_rng(i), 40, 60) for i in range(12)]
    assert all(surface.shape == (40, 60, 3) and surface.dtype == np.uint8 for surface in surfaces)
    assert len({surface.tobytes() for surface in surfaces}) == 12


def test_photographs_and_drawn_surfaces_are_mixed(tmp_path):
    cv2.imwrite(str(tmp_path / "photo.png"), np.full((50, 80, 3), 99, np.uint8))
    bare = {"words_per_image": (0, 0), "degrade": 0.0, "occluded_share": 0.0}
    samples = render(40, backgrounds=str(tmp_path), drawn_share=0.5, **bare)
    assert 10 <= sum((sample.image == 99).all() for sample in samples) <= 30


def test_busyness_is_high_where_edges_are():
    image = np.full((64, 128, 3), 90, np.uint8)
    image[:, 64:] = np.random.default_rng(0).integers(0, 255, (64, 64, 1))
    cells = busyness(image)
    assert cells.shape == (8, 16)
    assert cells[:, :6].max() == 0 < cells[:, 9:].min()
    assert busyness(image[:1, :1]).shape == (1, 1)


def test_a_camera_at_rest_changes_nothing():
    image = draw_surface(np.random.default_rng(1), 64, 64)
    same, blur = photograph(np.random.default_rng(0), image, 0.0, np.array([10.0]))
    assert same is image
    assert blur == 0


@pytest.mark.parametrize("heights", [np.array([10.0]), np.array([12.0, 40.0, 60.0]), np.zeros(0)])
def test_a_camera_changes_most_images_and_leaves_its_input_alone(heights):
    image = draw_surface(np.random.default_rng(1), 64, 64)
    before = image.copy()
    taken = [photograph(np.random.default_rng(i), image, 1.0, heights) for i in range(24)]
    assert 18 <= sum(not np.array_equal(other, image) for other, _ in taken) <= 24
    assert all(other.shape == image.shape and other.dtype == np.uint8 for other, _ in taken)
    blurs = np.array([blur for _, blur in taken])
    assert (blurs == 0).any()
    assert blurs.max() <= READABLE_BLUR * (np.median(heights) if len(heights) else 32)
    np.testing.assert_array_equal(image, before)


def step_response(blur) -> float:
    """The standard deviation in pixels of a blur along x, from what it makes of upright edges at several places."""
    x, variances = np.arange(63) + 1.0, []
    for edge in range(28, 36):
        image = np.zeros((64, 64, 3), np.uint8)
        image[:, edge:] = 255
        slope = np.diff(np.asarray(blur(image), np.float64)[32, :, 0]) / 255
        variances.append((slope * (x - edge) ** 2).sum())
    return float(np.sqrt(np.mean(variances)))


@pytest.mark.parametrize("sigma", [1.0, 2.0, 3.5])
def test_blurs_are_as_strong_as_they_say(sigma):
    rng = np.random.default_rng(0)
    assert step_response(lambda image: camera._defocus(rng, image, sigma)) == pytest.approx(sigma, rel=0.1)
    assert step_response(lambda image: camera._low_resolution(rng, image, sigma)) == pytest.approx(sigma, rel=0.3)
    shakes = [partial(camera._shake, np.random.default_rng(i), sigma=sigma) for i in range(20)]
    assert max(map(step_response, shakes)) == pytest.approx(sigma, rel=0.15)


@pytest.mark.slow
def test_words_blurred_beyond_reading_are_ignored():
    words = {"words": LETTERS, "min_text_height": 8.0, "max_text_height": 50.0, "ignore_below": 0.0}
    sharp = render(10, degrade=0.0, occluded_share=0.0, **words)
    assert not any(sample.ignore.any() for sample in sharp)
    blurred = render(30, degrade=1.0, occluded_share=0.0, **words)
    assert any(sample.ignore.any() for sample in blurred)
    for sample in blurred:
        heights = np.array([height_of(polygon) for polygon in sample.polygons])
        if sample.ignore.any() and not sample.ignore.all():  # one blur for the image: the lowest words go
            assert heights[sample.ignore].max() <= heights[~sample.ignore].min() + 1e-3


def test_covered_shares():
    covered = np.zeros((40, 60), np.uint8)
    covered[:, :30] = 1
    boxes = [(0, 0, 30, 20), (30, 0, 60, 20), (20, 10, 40, 30)]
    shares = covered_shares(covered, [box_to_quad(np.array(box)) for box in boxes])
    np.testing.assert_allclose(shares, [1, 0, 0.5], atol=0.06)
    assert covered_shares(covered, []).shape == (0,)


def test_what_is_in_front_covers_what_it_says():
    for seed in range(8):
        image = np.full((80, 120, 3), 255, np.uint8)
        covered = occlude(np.random.default_rng(seed), image)
        assert (image[covered == 0] == 255).all()
        assert (image[covered == 1] < 255).any(axis=1).all()


@pytest.mark.slow
def test_words_behind_something_are_ignored():
    samples = render(30, occluded_share=1.0, degrade=0.0, ignore_below=0.0)
    assert 0 < np.concatenate([sample.ignore for sample in samples]).mean() < 0.5


@pytest.mark.parametrize("grey", [0, 64, 100, 128, 155, 200, 255])
def test_text_stands_out_from_a_plain_ground(grey):
    for seed in range(20):
        colour, share = contrasting(np.random.default_rng(seed), np.full((5, 7, 3), grey, np.uint8))
        assert share == 1
        assert abs(float(colour @ LUMINANCE) - grey) >= MIN_CONTRAST


@pytest.mark.parametrize("asked", [False, True])
def test_boards(asked):
    grey = np.full((16, 48, 3), 128)
    styles = [choose_style(np.random.default_rng(seed), grey, asked) for seed in range(40)]
    assert 0 < sum(style.board is None for style in styles) < 40 or asked
    assert all(style.board is not None for style in styles) or not asked
    assert all(choose_style(np.random.default_rng(seed), grey, True, True).pictogram is not None for seed in range(5))


def test_text_on_a_busy_ground_gets_a_board_and_stands_out_from_it():
    checkers = np.indices((16, 48)).sum(axis=0) % 2 * 255
    for seed in range(20):
        style = choose_style(np.random.default_rng(seed), np.repeat(checkers[..., None], 3, axis=2))
        assert style.board is not None
        assert abs(float((style.fill - style.board.colour) @ LUMINANCE)) >= MIN_CONTRAST
