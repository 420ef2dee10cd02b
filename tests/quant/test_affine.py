"""Grids against plain numpy, in float64."""

import numpy as np
import pytest
import torch

from textspot.quant.affine import (
    QuantizerConfig,
    affine_parameters,
    code_range,
    fake_quantize,
    fake_quantize_channels,
    fake_quantize_log2,
    fake_quantize_tokens,
    from_codes,
    to_codes,
)

BITS = range(2, 9)


def quantize_slowly(x: np.ndarray, scale: float, zero_point: int, lowest: int, highest: int) -> np.ndarray:
    codes = np.array([min(max(round(value / scale) + zero_point, lowest), highest) for value in x.ravel()])
    return ((codes - zero_point) * scale).reshape(x.shape)


def grid_slowly(low: float, high: float, bits: int, symmetric: bool) -> tuple[float, int, int, int]:
    """Scale, zero point, lowest and highest code."""
    low, high = min(low, 0.0), max(high, 0.0)
    if symmetric:
        highest = 2 ** (bits - 1) - 1
        return max(-low, high) / highest, 0, -highest - 1, highest
    scale = (high - low) / (2**bits - 1)
    return scale, round(-low / scale), 0, 2**bits - 1


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("offset", [-3.0, 0.0, 5.0])
def test_a_whole_tensor_is_that_of_numpy(bits, symmetric, offset):
    x = np.random.default_rng(bits).normal(size=(3, 50)).astype(np.float32) + np.float32(offset)
    config = QuantizerConfig(bits, symmetric)
    low, high = x.min() * 0.8, x.max() * 0.8  # some values are clipped
    scale, zero_point = affine_parameters(torch.tensor([low]), torch.tensor([high]), config)
    expected = grid_slowly(float(low), float(high), bits, symmetric)
    assert scale.item() == pytest.approx(expected[0], rel=1e-6)
    assert (zero_point.item(), *code_range(bits, symmetric)) == expected[1:]
    result = fake_quantize(torch.tensor(x), scale.item(), zero_point.item(), config)
    np.testing.assert_allclose(result, quantize_slowly(x, *expected), atol=expected[0] * 1e-4)
    assert len(np.unique(result)) <= 2**bits


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_channels_are_quantised_one_by_one(bits, symmetric, axis):
    torch.manual_seed(bits)
    x = torch.randn(4, 4, 4) * torch.logspace(-2, 2, 4)
    config = QuantizerConfig(bits, symmetric, "channel")
    rows = x.movedim(axis, 0).flatten(1)
    scale, zero_point = affine_parameters(rows.amin(1), rows.amax(1), config)
    result = fake_quantize_channels(x, scale, zero_point, config, axis % 3)
    for channel in range(4):
        alone = fake_quantize(x.select(axis, channel), scale[channel].item(), zero_point[channel].item(), config)
        assert torch.equal(result.select(axis, channel), alone)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((5, 8), -1), ((2, 3, 8), -1), ((2, 8, 3, 4), -3), ((0, 8), -1)])
def test_tokens_are_those_of_a_loop(symmetric, shape, axis):
    torch.manual_seed(0)
    x = torch.randn(shape) * torch.logspace(-2, 2, 8).reshape(-1, *[1] * (-1 - axis))
    config = QuantizerConfig(4, symmetric, "token")
    result = fake_quantize_tokens(x, config, axis)
    assert result.shape == x.shape
    tokens, quantised = (values.movedim(axis, -1).reshape(-1, 8) for values in (x, result))
    for token, values in zip(tokens.numpy(), quantised.numpy(), strict=True):
        grid = grid_slowly(float(token.min()), float(token.max()), 4, symmetric)
        np.testing.assert_allclose(values, quantize_slowly(token, *grid), rtol=1e-5, atol=grid[0] * 1e-4)


