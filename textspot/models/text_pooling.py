"""Text pooling: from the shared map, a patch of fixed height per region.

The idea is Sui et al. 2018 (text pooling: fixed height, width follows the box, cut from the shared features); how
cells are pooled, and how high, is not public: bilinear sampling to 8 rows is ours. The sampling of curved regions by
their two Bezier edges follows ABCNet (Liu et al. 2020), written as one small matrix product and one `grid_sample`.
Legend: B images, K slots, R regions, D channels, E the two edges, H W patch, T time, C classes.
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.geometry import bernstein

LEAST_HEIGHT = 1e-3  # pixels: a region without height has columns enough
OUTSIDE = -1e6  # pixels: where nothing but zeros is sampled
PADDING_LOGIT = 30.0  # of the blank, where there is nothing to read: all other classes together have 1e-10


@dataclass(frozen=True)
class RoiConfig:
    """Regions that are stretched to fill all columns of their patch.

    Args:
        height: rows of the patch that a region is sampled to.
        width: columns of that patch.
        margin: space above and below a region that is sampled too, as a share of its height.
        taps: strides of finer maps that are sampled too, with proportionally more rows and columns: 2 is the
            backbone's first map, 1 the image itself. Small text needs them.
    """

    height: int = 8
    width: int = 64
    margin: float = 0.1
    taps: tuple[Literal[1, 2], ...] = (2, 1)

    def __post_init__(self) -> None:
        if len(set(self.taps)) < len(self.taps):
            raise ValueError(f"model.roi.taps is {self.taps}, expected every stride once")

    def count_columns(self, ribbons: Tensor) -> Tensor:
        """How many of the patch's columns each region (..., 2, 4, 2) fills: (...)."""
        return torch.full(ribbons.shape[:-3], self.width, device=ribbons.device)


@dataclass(frozen=True)
class ProportionalRoiConfig(RoiConfig):
    """Regions that fill as many columns as their shape asks for, as in Sui et al. 2018; what is left is padding.

    Args:
        height: rows of the patch a region is stretched to.
        width: columns of that patch; a line that would need more is compressed to them.
        margin: space above and below a region that is sampled too, as a share of its height.
        taps: strides of finer maps that are sampled too, as with stretched regions.
        columns_per_height: number of columns for a region whose width equals its height.
        min_width: fewest columns of a region.
    """

    columns_per_height: float = 16.0
    min_width: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.columns_per_height > 0:
            raise ValueError(
                f"model.roi.proportional.columns_per_height is {self.columns_per_height}, expected a number above 0"
            )
        if not 1 <= self.min_width <= self.width:
            raise ValueError(
                f"model.roi.proportional.min_width is {self.min_width}, expected 1 to width ({self.width})"
            )

    def count_columns(self, ribbons: Tensor) -> Tensor:
        """How many of the patch's columns each region (..., 2, 4, 2) fills: (...)."""
        with torch.autocast(ribbons.device.type, enabled=False):  # in bfloat16 the columns would be others
            edges = torch.from_numpy(bernstein(np.linspace(0, 1, 9))).to(ribbons) @ ribbons
        height = (edges[..., 1, :, :] - edges[..., 0, :, :]).norm(dim=-1).mean(dim=-1)
        width = edges.diff(dim=-2).norm(dim=-1).sum(dim=-1).mean(dim=-1)
        columns = self.columns_per_height * width / height.clamp(min=LEAST_HEIGHT)
        return columns.round().clamp(self.min_width, self.width).long()


