"""Low-rank factors in integers: what they compute, how far from float ones, and what is kept of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_quantized_layers import CHANNEL_4, CONVOLUTIONS, quantize_layer
from torch import nn

from textspot.quant.affine import QuantizerConfig
from textspot.quant.calibration import weight_codes
from textspot.quant.correction import CorrectionConfig
from textspot.quant.layers import LayerConfig, QuantConv2d, QuantLinear
from textspot.quant.matrix_form import to_matrix, unfold

CORRECTION = CorrectionConfig("whitened", 2, budget=9, bits=8)
CONFIG = LayerConfig(CHANNEL_4, QuantizerConfig(), correction=CORRECTION)
LAYERS = {"linear": (nn.Linear, (6, 10)), **dict.fromkeys(CONVOLUTIONS, (nn.Conv2d, (8, 16)))}


def build_corrected(name: str, config: LayerConfig) -> tuple[QuantLinear | QuantConv2d, torch.Tensor]:
    torch.manual_seed(0)
    kind, size = LAYERS[name]
    layer = kind(*size, **CONVOLUTIONS.get(name, {}))
    x = torch.randn(20, 6) if name == "linear" else torch.randn(2, 8, 7, 9)
    return quantize_layer(layer, config, x), x


def to_columns(twin: QuantLinear | QuantConv2d, y: torch.Tensor) -> np.ndarray:
    """An output of a layer as (G, O, N), as `unfold` has the input."""
    if isinstance(twin, QuantLinear):
        return y.T[None].double().numpy()
    return y.movedim(0, 1).flatten(1).unflatten(0, (twin.groups, -1)).double().numpy()


def requantize(y: np.ndarray, grid: tuple[float, int]) -> np.ndarray:
    """Values on a grid of 8 bits without sign, rounded in float64."""
    scale, zero_point = grid
    return (np.clip(np.rint(y / scale) + zero_point, 0, 255) - zero_point) * scale


@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_the_layer_computes_what_sums_of_integers_give(name):
    """Up to single values that fall on the edge between two codes."""
    twin, x = build_corrected(name, CONFIG)
    integer = twin.integer_correction
    ((scale, _),) = twin.input_quantizer.grids
    codes = torch.round(twin.prepare_input(x) / scale).double()  # the zero point taken off
    columns = unfold(twin, codes).numpy().astype(np.int64)
    shape = to_matrix(twin).shape

    def rows(values: torch.Tensor) -> np.ndarray:
        return values.double().numpy().reshape(shape[0], -1, 1)

    def matrix(codes: torch.Tensor, *size: int) -> np.ndarray:
        return codes.numpy().astype(np.int64).reshape(shape[0], *size)

    main = rows(twin.weight_scale) * scale * (matrix(weight_codes(twin), *shape[1:]) @ columns)
    main = requantize(main if twin.bias is None else main + rows(twin.bias), integer.main.grids[0])
    reduced = matrix(integer.codes(twin, "factor_in"), -1, shape[2]) @ columns
    between = requantize(rows(integer.factor_in_scale) * scale * reduced, integer.between.grids[0])
    between_codes = np.rint(between / integer.between.grids[0][0]).astype(np.int64)
    widened = matrix(integer.codes(twin, "factor_out"), shape[1], -1) @ between_codes
    widened = rows(integer.factor_out_scale) * integer.between.grids[0][0] * widened
    expected = main + requantize(widened, integer.correction.grids[0])
    given = to_columns(twin, twin(x))
    assert np.isclose(given, expected, atol=1e-5).mean() > 0.995
    np.testing.assert_allclose(given, expected, atol=1.01 * (integer.main.grids[0][0] + integer.correction.grids[0][0]))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", LAYERS)
@torch.no_grad()
def test_the_distance_to_float_factors_is_bounded_by_the_scales(name, bits):
    """Half a step wherever something is rounded, as much at the ends of a calibrated range, and what becomes of it."""
    twin, x = build_corrected(name, replace(CONFIG, correction=replace(CORRECTION, bits=bits)))
    integer, groups = twin.integer_correction, to_matrix(twin).shape[0]
    exact = {part: getattr(twin, part).double() for part in ("factor_in", "factor_out")}
    half = {part: getattr(integer, f"{part}_scale").double() / 2 for part in exact}
    step = {part: getattr(integer, part).grids[0][0] for part in ("between", "main", "correction")}
    columns = unfold(twin, twin.prepare_input(x)).double()
    narrow, widen = exact["factor_in"].reshape(groups, -1, columns.shape[1]), exact["factor_out"].reshape(groups, -1, 2)
    rounded = integer.on_grid(twin, "factor_out").double().reshape(widen.shape)
    off_between = step["between"] + half["factor_in"].reshape(groups, -1, 1) * columns.abs().sum(dim=1, keepdim=True)
    off = half["factor_out"].reshape(groups, -1, 1) * (narrow @ columns).abs().sum(dim=1, keepdim=True)
    bound = step["main"] + step["correction"] + off + rounded.abs() @ off_between
    given = to_columns(twin, twin(x))
    twin.integer_correction = None
    distance = np.abs(given - to_columns(twin, twin(x)))
    assert (distance <= bound.numpy() * 1.001).all()
    assert distance.max() > step["correction"] / 2  # they are rounded at all


def test_the_bits_of_the_factors():
    for bits in (3, 8):
        twin, _ = build_corrected("plain", replace(CONFIG, correction=replace(CORRECTION, bits=bits)))
        codes = torch.cat([twin.integer_correction.codes(twin, part).flatten() for part in ("factor_in", "factor_out")])
        assert codes.abs().max() == 2 ** (bits - 1) - 1
    with pytest.raises(ValueError, match=r"correction.bits is 9, expected 2 to 8, or null"):
        CorrectionConfig("whitened", bits=9)


def test_a_layer_whose_budget_pays_for_no_correction_has_none():
    twin, x = build_corrected("plain", replace(CONFIG, correction=replace(CORRECTION, budget=0.01)))
    assert twin.factor_in is None
    assert twin.integer_correction is None
    assert torch.equal(twin(x), build_corrected("plain", LayerConfig(CHANNEL_4, QuantizerConfig()))[0](x))


def test_integer_factors_want_integer_inputs():
    with pytest.raises(ValueError, match=r"correction.bits is set and activation is null"):
        replace(CONFIG, activation=None)
