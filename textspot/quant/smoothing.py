"""Making inputs easier to quantise: each input channel is divided by a factor that its weights are multiplied with.

In float nothing changes: W x = (W M) (M^-1 x) with M = diag(m). Legend: C input channels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from textspot.ranges import Share, check_ranges

SMALLEST = 1e-5  # a channel or a weight that is always zero would make a factor of 0 or infinity
GREATEST_RATIO = 1e3  # between an outlier's mean and the smallest outlier's, which a ReLU may hold at zero


@dataclass(frozen=True)
class SmoothingConfig:
    """How inputs are smoothed.

    Args:
        kind: `none`; `smoothquant` balances the extremes of inputs and weights; `aser` scales outlier channels down
            to the smallest outlier, and the error correction takes care of their weights; or another of `SMOOTHINGS`.
        alpha: share of the difficulty that SmoothQuant moves into the weights.
        outlier_share: maximum share of the input channels that ASER takes as outliers; above 0 it allows at least one.
            The error of a layer's output decides how many ASER takes, possibly none.
        num_outliers: number of outliers of every layer, as the paper's fixed 32; null chooses by `outlier_share`.
    """

    kind: str = "none"
    alpha: Share = 0.5
    outlier_share: Share = 0.01
    num_outliers: int | None = None

    def __post_init__(self) -> None:
        choices = ("none", "aser", *SMOOTHINGS)
        if self.kind not in choices:
            raise ValueError(f"smoothing.kind is {self.kind!r}, expected one of {', '.join(choices)}")
        if self.num_outliers is not None and self.num_outliers < 0:
            raise ValueError(f"smoothing.num_outliers is {self.num_outliers}, expected at least 0, or null")
        check_ranges(self, "smoothing.")


def smoothquant_factors(input_max_C: Tensor, weight_max_C: Tensor, alpha: float) -> Tensor:
    """m_i = max|X_i|^alpha / max|W_i|^(1 - alpha) (Xiao et al. 2023, equation 4); 1 for a channel that is all zero."""
    factors = input_max_C.clamp(min=SMALLEST) ** alpha / weight_max_C.clamp(min=SMALLEST) ** (1 - alpha)
    return torch.where((input_max_C > 0) & (weight_max_C > 0), factors, 1.0)


# The factors m (C,) of a kind, of the largest |input| and |weight| of each input channel and the config. ASER's depend
# on a choice that is made layer by layer: `fitting.smooth`.
SMOOTHINGS: dict[str, Callable[[Tensor, Tensor, SmoothingConfig], Tensor]] = {
    "smoothquant": lambda input_max_C, weight_max_C, config: smoothquant_factors(
        input_max_C, weight_max_C, config.alpha
    ),
}


def find_outliers(input_mean_C: Tensor, weight_mean_C: Tensor, count: int) -> Tensor:
    """The `count` input channels with the largest mean |x| * mean |w| (ASER, arXiv 2411.07762; that the two are
    multiplied is our reading)."""
    return torch.topk(input_mean_C * weight_mean_C, count).indices


def aser_factors(input_mean_C: Tensor, outliers: Tensor) -> Tensor:
    """m_i = mean |x_i| / the smallest such mean among the outliers, for the outliers; 1 elsewhere (our reading of
    ASER). The smallest is at least a thousandth of the greatest."""
    factors = torch.ones_like(input_mean_C)
    if len(outliers):
        means = input_mean_C[outliers]
        floor = (means.max() / GREATEST_RATIO).clamp(min=torch.finfo(means.dtype).tiny)
        means = means.clamp(min=floor)
        factors[outliers] = means / means.min()
    return factors