class TextPooling(nn.Module):
    """Samples each ribbon on a regular grid: the same on CPU, GPU and in ONNX, and differentiable in the features.

    Args:
        config: the patch.
        stride: pixels per cell of the map at which `scale` is 1.
        scale: how many times as fine the map is, and the patch.
    """

    Config: ClassVar[type[RoiConfig]] = RoiConfig
    edge_weights: Tensor
    rows: Tensor

    def __init__(self, config: RoiConfig, stride: int, scale: int = 1):
        super().__init__()
        self.height, self.width, self.stride = config.height * scale, config.width * scale, stride // scale
        columns = (torch.arange(self.width) + 0.5) / self.width
        rows = (torch.arange(self.height) + 0.5) / self.height
        weights = torch.from_numpy(bernstein(columns.numpy())).float()
        self.register_buffer("edge_weights", weights, persistent=False)
        self.register_buffer("rows", (rows * (1 + 2 * config.margin) - config.margin).view(-1, 1, 1), persistent=False)

    def grid(self, ribbons_BKE42: Tensor) -> Tensor:
        """Sampling points (B, K, H, W, 2) in pixels of the image."""
        edges_BKEW2 = self.edge_weights @ ribbons_BKE42
        top, bottom = edges_BKEW2.unsqueeze(3).unbind(dim=2)
        return top + self.rows * (bottom - top)

    def blank_padding(self, logits: Tensor, ribbons: Tensor) -> Tensor:  # noqa: ARG002  the whole patch is region
        """Logits (R, T, C) of regions (R, 2, 4, 2) with a certain blank wherever the patch holds padding."""
        return logits

    def forward(self, features: Tensor, ribbons: Tensor) -> Tensor:
        """Features (B, D, h, w) and ribbons (B, K, 2, 4, 2) in pixels to patches (B * K, D, H, W); zeros outside the
        image.

        All grids of an image are stacked along the height: indexing the map per region would copy it K times.
        """
        with torch.autocast(features.device.type, enabled=False):  # coordinates of a large image need float32
            h, w = features.shape[-2:]
            x, y = self.grid(ribbons.float()).unbind(dim=-1)
            # symbolic arithmetic with h and w: a tensor made of them would be a constant of the exported graph
            grid = torch.stack([x * 2 / (w * self.stride) - 1, y * 2 / (h * self.stride) - 1], dim=-1)
            stacked = grid.reshape(grid.shape[0], -1, self.width, 2)
            patches = F.grid_sample(
                features.float(), stacked, mode="bilinear", padding_mode="zeros", align_corners=False
            )
            patches = patches.reshape(patches.shape[0], patches.shape[1], -1, self.height, self.width)
            return patches.transpose(1, 2).flatten(0, 1)


class ProportionalTextPooling(TextPooling):
    """Text pooling whose patches end in columns of zeros, so that letters keep their shape.

    What is read of the padding is a certain blank: to CTC, and to whoever decodes, the region then ends where its
    columns do, and the patch's width stays that of the config, whatever else lies in the batch. These blanks are part
    of `text_score`, which they raise.
    """

    Config = ProportionalRoiConfig

    def __init__(self, config: ProportionalRoiConfig, stride: int, scale: int = 1):
        super().__init__(config, stride, scale)
        self.config, self.scale = config, scale

    def count_columns(self, ribbons: Tensor) -> Tensor:
        """How many of the patch's columns each region (..., 2, 4, 2) fills: (...)."""
        return self.config.count_columns(ribbons) * self.scale

    def grid(self, ribbons_BKE42: Tensor) -> Tensor:
        """Sampling points (B, K, H, W, 2) in pixels of the image; far outside it in the columns of padding."""
        columns_BK1 = self.count_columns(ribbons_BKE42).unsqueeze(-1)
        number = torch.arange(self.width, device=ribbons_BKE42.device)
        u = (number + 0.5) / columns_BK1
        weights_BKW4 = torch.stack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3], dim=-1)
        top, bottom = (weights_BKW4.unsqueeze(2) @ ribbons_BKE42).unsqueeze(3).unbind(dim=2)
        grid = top + self.rows * (bottom - top)
        is_padding = (number >= columns_BK1)[:, :, None, :, None]
        return grid.masked_fill(is_padding, OUTSIDE)

    def blank_padding(self, logits: Tensor, ribbons: Tensor) -> Tensor:
        """Logits (R, T, C) of regions (R, 2, 4, 2) with a certain blank wherever the patch holds padding."""
        first_column = torch.arange(0, self.width, self.width // logits.shape[1], device=logits.device)
        with torch.autocast(logits.device.type, enabled=False):  # as many columns as were pooled
            is_padding = first_column >= self.count_columns(ribbons.float()).unsqueeze(-1)
        blank = F.one_hot(torch.zeros((), dtype=torch.int64, device=logits.device), logits.shape[2]) * PADDING_LOGIT
        return torch.where(is_padding.unsqueeze(2), blank, logits)
