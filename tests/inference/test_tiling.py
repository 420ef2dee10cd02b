"""Every pixel is seen, every word once."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_spotter import TINY_RECIPE, build_tiny_card, noise

from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.inference.spotter import Spotter
from textspot.inference.tiling import CLEARANCE, LEAST_SCALE, OVERLAP, Tile, cut_tiles, merge_tiles
from textspot.preprocess import PreprocessConfig
from textspot.runtime.protocol import Regions
from textspot.structures import TextInstance

SIDE = 200


def word(left: float, top: float, width: float, height: float, score: float = 0.9, text: str = "w") -> TextInstance:
    return TextInstance(box_to_quad([left, top, left + width, top + height]), text, score)


@pytest.mark.parametrize("size", [(1, 1), (200, 200), (400, 30), (400, 400)])
def test_an_image_that_is_hardly_shrunk_stays_whole(size):
    assert cut_tiles(size, SIDE) == [Tile(0, 0, size[1], size[0])]


@given(st.integers(1, 3000), st.integers(1, 3000))
def test_tiles_cover_the_image_and_overlap(height, width):
    *tiles, whole = cut_tiles((height, width), SIDE)
    assert whole == (0, 0, width, height)
    assert bool(tiles) == (max(height, width) * LEAST_SCALE > SIDE)
    for axis, length in ((0, width), (1, height)):
        spans = sorted({(tile[axis], tile[axis + 2]) for tile in tiles} or {(0, length)})
        assert (spans[0][0], spans[-1][1]) == (0, length)
        for (start, end), (next_start, _) in pairwise(spans):
            assert start < next_start <= end - OVERLAP * SIDE + 1
        assert all(end - start == min(length, SIDE) for start, end in spans) or not tiles


@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(1, OVERLAP * SIDE), st.floats(1, OVERLAP * SIDE), st.integers(401, 1500)
)
def test_a_word_no_longer_than_the_overlap_is_read_once(x, y, width, height, side):
    """What each tile sees of the word is its part inside; every tile and the whole image report it."""
    scale = min(
        1, OVERLAP * SIDE / (width + 2 * CLEARANCE * height), OVERLAP * SIDE / (height + 2 * CLEARANCE * height)
    )
    width, height = scale * width, scale * height
    left, top = x * (side - width), y * (side - height)
    found = []
    for tile in cut_tiles((side, side), SIDE):
        seen = np.clip([left, top, left + width, top + height], tile[:2] * 2, tile[2:] * 2)
        is_seen = seen[2] - seen[0] > 0.01 and seen[3] - seen[1] > 0.01
        found.append((tile, [TextInstance(box_to_quad(seen), "w", 0.9)] if is_seen else []))
    merged = merge_tiles(found, max_overlap=0.3)
    assert len(merged) >= 1
    areas = [np.prod(np.ptp(one.polygon, axis=0)) for one in merged]
    assert sum(areas) == pytest.approx(width * height, rel=0.01, abs=0.1)


def test_a_word_longer_than_the_overlap_is_taken_from_the_whole_image():
    tiles = cut_tiles((200, 1000), SIDE)
    long_word = word(100, 50, 700, 40, text="headline")
    found = [(tile, []) for tile in tiles[:-1]] + [(tiles[-1], [long_word, word(20, 150, 30, 10, text="small")])]
    assert [one.text for one in merge_tiles(found, 0.3)] == ["headline"]


def test_a_part_of_a_word_at_a_cut_goes_and_the_border_of_the_image_is_no_cut():
    image, left, right = Tile(0, 0, 350, 100), Tile(0, 0, 200, 100), Tile(150, 0, 350, 100)
    cut, at_border, whole = word(170, 40, 30, 10), word(0, 0, 30, 10), word(170, 40, 60, 10, 0.8)
    merged = merge_tiles([(left, [cut, at_border]), (image, []), (right, [whole])], 0.3)
    assert merged == [at_border, whole]


class Painted:
    """A runtime that knows the words of an image: it finds those whose middle it sees, cut at the view's border. Its
    views bear their place in their own pixels."""

    name = "painted"

    def __init__(self, words):
        self.words = words

    def spot(self, images, threshold, max_regions):
        return [self._spot(image, threshold, max_regions) for image in images]

    def _spot(self, image, threshold, max_regions):
        left, top = int(image[0, 0, 0]) * 10, int(image[0, 0, 1]) * 10
        words = self.words if len(image) >= SIDE else []  # the shrunk image is lower
        boxes = [np.array(box) - [left, top, left, top] for box in words]
        boxes = [np.clip(box, 0, SIDE) for box in boxes if (box[2:] > 2).all() and (box[:2] < SIDE - 2).all()]
        ribbons = np.array([quad_to_ribbon(box_to_quad(box)) for box in boxes]).reshape(-1, 2, 4, 2)
        logits = np.zeros((len(boxes), 4, 11), np.float32)
        logits[:, 1, 1] = 9
        return Regions(ribbons, np.full(len(boxes), max(threshold, 0.9)), logits[:max_regions])


def test_a_spotter_puts_the_tiles_together():
    recipe = dataclasses.replace(TINY_RECIPE, preprocess=PreprocessConfig(max_side=SIDE))
    spotter = Spotter(Painted([(10, 10, 40, 22), (150, 60, 196, 70), (300, 180, 340, 195)]), build_tiny_card(recipe))
    image = np.zeros((200, 450, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(450) // 10, np.arange(200)[:, None] // 10
    with pytest.warns(UserWarning, match="image 1: 450 x 200 pixels are read in 3 tiles"):
        (prediction,) = spotter.predict([image])
    assert prediction.size == (200, 450)
    assert [one.text for one in prediction] == ["A", "A", "A"]
    boxes = sorted([*one.polygon.min(axis=0), *one.polygon.max(axis=0)] for one in prediction)
    np.testing.assert_allclose(boxes, spotter.runtime.words, atol=9)  # a view's corner is known to ten pixels


def test_an_ordinary_image_is_no_warning(recwarn):
    spotter = Spotter(Painted([]), build_tiny_card())
    assert len(spotter(noise(64, 96))) == 0
    assert not recwarn.list
