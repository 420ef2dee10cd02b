"""What stands in for a quantiser while a block is reconstructed: rounding and scales that have gradients.

`attach` puts them in, `settle` writes what they learned into the network and takes them out.
"""

import torch
from torch import Tensor, nn

from textspot.quant.affine import code_range, from_codes
from textspot.quant.layers import ActivationQuantizer, QuantConv2d, QuantLinear, quantized_layers

LOWEST, HIGHEST = -0.1, 1.1  # AdaRound's zeta and gamma: a share reaches 0 and 1 before its sigmoid does


class LearnedRounding(nn.Module):
    """Weights between the two values of their grid that they lie between (AdaRound, Nagel et al. 2020, section 3.2):
    code = floor(w / scale) + share, and the share of each weight is learned. It starts where the weight is."""

    def __init__(self, twin: QuantLinear | QuantConv2d):
        super().__init__()
        self.scale_R, self.zero_point_R = twin.weight_grid()
        self.codes = code_range(twin.config.weight.bits, twin.config.weight.symmetric)
        ones = [1] * (twin.weight.ndim - 1)
        whole = twin.weight.detach() / self.scale_R.reshape(-1, *ones)
        self.below = whole.floor()
        start = ((whole - self.below - LOWEST) / (HIGHEST - LOWEST)).logit()
        self.share_logits = nn.Parameter(start)

    def shares(self) -> Tensor:
        """How far each weight is from the grid's value below it, 0 to 1."""
        return (self.share_logits.sigmoid() * (HIGHEST - LOWEST) + LOWEST).clamp(0, 1)

    def forward(self) -> Tensor:
        return self._values(self.shares())

    def rounded(self) -> Tensor:
        """The weights with every share at the end it is nearer to."""
        return self._values((self.shares() >= 0.5).to(self.below.dtype))

    def indecision(self, beta: float) -> Tensor:
        """The mean of 1 - |2 share - 1|^beta, which is 0 where all are rounded (equation 24)."""
        return (1 - (2 * self.shares() - 1).abs().pow(beta)).mean()

    def _values(self, shares: Tensor) -> Tensor:
        zero_point = self.zero_point_R.reshape(-1, *[1] * (self.below.ndim - 1))
        codes = (self.below + shares + zero_point).clamp(*self.codes)
        return from_codes(codes, self.scale_R, self.zero_point_R, axis=0)


class LearnedGrid(nn.Module):
    """An activation's grid whose scale is learned (LSQ, Esser et al. 2020), and which lets a random share of the values
    through as they are (QDrop, Wei et al. 2022)."""

    def __init__(self, quantizer: ActivationQuantizer, drop: float, generator: torch.Generator):
        super().__init__()
        ((self.first_scale, self.zero_point),) = quantizer.calibrated_grids()
        self.codes = code_range(quantizer.config.bits, quantizer.config.symmetric)
        self.drop, self.generator = drop, generator
        self.log_factor = nn.Parameter(torch.zeros(()))

    def scale(self) -> Tensor:
        """The scale now."""
        return self.first_scale * self.log_factor.exp()

    def forward(self, x: Tensor) -> Tensor:
        codes = (x / self.scale() + self.zero_point).clamp(*self.codes)
        codes = codes + (codes.round() - codes).detach()
        values = (codes - self.zero_point) * self.scale()
        if not self.drop:
            return values
        return torch.where(torch.rand(x.shape, generator=self.generator, device=x.device) < self.drop, x, values)


def attach(block: nn.Module, learn_rounding: bool, drop: float, generator: torch.Generator) -> None:
    """Let the weights of a block learn their rounding, if they are to, and its activations their scales."""
    if learn_rounding:
        for twin in quantized_layers(block).values():
            twin.learned = LearnedRounding(twin)
    for quantizer in learnable_quantizers(block):
        quantizer.learned = LearnedGrid(quantizer, drop, generator)


@torch.no_grad()
def settle(block: nn.Module) -> None:
    """Write what was learned into the block, in place, and let it round by itself again."""
    for twin in quantized_layers(block).values():
        if twin.learned is not None:
            twin.weight.copy_(twin.learned.rounded())
            twin.learned = None
    for quantizer in learnable_quantizers(block):
        if quantizer.learned is not None:
            quantizer.grids = [(quantizer.learned.scale().item(), quantizer.learned.zero_point)]
            quantizer.learned = None


def learnable_quantizers(block: nn.Module) -> list[ActivationQuantizer]:
    """Those with one uniform grid: a scale per token, or per call, and the log2 grid stay as they are."""
    quantizers = [module for module in block.modules() if isinstance(module, ActivationQuantizer)]
    return [one for one in quantizers if not one.dynamic and not one.log2 and len(one.grids) == 1]
