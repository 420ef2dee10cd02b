"""A second look at a region before it is read: what its patch shows moves its ribbon.

Each stage of a cascade learns from the regions that the stage before gives (Cai and Vasconcelos 2018, "Cascade
R-CNN"); here the regions are ribbons, and the second stage is the last. Legend: B images, K slots, R regions, E the
two edges.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.models.convolution import conv_bn_relu
from textspot.models.text_pooling import RoiConfig, TextPooling

LEAST_SIDE = 1.0  # pixels: a region of no extent has a frame all the same
POINTS = 16  # numbers of a ribbon: two edges of four control points (x, y)


@dataclass(frozen=True)
class RefinementConfig:
    """The second look at a region before it is read.

    Args:
        enabled: regions are moved before they are read.
        ends: how far beyond both ends of a region the look goes, as a share of its height.
        edges: how far above and below, as a share of its height.
        widths: channels while the patch is halved three times.
    """

    enabled: bool = False
    ends: float = 0.5
    edges: float = 0.3
    widths: tuple[int, int, int] = (64, 96, 128)

    def __post_init__(self) -> None:
        if min(self.ends, self.edges) < 0:
            raise ValueError(
                f"model.refinement has ends {self.ends} and edges {self.edges}, expected shares of 0 and more"
            )


def ribbon_frames(ribbons: Tensor) -> tuple[Tensor, Tensor]:
    """The frame of each ribbon (..., 2, 4, 2): its height (...) in pixels, and its axes (..., 2, 2), the unit vectors
    along the line and across it."""
    start, end = ribbons[..., 0, :].mean(dim=-2), ribbons[..., 3, :].mean(dim=-2)
    height = (ribbons[..., 1, :, :] - ribbons[..., 0, :, :]).norm(dim=-1).mean(dim=-1).clamp(min=LEAST_SIDE)
    along = F.normalize(end - start, dim=-1, eps=1e-6)
    across = torch.stack([-along[..., 1], along[..., 0]], dim=-1)
    return height, torch.stack([along, across], dim=-2)


def lengthen(ribbons: Tensor, share: float) -> Tensor:
    """Ribbons (..., 2, 4, 2) whose ends lie farther out by a share of their heights; straight ones stay straight."""
    height, _ = ribbon_frames(ribbons)
    chord = F.normalize(ribbons[..., 3, :] - ribbons[..., 0, :], dim=-1, eps=1e-6)
    along = torch.linspace(-1, 1, 4, device=ribbons.device)[:, None]
    return ribbons + share * height[..., None, None, None] * along * chord.unsqueeze(-2)


class RibbonRefinement(nn.Module):
    """From a patch of the shared map that shows a region and its surroundings to a ribbon that fits better.

    It starts as the identity: what it predicts is zero until it is trained.

    Args:
        config: what is seen, and the convolutions.
        roi: text pooling of the recogniser, whose size of patch is taken over.
        in_channels: channels of the shared map.
        stride: pixels per cell of that map.
    """

    def __init__(self, config: RefinementConfig, roi: RoiConfig, in_channels: int, stride: int):
        super().__init__()
        self.ends = config.ends
        self.pooling = TextPooling(replace(roi, margin=config.edges, kind="stretched"), stride)
        widths = (in_channels, *config.widths)
        self.tower = nn.Sequential(*(conv_bn_relu(before, after, stride=2) for before, after in pairwise(widths)))
        cells = (roi.height // 8) * (roi.width // 8)
        self.offsets = nn.Linear(widths[-1] * cells, POINTS)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    def forward(self, features: Tensor, ribbons: Tensor) -> Tensor:
        """Features (B, D, h, w) and ribbons (B, K, 2, 4, 2) in pixels to better ribbons in float32; no gradient flows
        into the given ones."""
        ribbons = ribbons.detach().float()
        patches = self.pooling(features, lengthen(ribbons, self.ends))
        moves = self.offsets(self.tower(patches).flatten(1)).float().view_as(ribbons)
        return move_in_frame(ribbons, moves)


def move_in_frame(ribbons: Tensor, moves: Tensor) -> Tensor:
    """Ribbons (..., 2, 4, 2) whose control points are moved by `moves` (..., 2, 4, 2): along the line and across it, in
    heights of the ribbon."""
    height, axes = ribbon_frames(ribbons)
    with torch.autocast(ribbons.device.type, enabled=False):
        return ribbons + height[..., None, None, None] * (moves @ axes.unsqueeze(-3))


def refinement_loss(refined: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Smooth L1 distance of refined ribbons (R, 2, 4, 2) from the true ones, in heights of the latter, averaged over
    control points; weight (R,) is 0 where the truth is not known. Denominator: the sum of the weights."""
    height, _ = ribbon_frames(truth)
    distance = (refined - truth) / height[:, None, None, None]
    error = F.smooth_l1_loss(distance, torch.zeros_like(distance), beta=0.05, reduction="none").mean(dim=(1, 2, 3))
    return (error * weight).sum(), weight.sum()
