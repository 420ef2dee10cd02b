"""An image at several sizes and turned: each word is where it is in the image, and once."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_spotter import TINY_RECIPE, build_tiny_card, noise

from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.inference.spotter import Spotter
from textspot.inference.views import ALL_TURNS, QUALITIES, Looks, look_at, size_of_image, turn_back
from textspot.model_card import ModelCard
from textspot.postprocess import PostprocessConfig
from textspot.preprocess import PreprocessConfig
from textspot.runtime.protocol import Regions
from textspot.text.lexicon import ImageLexicons, Lexicon

SIDE = 64
CONFIG = PreprocessConfig(max_side=SIDE)


class FindsWhite:
    """A runtime that finds the upright rectangle of what is white. It reads it with more confidence the wider it is."""

    name = "white"

    def spot(self, images, *_limits):
        return [self._spot(image) for image in images]

    def _spot(self, image):
        rows, columns = np.nonzero(image[..., 0] > 127 + 64)
        if not len(rows):
            return Regions(np.zeros((0, 2, 4, 2)), np.zeros(0), np.zeros((0, 4, 11), np.float32))
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        logits = np.zeros((1, 4, 11), np.float32)
        logits[:, [0, 2, 3], 0] = 9
        logits[:, 1, 1] = 4 + np.log(box[2] - box[0])
        return Regions(quad_to_ribbon(box_to_quad(box))[None], np.array([0.9]), logits)


@pytest.fixture
def spotter():
    return Spotter(
        FindsWhite(), build_tiny_card(replace(TINY_RECIPE, preprocess=CONFIG, postprocess=PostprocessConfig()))
    )


def picture(box, size=(48, 60)):
    image = np.zeros((*size, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return image


@pytest.mark.parametrize("turn", ALL_TURNS)
def test_points_of_a_turned_copy_are_found_in_the_image(turn):
    image = noise(20, 30)
    copy = np.rot90(image, turn)
    for row, column in ((0, 0), (3, 7), (19, 19)):
        middle = np.array([[column + 0.5, row + 0.5]])
        x, y = turn_back(middle, turn, copy.shape[:2])[0] - 0.5
        np.testing.assert_array_equal(image[int(y), int(x)], copy[row, column])


@pytest.mark.parametrize("quality", QUALITIES)
@pytest.mark.parametrize("size", [(16, 20), (64, 64), (90, 1)])
def test_the_input_has_the_size_of_the_quality(quality, size):
    views = look_at(noise(*size), CONFIG, Looks(quality, tiling=False))
    for view, share in zip(views, QUALITIES[quality], strict=True):
        longest = min(round(SIDE * share), round(max(size) * max(1.0, share)))
        assert max(np.array(size[::-1]) * view.scale) == pytest.approx(longest)
    assert size_of_image(views) == size


@pytest.mark.parametrize("quality", QUALITIES)
def test_a_word_is_found_once_and_where_it_is(spotter, quality):
    spotter.quality = quality
    (one,) = spotter(picture((10, 20, 40, 30)))
    np.testing.assert_allclose(one.polygon, box_to_quad([10, 20, 40, 30]), atol=1)


def test_of_all_turns_the_best_reading_counts(spotter):
    upwards, image = (10, 8, 18, 40), picture((10, 8, 18, 40))
    spotter.turns = ALL_TURNS
    prediction = spotter(image)
    assert prediction.size == image.shape[:2]
    (one,) = prediction
    start, end = one.polygon[0], one.polygon[1]  # along the upper edge, in reading direction
    assert abs(end[1] - start[1]) > 25 > 2 > abs(end[0] - start[0])
    np.testing.assert_allclose([*one.polygon.min(axis=0), *one.polygon.max(axis=0)], upwards, atol=1)
    edges = one.polygon - np.roll(one.polygon, 1, axis=0)
    assert (edges[:, 0] * np.roll(edges[:, 1], -1) - edges[:, 1] * np.roll(edges[:, 0], -1) > 0).all()  # clockwise


def test_tiles_sizes_and_turns_go_together(spotter):
    spotter.quality, spotter.turns = "best", (0, 1)
    image = picture((150, 30, 165, 40), (70, 330))
    with pytest.warns(UserWarning, match="330 x 70 pixels are read in"):
        prediction = spotter(image)
    assert prediction.size == (70, 330)


def test_the_threshold_follows_quality_and_lexicon_until_it_is_set(spotter):
    thresholds = {"best": 0.4, "default, lexicon": 0.5, "best, complete lexicon": 0.7}
    spotter.card = replace(spotter.card, threshold=0.3, thresholds=thresholds)
    whole, part = Lexicon(("A",), "own", complete=True), Lexicon(("A",), "own")
    seen = {}
    for quality in QUALITIES:
        for lexicon in (None, part, whole, ImageLexicons({"1": whole}, "strong")):
            spotter.quality, spotter.lexicon = quality, lexicon
            seen.setdefault(quality, []).append(spotter.threshold)
    assert seen == {"fast": [0.3] * 4, "default": [0.3, 0.5, 0.3, 0.3], "best": [0.4, 0.4, 0.7, 0.7]}
    spotter.threshold = 0.6
    assert spotter.threshold == 0.6


def test_a_card_keeps_its_thresholds_and_an_older_one_has_none(spotter):
    card = replace(spotter.card, thresholds={"best": 0.4})
    metadata = card.to_metadata()
    assert ModelCard.from_metadata(metadata, "a file").thresholds == {"best": 0.4}
    assert card.for_use().thresholds == {"best": 0.4}
    del metadata["thresholds"]
    assert ModelCard.from_metadata(metadata, "an older file").thresholds == {}
    with pytest.raises(ValueError, match=r"the score threshold is 1\.5"):
        replace(card, thresholds={"best": 1.5})


@pytest.mark.parametrize("wrong", [{"quality": "bst"}, {"turns": ()}, {"turns": (0, 4)}])
def test_what_cannot_be_looked_at_is_named(wrong):
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} (is|are)"):
        Looks(**wrong)
