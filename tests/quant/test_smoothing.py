"""Smoothing factors against their formulas."""

import numpy as np
import pytest
import torch

from textspot.quant.smoothing import GREATEST_RATIO, SmoothingConfig, aser_factors, find_outliers, smoothquant_factors


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_smoothquant_is_its_formula(alpha):
    inputs, weights = torch.tensor([8.0, 0.5, 0.0, 3.0]), torch.tensor([0.5, 2.0, 1.0, 0.0])
    factors = smoothquant_factors(inputs, weights, alpha)
    expected = [8**alpha / 0.5 ** (1 - alpha), 0.5**alpha / 2 ** (1 - alpha), 1, 1]  # what is all zero stays
    np.testing.assert_allclose(factors, expected, rtol=1e-6)


def test_at_one_half_smoothquant_levels_inputs_and_weights():
    inputs, weights = torch.rand(20) + 0.1, torch.rand(20) + 0.1
    factors = smoothquant_factors(inputs, weights, 0.5)
    np.testing.assert_allclose(inputs / factors, weights * factors, rtol=1e-5)


def test_outliers_are_large_in_the_product_of_both():
    inputs, weights = torch.tensor([10.0, 1.0, 4.0, 5.0]), torch.tensor([0.1, 3.0, 2.0, 1.0])
    assert find_outliers(inputs, weights, 2).tolist() == [2, 3]
    assert find_outliers(inputs, weights, 0).tolist() == []


def test_outliers_come_down_to_the_smallest_of_them():
    inputs = torch.tensor([10.0, 1.0, 4.0, 5.0])
    factors = aser_factors(inputs, torch.tensor([0, 2, 3]))
    assert factors.tolist() == [2.5, 1, 1, 1.25]
    assert (inputs / factors)[[0, 2, 3]].tolist() == [4, 4, 4]
    assert aser_factors(inputs, torch.tensor([0])).tolist() == [1, 1, 1, 1]
    assert aser_factors(inputs, torch.zeros(0, dtype=torch.int64)).tolist() == [1, 1, 1, 1]


def test_a_channel_that_relu_keeps_at_zero_does_not_blow_up():
    factors = aser_factors(torch.tensor([10.0, 0.0]), torch.tensor([0, 1]))
    assert factors.tolist() == pytest.approx([GREATEST_RATIO, 1])
    assert aser_factors(torch.zeros(3), torch.tensor([0, 1])).tolist() == [1, 1, 1]


@pytest.mark.parametrize("name", ["alpha", "outlier_share"])
def test_shares_lie_between_0_and_1(name):
    with pytest.raises(ValueError, match=rf"smoothing.{name} is 1.5, expected a value in \[0, 1\]"):
        SmoothingConfig(**{name: 1.5})


def test_a_number_of_outliers_below_zero():
    with pytest.raises(ValueError, match=r"smoothing.num_outliers is -1, expected at least 0, or null"):
        SmoothingConfig(num_outliers=-1)
