"""Which range of values a grid should cover. Legend: R rows, each with a range of its own, N values of a row."""

from collections.abc import Callable

import torch
from torch import Tensor

from textspot.quant.affine import QuantizerConfig, affine_parameters, fake_quantize_channels

VALUES_PER_CALL = 2**14  # kept of one tensor: enough for a percentile of 99.99
MOST_VALUES = 2**18  # kept in all; beyond it every second one goes
SHARES = 100  # candidate ranges of the squared-error search


def extremes(values_RN: Tensor, _: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """The smallest and the greatest value of each row."""
    return values_RN.amin(dim=1), values_RN.amax(dim=1)


def percentiles(values_RN: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """The percentile of the config and its mirror image."""
    share = config.percentile / 100
    low_R, high_R = torch.quantile(values_RN, torch.tensor([1 - share, share], device=values_RN.device), dim=1)
    return low_R, high_R


def least_squared_error(values_RN: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """Of the ranges that are 1 %, 2 %, ... 100 % of the extremes, the one whose grid has the least squared error.

    Both ends shrink by one factor (ours): after a ReLU there is only one, and a search over two costs the square.
    """
    full_low_R, full_high_R = extremes(values_RN, config)
    low_R, high_R = full_low_R, full_high_R
    least_R = torch.full_like(low_R, torch.inf)
    for number in range(SHARES, 0, -1):
        candidate_low_R, candidate_high_R = full_low_R * number / SHARES, full_high_R * number / SHARES
        grid = affine_parameters(candidate_low_R, candidate_high_R, config)
        error_R = (fake_quantize_channels(values_RN, *grid, config) - values_RN).square().mean(dim=1)
        better_R = error_R < least_R
        low_R = torch.where(better_R, candidate_low_R, low_R)
        high_R = torch.where(better_R, candidate_high_R, high_R)
        least_R = torch.minimum(error_R, least_R)
    return low_R, high_R


RANGES: dict[str, Callable[[Tensor, QuantizerConfig], tuple[Tensor, Tensor]]] = {
    "minmax": extremes,
    "percentile": percentiles,
    "mse": least_squared_error,
}


@torch.no_grad()
def fit_grid(values_RN: Tensor, config: QuantizerConfig) -> tuple[Tensor, Tensor]:
    """Scales (R,) and zero points (R,) for rows of values, by the observer of the config."""
    return affine_parameters(*RANGES[config.observer](values_RN.float(), config), config)


def sample_places(count: int, most: int, seed: int = 0) -> Tensor:
    """Indices of a random sample, the same for the same numbers: all of `count` places, or `most` of them, some perhaps
    twice (a permutation of millions would take longer than the layer).

    Evenly spaced ones would see one column of an image whose width divides their distance.
    """
    if count <= most:
        return torch.arange(count)
    return torch.randint(count, (most,), generator=torch.Generator().manual_seed(seed))


class Observer:
    """Watches the tensors that pass at one place: their extremes, and a sample of their values."""

    def __init__(self) -> None:
        self.low, self.high = torch.inf, -torch.inf
        self._sample: list[Tensor] = []

    @property
    def empty(self) -> bool:
        """Whether no value has passed yet."""
        return not self._sample

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Look at a tensor of any shape. A value that is not finite is a `ValueError`; no values are none to see."""
        values = x.detach().flatten().float()
        if not len(values):
            return
        if not values.isfinite().all():
            raise ValueError("values that are not finite (NaN or infinity)")
        self.low, self.high = min(self.low, values.min().item()), max(self.high, values.max().item())
        self._sample.append(values[sample_places(len(values), VALUES_PER_CALL).to(values.device)])
        if sum(map(len, self._sample)) > MOST_VALUES:
            self._sample = [torch.cat(self._sample)[::2]]

    def fit_log2(self) -> tuple[float, int]:
        """Scale of the log2 grid of what was seen, the greatest value, and zero point 0."""
        return max(self.high, torch.finfo().tiny), 0

    def fit(self, config: QuantizerConfig) -> tuple[float, int]:
        """Scale and zero point of what was seen; the extremes count even where the sample lacks them."""
        extremes = torch.tensor([self.low, self.high], device=self._sample[0].device)
        scale, zero_point = fit_grid(torch.cat([*self._sample, extremes])[None], config)
        return scale.item(), int(zero_point.item())
