"""What changes pixels alone: size and type stay, chance comes from the generator, nothing happens in place."""

from collections import Counter

import cv2
import numpy as np
import pytest

from textspot.data import photometric
from textspot.data.photometric import (
    LOSSES,
    STRONGEST_NOISE,
    add_noise,
    blur,
    change_colours,
    compress,
    degrade,
    expose,
    lower_resolution,
    tint,
)

CHANGES = [expose, tint, *LOSSES]


def draw(size: tuple[int, int] = (48, 64), seed: int = 0) -> np.ndarray:
    """A smooth picture in all colours."""
    shades = np.random.default_rng(seed).integers(60, 200, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(shades, size[::-1], interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (33, 47)])
@pytest.mark.parametrize("change", CHANGES)
def test_size_and_type_stay(change, size):
    image = draw(size)
    changed = change(image, np.random.default_rng(0))
    assert (changed.shape, changed.dtype) == (image.shape, np.uint8)


@pytest.mark.parametrize("change", CHANGES)
def test_chance_is_the_generator_and_nothing_changes_in_place(change):
    image = draw()
    before = image.copy()
    one, same, other = (change(image, np.random.default_rng(seed)).tobytes() for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert (image == before).all()


def test_every_change_has_its_probability(monkeypatch):
    counts = Counter()

    def counting(name):
        return lambda image, _: counts.update([name]) or image

    monkeypatch.setattr(photometric, "expose", counting("expose"))
    monkeypatch.setattr(photometric, "tint", counting("tint"))
    monkeypatch.setattr(photometric, "LOSSES", [counting(lose.__name__) for lose in LOSSES])
    image, rng = draw((4, 4)), np.random.default_rng(0)
    for _ in range(1000):
        coloured = change_colours(image, 0.5, rng)
        counts["grey"] += bool((coloured == coloured[..., :1]).all())
        degrade(image, 0.5, rng)
    expected = {"expose": 500, "tint": 250, "grey": 62} | {lose.__name__: 500 for lose in LOSSES}
    assert counts.keys() == expected.keys()
    for name, count in expected.items():
        assert counts[name] == pytest.approx(count, abs=50), name
    assert change_colours(image, 0.0, rng) is image
    assert degrade(image, 0.0, rng) is image


def test_exposure_is_one_table_for_all_pixels_and_keeps_their_order():
    image = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    for seed in range(20):
        values = expose(image, np.random.default_rng(seed))[..., 0].ravel().astype(int)
        assert (np.diff(values) >= 0).all()
        assert 90 < np.ptp(values) <= 255


def test_tint_keeps_grey_and_brightness():
    grey = np.full((5, 5, 3), 130, np.uint8)
    assert (tint(grey, np.random.default_rng(0)) == grey).all()
    image = draw()
    tinted = tint(image, np.random.default_rng(0))
    assert np.abs(tinted.max(axis=2).astype(int) - image.max(axis=2)).max() <= 2


def test_noise_has_the_strength_it_says_and_no_mean():
    grey = np.full((100, 100, 3), 128, np.uint8)
    noise = [add_noise(grey, np.random.default_rng(seed)).astype(float) - 128 for seed in range(60)]
    deviations = [difference.std() for difference in noise]
    assert 0.85 * STRONGEST_NOISE < max(deviations) <= 1.05 * STRONGEST_NOISE
    assert max(abs(difference.mean()) for difference in noise) < 0.6


@pytest.mark.parametrize("change", [lower_resolution, blur])
def test_details_are_lost_and_means_kept(change):
    stripes = np.zeros((60, 60, 3), np.uint8)
    stripes[:, ::2] = 200
    for seed in range(10):
        changed = change(stripes, np.random.default_rng(seed)).astype(float)
        assert changed.std() < 99
        assert changed.mean() == pytest.approx(100, abs=8)
    flat = np.full((20, 20, 3), 77, np.uint8)
    assert (change(flat, np.random.default_rng(0)) == flat).all()


def test_a_low_quality_loses_more():
    image = draw()
    losses = [np.abs(compress(image, np.random.default_rng(seed)).astype(int) - image).mean() for seed in range(30)]
    assert max(losses) > 1.5 * min(losses) > 0
