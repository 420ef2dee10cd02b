"""What attention is to look like: random maps of a few hills. Legend: B images, H heads, K components, G windows, N
tokens of a window."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class PriorConfig:
    """Random maps: Gaussian mixtures (SARDFQ, arXiv 2412.16553, attention priors alignment), each map another.

    The paper gives the greatest number of components; the rest is ours.

    Args:
        max_components: each map has 1 to this many hills.
        min_width: standard deviation of a hill along either of its axes, as a share of the image's side, at least; a
            narrower one falls between the tokens of a grid of 8 x 8.
        max_width: at most: a wider one is no hill but a slope.
        background: attention everywhere, as a share of the highest hill's: no softmax gives 0, and a window far from
            all hills looks everywhere rather than into the corner that is nearest to one.
    """

    max_components: int = 5
    min_width: float = 0.06
    max_width: float = 0.2
    background: float = 0.02

    def __post_init__(self) -> None:
        if self.max_components < 1 or not 0 < self.min_width <= self.max_width or self.background < 0:
            raise ValueError(
                f"{self}: expected at least 1 component, 0 < min_width <= max_width, and a background of at least 0"
            )


@dataclass(frozen=True)
class Mixtures:
    """Gaussian mixtures: heights (B, H, K), 0 where a map has fewer components; centres (B, H, K, 2) as (x, y) in
    shares of the image's sides; spread (B, H, K, 2, 2): its rows lead from an offset to standard deviations."""

    heights: Tensor
    centres: Tensor
    spread: Tensor
    background: float

    def __post_init__(self) -> None:
        shape = self.heights.shape
        if self.centres.shape != (*shape, 2) or self.spread.shape != (*shape, 2, 2):
            raise ValueError(
                f"heights {tuple(shape)}, centres {tuple(self.centres.shape)} and spread {tuple(self.spread.shape)} do "
                "not fit together"
            )

    @classmethod
    def draw(cls, num_images: int, num_heads: int, config: PriorConfig, generator: torch.Generator) -> "Mixtures":
        """At random: as many components as it comes, anywhere in the image, as wide and turned as it comes, of heights
        in [0.5, 1]."""
        shape = (num_images, num_heads, config.max_components)
        count = torch.randint(1, config.max_components + 1, (*shape[:2], 1), generator=generator)
        exists = torch.arange(config.max_components) < count
        heights = (0.5 + 0.5 * torch.rand(shape, generator=generator)) * exists
        centres = torch.rand(*shape, 2, generator=generator)
        widths = config.min_width + (config.max_width - config.min_width) * torch.rand(*shape, 2, generator=generator)
        angles = math.pi * torch.rand(shape, generator=generator)
        return cls(heights, centres, spread_of(widths, angles), config.background)

    def at(self, points: Tensor, numbers: range) -> Tensor:
        """The maps of some of the images at points (G, N, 2), (B, H, G, N), each window adding up to 1."""
        part = slice(numbers.start, numbers.stop)
        heights, centres, spread = (
            values[part].to(points.device) for values in (self.heights, self.centres, self.spread)
        )
        offsets = points - centres[:, :, :, None, None]  # (B, H, K, G, N, 2)
        scaled = torch.einsum("bhkij,bhkgnj->bhkgni", spread, offsets)
        hills = torch.exp(-0.5 * scaled.square().sum(dim=-1))
        values = (heights[..., None, None] * hills).sum(dim=2) + max(self.background, torch.finfo(hills.dtype).tiny)
        return values / values.sum(dim=-1, keepdim=True)


def spread_of(widths: Tensor, angles: Tensor) -> Tensor:
    """(..., 2, 2) of standard deviations (..., 2) along the axes of hills that are turned by angles (...)."""
    cosine, sine = angles.cos(), angles.sin()
    axes = torch.stack([torch.stack([cosine, sine], dim=-1), torch.stack([-sine, cosine], dim=-1)], dim=-2)
    return axes / widths[..., None]
