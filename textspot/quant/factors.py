"""Low-rank factors in integers: y = Q(W_q x + b) + Q(L_A Q(L_B x)), each Q on a calibrated grid of its own.

An engine computes a convolution in integers only between quantised tensors. With float factors both convolutions of the
correction and the layer's own, whose output they are added to, would be float.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from textspot.quant.affine import ENGINE_BITS, QuantizerConfig, fake_quantize_channels, from_codes, to_codes
from textspot.quant.fitting import Twin
from textspot.quant.layers import ActivationQuantizer
from textspot.quant.observers import fit_grid

FACTORS = ("factor_in", "factor_out")


class IntegerCorrection(nn.Module):
    """The grids of a layer's correction: of L_B's rows, `factor_in_scale` (G r,), of L_A's rows, `factor_out_scale`
    (O,), of what passes between the two, and of both sides of the sum. Legend: G groups, r rank, O output channels."""

    def __init__(self, twin: Twin):
        super().__init__()
        config, activation = twin.config, twin.config.activation
        assert config.correction.bits is not None
        assert activation is not None  # as `LayerConfig` says
        self.config = QuantizerConfig(config.correction.bits, True, "channel", config.weight.observer)
        for part in FACTORS:
            self.register_buffer(f"{part}_scale", None)
        grid = replace(activation, bits=ENGINE_BITS, granularity="tensor")
        self.between = ActivationQuantizer(grid, f"{twin.name} (between the factors)")
        self.main = ActivationQuantizer(grid, f"{twin.name} (before its correction)")
        self.correction = ActivationQuantizer(grid, f"{twin.name} (correction)")

    def forward(self, twin: Twin, x: Tensor, y: Tensor) -> Tensor:
        """The sum of a layer's output y before its correction and the correction of its prepared input x."""
        factor_in, factor_out = (self.on_grid(twin, part) for part in FACTORS)
        between = self.between(twin.narrow(x, factor_in))
        return self.main(y) + self.correction(twin.widen(between, factor_out))

    def fit(self, twin: Twin) -> None:
        """Choose the grids of the factors."""
        for part in FACTORS:
            setattr(self, f"{part}_scale", fit_grid(getattr(twin, part).detach().flatten(1), self.config)[0])

    def on_grid(self, twin: Twin, part: str) -> Tensor:
        """A factor with its values on their grid."""
        return fake_quantize_channels(getattr(twin, part), *self.grid(part), self.config)

    def codes(self, twin: Twin, part: str) -> Tensor:
        """The codes of a factor, int8, in its shape."""
        return to_codes(getattr(twin, part), *self.grid(part), self.config, axis=0).to(torch.int8)

    def set_codes(self, twin: Twin, part: str, codes: Tensor) -> None:
        """Give a twin the factor of these codes, for good."""
        setattr(twin, part, nn.Parameter(from_codes(codes, *self.grid(part), axis=0), requires_grad=False))

    def grid(self, part: str) -> tuple[Tensor, Tensor]:
        """Scales and zero points of a factor's rows."""
        scale = getattr(self, f"{part}_scale")
        return scale, torch.zeros_like(scale, dtype=torch.int32)


def has_integer_factors(twin: Twin) -> bool:
    """Whether a twin whose factors are known is to have them in integers."""
    return twin.config.correction.bits is not None and twin.factor_in is not None