@pytest.mark.parametrize("bits", BITS)
def test_log2_takes_the_nearest_power(bits):
    x = torch.rand(200, generator=torch.Generator().manual_seed(0)) ** 4
    result = fake_quantize_log2(x, 1.0, bits)
    powers = 2.0 ** -np.arange(2**bits)
    nearest = np.abs(np.log2(x.numpy())[:, None] - np.log2(powers)).argmin(axis=1)
    np.testing.assert_allclose(result, powers[nearest], rtol=1e-6)


def test_log2_of_zero_and_of_one():
    result = fake_quantize_log2(torch.tensor([0.0, 0.5, 1.0]), 0.5, 3)
    assert result.tolist() == [0.5 * 2**-7, 0.5, 0.5]


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_exported_it_gives_the_same_values(bits, symmetric, monkeypatch):
    """Where values are clipped, as the codes of engines have 8 bits."""
    x = torch.randn(6, 500, generator=torch.Generator().manual_seed(bits))
    config = QuantizerConfig(bits, symmetric)
    scale, zero_point = affine_parameters(x.amin(1) * 0.9, x.amax(1) * 0.9, config)

    def both() -> list[torch.Tensor]:
        whole = fake_quantize(x, scale[0].item(), zero_point[0].item(), config)
        return [whole, fake_quantize_channels(x, scale, zero_point, config)]

    eager = both()
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    for before, exported in zip(eager, both(), strict=True):
        torch.testing.assert_close(exported, before, atol=1e-6, rtol=0)
        assert len(exported[0].unique()) <= 2**bits


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("bits", BITS)
def test_codes_are_the_values_bit_by_bit(bits, symmetric):
    torch.manual_seed(bits)
    x = torch.randn(6, 500)
    config = QuantizerConfig(bits, symmetric, "channel")
    grid = affine_parameters(x.amin(1) * 0.9, x.amax(1) * 0.9, config)
    codes = to_codes(x, *grid, config, 0)
    values = from_codes(codes, *grid, 0)
    assert torch.equal(values, fake_quantize_channels(x, *grid, config, 0))
    assert torch.equal(to_codes(values, *grid, config, 0), codes)
    assert codes.min() >= code_range(bits, symmetric)[0]
    assert codes.max() <= code_range(bits, symmetric)[1]


def test_a_range_without_width_and_one_of_relu():
    config = QuantizerConfig(8)
    scale, zero_point = affine_parameters(torch.zeros(1), torch.zeros(1), config)
    assert (scale.item(), zero_point.item()) == (1, 0)
    assert not fake_quantize(torch.zeros(3), 1.0, 0, config).any()
    scale, zero_point = affine_parameters(torch.tensor([0.0]), torch.tensor([5.1]), config)
    assert (scale.item(), zero_point.item()) == (pytest.approx(0.02), 0)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("axis", [None, 0])
def test_the_gradient_passes_where_the_grid_does_not_clip(bits, axis):
    x = torch.tensor([-2.0, -0.4, 0.3, 0.9, 5.0], requires_grad=True)
    config = QuantizerConfig(bits, symmetric=True)
    scale, zero_point = affine_parameters(torch.tensor([-1.0]), torch.tensor([1.0]), config)
    if axis is None:
        fake_quantize(x, scale.item(), 0, config).sum().backward()
    else:
        fake_quantize_channels(x[None], scale, zero_point, config, axis).sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]


def test_the_gradient_passes_through_log2_and_tokens():
    x = torch.rand(3, 4, requires_grad=True)
    (fake_quantize_log2(x, 1.0, 4) + fake_quantize_tokens(x, QuantizerConfig(4), -1)).sum().backward()
    assert (x.grad == 2).all()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QuantizerConfig(1), "bits is 1, expected 2 to 8"),
        (lambda: QuantizerConfig(9), "bits is 9, expected 2 to 8"),
        (lambda: QuantizerConfig(percentile=50), "percentile is 50, expected more than 50"),
    ],
)
def test_settings_that_cannot_be(build, message):
    with pytest.raises(ValueError, match=message):
        build()
