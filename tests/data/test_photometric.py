"""What changes pixels alone: size and type stay, chance comes from the generator, nothing happens in place."""

import cv2
import numpy as np
import pytest

from textspot.data.photometric import STRONGEST_NOISE, add_noise, change_colours, degrade


def draw(size: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """A smooth picture in all colours."""
    shades = np.random.default_rng(seed).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(shades, size[::-1], interpolation=cv2.INTER_LINEAR)


def stripes() -> np.ndarray:
    image = np.zeros((60, 60, 3), np.uint8)
    image[:, ::2] = 200
    return image


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (2, 90)])
@pytest.mark.parametrize("change", [change_colours, degrade])
def test_size_and_type_stay(change, size):
    for seed in range(10):
        changed = change(draw(size), 1.0, np.random.default_rng(seed))
        assert (changed.shape, changed.dtype) == ((*size, 3), np.uint8)


@pytest.mark.parametrize("change", [change_colours, degrade])
def test_chance_is_the_generator_and_nothing_changes_in_place(change):
    image = draw()
    before = image.copy()
    one, same, other = (change(image, 1.0, np.random.default_rng(seed)).tobytes() for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert (image == before).all()


@pytest.mark.parametrize("change", [change_colours, degrade])
def test_a_probability_of_nothing_changes_nothing(change):
    image = draw()
    assert change(image, 0.0, np.random.default_rng(0)) is image


@pytest.mark.parametrize(
    ("change", "untouched"),
    [(change_colours, 0.6 * 0.8 * 0.95), (degrade, 0.6**4)],  # of exposure, hue, grey; of the four losses
)
def test_changes_come_with_their_probability(change, untouched):
    image, rng = draw((8, 8)), np.random.default_rng(0)
    same = np.mean([(change(image, 0.4, rng) == image).all() for _ in range(400)])
    assert same == pytest.approx(untouched, abs=0.1)


def test_seldom_grey():
    rng = np.random.default_rng(0)
    grey = [np.ptp(change_colours(draw((8, 8)), 0.8, rng), axis=2).max() == 0 for _ in range(400)]
    assert np.mean(grey) == pytest.approx(0.1, abs=0.04)


def test_details_are_lost_and_means_kept():
    image = stripes()
    for seed in range(10):
        changed = degrade(image, 1.0, np.random.default_rng(seed)).astype(float)
        assert changed.std() < 0.9 * image.std()
        assert changed.mean() == pytest.approx(image.mean(), abs=8)


def test_noise_has_the_strength_it_says_and_no_mean():
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = [add_noise(grey, np.random.default_rng(seed)).astype(float) - 128 for seed in range(60)]
    deviations = [difference.std() for difference in noise]
    assert 0.85 * STRONGEST_NOISE < max(deviations) <= 1.05 * STRONGEST_NOISE
    assert max(abs(difference.mean()) for difference in noise) < 0.6
