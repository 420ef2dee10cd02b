"""Ranges against brute force."""

import numpy as np
import pytest
import torch

from textspot.quant.affine import QuantizerConfig, affine_parameters, fake_quantize, fake_quantize_channels
from textspot.quant.observers import MOST_VALUES, RANGES, VALUES_PER_CALL, Observer, fit_grid


def heavy_tailed(rows: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_t(3, size=(rows, 3000))).float()


def squared_error(values: torch.Tensor, low: torch.Tensor, high: torch.Tensor, config: QuantizerConfig) -> torch.Tensor:
    return (fake_quantize_channels(values, *affine_parameters(low, high, config), config) - values).square().mean(dim=1)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("positive", [True, False])
def test_least_squared_error_is_that_of_a_brute_force_search(bits, symmetric, positive):
    """Ten times as many candidate ranges gain less than one percent."""
    values = heavy_tailed(3).clamp(min=0 if positive else -torch.inf)
    config = QuantizerConfig(bits, symmetric, observer="mse")
    found = squared_error(values, *RANGES["mse"](values, config), config)
    low, high = values.amin(1), values.amax(1)
    best = torch.stack([squared_error(values, low * k / 1000, high * k / 1000, config) for k in range(5, 1001)]).amin(0)
    assert (found <= best * 1.01).all()
    if bits < 8:
        assert (found < 0.9 * squared_error(values, low, high, config)).all()


def test_percentiles_are_those_of_numpy():
    values = heavy_tailed(4)
    low, high = RANGES["percentile"](values, QuantizerConfig(percentile=99.5))
    np.testing.assert_allclose(low, np.percentile(values, 0.5, axis=1), rtol=1e-3)
    np.testing.assert_allclose(high, np.percentile(values, 99.5, axis=1), rtol=1e-3)


def test_extremes():
    low, high = RANGES["minmax"](torch.tensor([[1.0, -2.0, 3.0], [0.0, 0.0, 0.0]]), QuantizerConfig())
    assert (low.tolist(), high.tolist()) == ([-2, 0], [3, 0])


def test_an_observer_knows_the_extremes_that_its_sample_lacks():
    observer = Observer()
    x = torch.zeros(VALUES_PER_CALL * 3)
    x[1], x[4] = -3, 7
    observer.update(x[: len(x) // 2])
    observer.update(x[len(x) // 2 :])
    assert (observer.low, observer.high) == (-3, 7)
    scale, zero_point = observer.fit(QuantizerConfig())
    assert (scale, zero_point) == (pytest.approx(10 / 255), round(3 / 10 * 255))


@pytest.mark.parametrize("kind", ["percentile", "mse"])
def test_an_observer_of_many_tensors_finds_about_what_all_values_give(kind):
    config = QuantizerConfig(4, observer=kind, percentile=99)
    calls = [heavy_tailed(20, seed) for seed in range(20)]
    observer = Observer()
    for call in calls:
        observer.update(call)
    everything = torch.cat(calls).flatten()[None]
    best = fake_quantize_channels(everything, *fit_grid(everything, config), config) - everything
    found = fake_quantize(everything, *observer.fit(config), config) - everything
    assert found.square().mean().item() == pytest.approx(best.square().mean().item(), rel=0.05)


def test_an_observer_keeps_a_bounded_number_of_values():
    observer = Observer()
    for _ in range(3 * MOST_VALUES // VALUES_PER_CALL):
        observer.update(torch.rand(VALUES_PER_CALL))
    assert sum(map(len, observer._sample)) <= MOST_VALUES


def test_a_sample_sees_every_column_of_an_image():
    """Of 64 x 256 x 320 values every 320th would be one column."""
    observer = Observer()
    observer.update(torch.linspace(0, 1, 320).expand(64, 256, 320))
    scale, _ = observer.fit(QuantizerConfig(observer="percentile", percentile=90))
    assert scale == pytest.approx(0.9 / 255, rel=0.02)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_values_that_are_not_finite_are_an_error_and_none_are_nothing(bad):
    observer = Observer()
    observer.update(torch.zeros(0, 3))
    assert observer.empty
    with pytest.raises(ValueError, match=r"not finite \(NaN or infinity\)"):
        observer.update(torch.tensor([1.0, bad]))
