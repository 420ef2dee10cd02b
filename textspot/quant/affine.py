"""Quantisation of tensors, as pure functions: uniform affine grids and the log2 grid.

Codes are integers; a value is (code - zero_point) * scale. Everything here computes in float what an integer engine
would ("fake quantisation"), and its gradient passes straight through where the grid does not clip. Legend: R rows, each
with its own scale (channels or tokens; 1 for a whole tensor), N values of a row.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

ENGINE_BITS = 8  # engines and the ONNX exporter know 8-bit codes: fewer bits are a narrower range of these
SMALLEST_SCALE = 1e-12  # its inverse is still a float32


@dataclass(frozen=True)
class QuantizerConfig:
    """How one tensor is quantised.

    Args:
        bits: 2 to 8.
        symmetric: signed codes around zero; otherwise unsigned codes with a zero point, which is 0 after a ReLU.
        granularity: values that share a scale: the whole `tensor`; a `channel` of a weight; a `token` of an
            activation, with a scale computed from its own values at run time. A token is a row of a linear
            layer's input, or a position of a convolution's input. Scales per position are only simulated: an engine's
            kernel covers several positions.
        observer: rule that finds the range: the extremes; percentiles; the least squared error of the quantised
            values.
        percentile: upper percentile, for the observer `percentile`; the same share is cut off at the lower end.
    """

    bits: int = 8
    symmetric: bool = False
    granularity: Literal["tensor", "channel", "token"] = "tensor"
    observer: Literal["minmax", "percentile", "mse"] = "minmax"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= ENGINE_BITS:
            raise ValueError(f"bits is {self.bits}, expected 2 to {ENGINE_BITS}")
        if not 50 < self.percentile <= 100:
            raise ValueError(f"percentile is {self.percentile}, expected more than 50 and at most 100")


def code_range(bits: int, symmetric: bool) -> tuple[int, int]:
    """The smallest and the greatest code."""
    return (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if symmetric else (0, 2**bits - 1)


@torch.no_grad()
def affine_parameters(low_R: Tensor, high_R: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """Scales float32 and zero points int32 of the grids that cover the ranges, in their shape.

    Zero is always on the grid (padding and ReLU make exact zeros). A range without width has scale 1.
    """
    lowest, highest = code_range(config.bits, config.symmetric)
    low_R, high_R = low_R.float().clamp(max=0), high_R.float().clamp(min=0)
    scale_R = (torch.maximum(-low_R, high_R) if config.symmetric else high_R - low_R) / highest
    scale_R = torch.where(scale_R > 0, scale_R.clamp(min=SMALLEST_SCALE), torch.ones_like(scale_R))
    zero_point_R = torch.zeros_like(low_R) if config.symmetric else torch.round(-low_R / scale_R)
    return scale_R, zero_point_R.clamp(lowest, highest).to(torch.int32)


def fake_quantize(x: Tensor, scale: float, zero_point: int, config: QuantizerConfig) -> Tensor:
    """The values of `x` on one grid. Exports as QuantizeLinear and DequantizeLinear. The grid is of plain numbers, so
    a GPU need not be waited for."""
    codes = lowest, highest = code_range(config.bits, config.symmetric)
    if _clips_values(config):
        x = x.clamp((lowest - zero_point) * scale, (highest - zero_point) * scale)
        codes = code_range(ENGINE_BITS, config.symmetric)
    return torch.fake_quantize_per_tensor_affine(x, scale, zero_point, *codes)


def fake_quantize_channels(
    x: Tensor, scale_R: Tensor, zero_point_R: Tensor, config: QuantizerConfig, axis: int = 0
) -> Tensor:
    """The values of `x` on a grid per index along `axis`. Exports as `fake_quantize` does."""
    codes = lowest, highest = code_range(config.bits, config.symmetric)
    if _clips_values(config):
        scale, zero_point = along(scale_R, x, axis), along(zero_point_R, x, axis)
        x = x.clamp((lowest - zero_point) * scale, (highest - zero_point) * scale)
        codes = code_range(ENGINE_BITS, config.symmetric)
    return torch.fake_quantize_per_channel_affine(x, scale_R, zero_point_R, axis, *codes)


def _clips_values(config: QuantizerConfig) -> bool:
    """Whether values are clipped instead of codes, which is the same and slower: an engine's codes have 8 bits."""
    return config.bits < ENGINE_BITS and torch.compiler.is_exporting()


def fake_quantize_tokens(x: Tensor, config: QuantizerConfig, axis: int) -> Tensor:
    """`x` with a grid per token: each is a vector of values along `axis`."""
    scale, zero_point = affine_parameters(x.amin(axis, keepdim=True), x.amax(axis, keepdim=True), config)
    codes = (torch.round(x / scale) + zero_point).clamp(*code_range(config.bits, config.symmetric))
    return _straight_through(x, (codes - zero_point) * scale)


def fake_quantize_log2(x: Tensor, scale: float, bits: int) -> Tensor:
    """Values from 0 to `scale` as scale * 2^-code, code 0 to 2^bits - 1: fine steps near zero, where most attention
    probabilities are (FQ-ViT, Lin et al. 2022). Zero becomes the smallest value of the grid."""
    codes = torch.round(-torch.log2((x / scale).clamp(min=torch.finfo(x.dtype).tiny))).clamp(0, 2**bits - 1)
    return _straight_through(x, scale * torch.exp2(-codes))


def _straight_through(x: Tensor, on_grid: Tensor) -> Tensor:
    return x + (on_grid - x).detach() if x.requires_grad else on_grid


def to_codes(x: Tensor, scale_R: Tensor, zero_point_R: Tensor, config: QuantizerConfig, axis: int) -> Tensor:
    """The int16 codes of `x`, rounded as `fake_quantize_channels` does; R may be 1."""
    codes = torch.round(x * along(1 / scale_R, x, axis)) + along(zero_point_R, x, axis)
    return codes.clamp(*code_range(config.bits, config.symmetric)).to(torch.int16)


def from_codes(codes: Tensor, scale_R: Tensor, zero_point_R: Tensor, axis: int) -> Tensor:
    """The values of codes; R may be 1."""
    return (codes - along(zero_point_R, codes, axis)) * along(scale_R, codes, axis)


def along(values: Tensor, x: Tensor, axis: int) -> Tensor:
    """Values (R,), shaped so that they run along one axis of `x`."""
    return values.reshape([-1 if dimension == axis % x.ndim else 1 for dimension in range(x.ndim)])


def _declare_shapes() -> None:
    """Tell torch what its fake quantisation returns: without that it exports them for inputs of fixed size only."""

    def shapes(x: Tensor, *_grid: object) -> tuple[Tensor, Tensor]:
        return torch.empty_like(x), torch.empty_like(x, dtype=torch.bool)

    for kind in ("tensor", "channel"):
        operator = f"aten::fake_quantize_per_{kind}_affine_cachemask"
        if not torch._C._dispatch_has_kernel_for_dispatch_key(operator, "Meta"):  # a later torch may know
            torch.library.register_fake(operator, shapes)


_declare_shapes()
