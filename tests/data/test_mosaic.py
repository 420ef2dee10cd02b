"""Mosaics: each crop where its word is said to be, apart from the others, and everything from (seed, number) alone."""

import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from textspot.data.annotation import Instance
from textspot.data.lmdb_records import Reader, Writer
from textspot.data.mosaic import Mosaic, MosaicConfig, arrange
from textspot.geometry import polygon_to_box, polygon_to_ribbon, ribbon_size

CONFIG = MosaicConfig(seed=3, size=(200, 300), text_height=(10.0, 30.0))
NUM_CROPS = 24


def write_crop(writer: Writer, number: int, height: int = 20, width: int = 60) -> None:
    """A crop in a colour of its own, whose word fills its inner half."""
    image = np.full((height, width, 3), 10 * number, np.uint8)
    quad = np.array([[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]) * [width, height]
    word = Instance(tuple(map(tuple, quad.tolist())), f"{number}", score=0.9 + 0.004 * number)
    writer.add(f"{number}.png", cv2.imencode(".png", image)[1].tobytes(), [word])


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("mosaic") / "crops"
    with Writer(path, {}) as writer:
        for number in range(NUM_CROPS):
            write_crop(writer, number, width=40 + 4 * number)
    return path


def draw(crops: Path, number: int = 0, **changes):
    return Mosaic(Reader(crops), replace(CONFIG, **changes)).sample(number, Counter())


def test_each_word_stands_where_its_crop_was_laid(crops: Path) -> None:
    words = 0
    for number in range(20):
        sample = draw(crops, number)
        assert sample.size == CONFIG.size
        assert not sample.ignore.any()
        for polygon, transcript in zip(sample.polygons, sample.transcripts, strict=True):
            left, top, right, bottom = polygon_to_box(polygon).round().astype(int)
            assert (np.abs(sample.image[top:bottom, left:right].astype(int) - 10 * int(transcript)) <= 1).all()
            words += 1
    assert words > 100


def test_words_have_all_heights_and_are_not_enlarged_beyond_measure(crops: Path) -> None:
    def heights(**changes) -> np.ndarray:
        samples = [draw(crops, number, **changes) for number in range(20)]
        return np.array([ribbon_size(polygon_to_ribbon(p)[0])[0] for sample in samples for p in sample.polygons])

    assert (heights().min(), heights().max()) == (pytest.approx(10, abs=1), pytest.approx(25, abs=1))  # 2.5 times 10
    assert 26 < heights(max_enlargement=4.0).max() <= 30
    assert heights(text_height=(12.0, 12.0)) == pytest.approx(12, abs=0.5)


def test_a_crop_larger_than_the_image_is_made_to_fit(tmp_path: Path) -> None:
    with Writer(tmp_path / "wide", {}) as writer:
        write_crop(writer, 1, width=2000)
    (polygon,) = draw(tmp_path / "wide", max_words=1).polygons
    assert np.ptp(polygon[:, 0]) == pytest.approx(150, abs=1)


def test_every_crop_is_laid_before_any_comes_again(crops: Path) -> None:
    mosaic = Mosaic(Reader(crops), replace(CONFIG, max_words=4, size=(400, 400)))
    laid = [word for number in range(NUM_CROPS // 4) for word in mosaic.sample(number, Counter()).transcripts]
    assert sorted(map(int, laid)) == list(range(NUM_CROPS))
    assert len(mosaic) == NUM_CROPS


def test_an_image_is_a_function_of_seed_and_number(crops: Path) -> None:
    mosaic = Mosaic(Reader(crops), CONFIG)
    there = [mosaic.sample(number, Counter()) for number in range(6)]
    sent = pickle.loads(pickle.dumps(mosaic))
    for number in reversed(range(6)):
        again = sent.sample(number, Counter())
        assert again.image.tobytes() == there[number].image.tobytes()
        assert again.transcripts == there[number].transcripts
        np.testing.assert_array_equal(again.polygons, there[number].polygons)
    assert len({sample.image.tobytes() for sample in there}) == 6
    assert draw(crops, seed=4).image.tobytes() != there[0].image.tobytes()


def test_half_of_the_grounds_are_photographs_where_there_are_any(crops: Path, tmp_path: Path) -> None:
    (tmp_path / "photographs").mkdir()
    stripes = np.zeros((100, 100, 3), np.uint8)
    stripes[:, ::2] = 255
    cv2.imwrite(str(tmp_path / "photographs" / "a.png"), stripes)
    backgrounds = str(tmp_path / "photographs")
    many = [draw(crops, n, backgrounds=backgrounds, max_words=1, size=(100, 100)) for n in range(40)]
    assert 10 < sum(len(np.unique(sample.image[0])) > 6 for sample in many) < 30
    with pytest.raises(FileNotFoundError, match="backgrounds: nowhere: no such folder"):
        draw(crops, backgrounds="nowhere")


def test_a_damaged_crop_is_counted_and_another_stands_in(tmp_path: Path) -> None:
    with Writer(tmp_path / "crops", {}) as writer:
        write_crop(writer, 1)
        writer.add("broken.png", b"no image", [Instance(((0, 0), (9, 0), (9, 9), (0, 9)), "x")])
    dropped: Counter[str] = Counter()
    with pytest.warns(UserWarning, match="record 1 is damaged"):
        sample = Mosaic(Reader(tmp_path / "crops"), replace(CONFIG, max_words=2)).sample(0, dropped)
    assert sample.transcripts == ["1", "1"]
    assert dropped == {"damaged record": 1}


def test_whole_images_are_no_crops(tmp_path: Path) -> None:
    quad = ((0.0, 0.0), (9.0, 0.0), (9.0, 9.0), (0.0, 9.0))
    with Writer(tmp_path / "photographs", {}) as writer:
        writer.add("a.png", b"", [Instance(quad), Instance(quad)])
    with pytest.raises(ValueError, match=r"photographs: holds 1 images, 2 instances: .* export-crops and then import"):
        Mosaic(Reader(tmp_path / "photographs"), CONFIG)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_arranged_lies_inside_and_apart(seed: int) -> None:
    """So no word is taken for its neighbour, whatever region of them the detector predicts."""
    rng = np.random.default_rng(seed)
    sizes = [(int(rng.integers(5, 60)), int(rng.integers(5, 290))) for _ in range(40)]
    corners = arrange(sizes, CONFIG.size, rng)
    covered = np.zeros(CONFIG.size, int)
    for corner, (height, width) in zip(corners, sizes, strict=True):
        if corner:
            assert 0 <= corner[0] <= CONFIG.size[1] - width
            assert 0 <= corner[1] <= CONFIG.size[0] - height
            covered[corner[1] : corner[1] + height, corner[0] : corner[0] + width] += 1
    assert covered.max() == 1
    assert None in corners  # they are too many


@pytest.mark.parametrize("sizes", [[], [(200, 300)], [(1, 1)]])
def test_arrange_nothing_and_what_fills_the_frame(sizes: list[tuple[int, int]]) -> None:
    assert None not in arrange(sizes, CONFIG.size, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": -1}, "mosaic.seed is -1, expected at least 0"),
        ({"size": (0, 300)}, r"mosaic: size \[0, 300\], .* expected numbers above 0"),
        ({"max_words": 0}, "mosaic.max_words is 0, expected at least 1"),
        ({"max_enlargement": 0.0}, "mosaic: .*max_enlargement 0.0: expected numbers above 0"),
        ({"text_height": (30.0, 10.0)}, r"mosaic: text_height is \[30.0, 10.0\], expected two rising numbers above 0"),
        ({"text_height": (0.0, 10.0)}, "mosaic: text_height is"),
    ],
)
def test_settings_that_cannot_be(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **settings)
