"""Text pooling for ribbons: from the shared map, a patch of fixed height and width per region.

The idea is Sui et al. 2018 (text pooling: fixed height, cut from the shared features); the sampling of curved regions
by their two Bezier edges follows ABCNet (Liu et al. 2020), written as one small matrix product and one `grid_sample`.
Legend: B images, K slots, D channels, E the two edges, H W patch.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.geometry import bernstein


@dataclass(frozen=True)
class RoiConfig:
    """Text pooling.

    Args:
        height: rows of the patch a region is stretched to.
        width: columns of that patch.
        margin: how far above and below its edges a region is seen, as a share of its height.
    """

    height: int = 8
    width: int = 64
    margin: float = 0.1


class TextPooling(nn.Module):
    """Samples each ribbon on a regular grid: the same on CPU, GPU and in ONNX, and differentiable in the features."""

    edge_weights: Tensor
    rows: Tensor

    def __init__(self, config: RoiConfig, stride: int):
        super().__init__()
        self.height, self.width, self.stride = config.height, config.width, stride
        columns = (torch.arange(config.width) + 0.5) / config.width
        rows = (torch.arange(config.height) + 0.5) / config.height
        weights = torch.from_numpy(bernstein(columns.numpy())).float()
        self.register_buffer("edge_weights", weights, persistent=False)
        self.register_buffer("rows", (rows * (1 + 2 * config.margin) - config.margin).view(-1, 1, 1), persistent=False)

    def grid(self, ribbons_BKE42: Tensor) -> Tensor:
        """Sampling points (B, K, H, W, 2) in pixels of the image."""
        edges_BKEW2 = self.edge_weights @ ribbons_BKE42
        top, bottom = edges_BKEW2.unsqueeze(3).unbind(dim=2)
        return top + self.rows * (bottom - top)

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
