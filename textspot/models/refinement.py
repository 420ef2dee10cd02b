"""A second look at a region before it is read: what its patch shows moves its ribbon.

Each stage of a cascade learns from the regions that the stage before gives (Cai and Vasconcelos 2018, "Cascade
R-CNN"); here the regions are ribbons, and the second stage is the last. Legend: B images, K slots, R regions, E the
two edges.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.models.choice import NoSettings
from textspot.models.convolution import conv_bn_relu
from textspot.models.detector import Terms
from textspot.models.neck import STRIDE
from textspot.models.text_pooling import RoiConfig, TextPooling

LEAST_SIDE = 1.0  # pixels: a region of no extent has a frame all the same
POINTS = 16  # numbers of a ribbon: two edges of four control points (x, y)


class Refinement(nn.Module):
    """What becomes of regions before they are read, and all that the rest of the program has to know about its kind.

    It is built from its `Config`, the text pooling's settings and the channels of the neck's map. This one leaves
    regions as they are.
    """

    Config: ClassVar[type] = NoSettings  # a frozen dataclass of its settings
    loss_weights: ClassVar[Mapping[str, float]] = MappingProxyType({})  # of its terms, by their names in the log

    def __init__(self, config: Any, roi: RoiConfig, in_channels: int):  # noqa: ARG002  for the others to use
        super().__init__()

    def forward(self, features: Tensor, ribbons: Tensor) -> Tensor:  # noqa: ARG002
        """Features (B, D, h, w) and ribbons (B, K, 2, 4, 2) in pixels to the ribbons that are read."""
        return ribbons

    def loss_terms(self, refined: Tensor, outlines: Tensor, weight: Tensor) -> Terms:  # noqa: ARG002
        """All terms of `loss_weights`, of refined regions (R, 2, 4, 2); outlines (R, 2, 4, 2) are where the words are,
        weight (R,) is 0 where nobody knows."""
        return {}


@dataclass(frozen=True)
class PatchRefinementConfig:
    """The second look at a region before it is read.

    Args:
        ends: space beyond both ends of a region that the refinement sees, as a share of the region's height.
        edges: space above and below that it sees, as a share of the region's height.
        widths: channels while the patch is halved three times.
    """

    ends: float = 0.5
    edges: float = 0.3
    widths: tuple[int, int, int] = (64, 96, 128)

    def __post_init__(self) -> None:
        if min(self.ends, self.edges) < 0:
            raise ValueError(
                f"model.refinement.patch has ends {self.ends} and edges {self.edges}, expected shares of 0 and more"
            )


class PatchRefinement(Refinement):
    """From a patch of the shared map that shows a region and its surroundings to a ribbon that fits better.

    It starts as the identity: what it predicts is zero until it is trained.
    """

    Config = PatchRefinementConfig
    loss_weights: ClassVar = {"det/refinement": 4.0}

    def __init__(self, config: PatchRefinementConfig, roi: RoiConfig, in_channels: int):
        super().__init__(config, roi, in_channels)
        self.ends = config.ends
        self.pooling = TextPooling(RoiConfig(roi.height, roi.width, config.edges), STRIDE)
        widths = (in_channels, *config.widths)
        self.tower = nn.Sequential(*(conv_bn_relu(before, after, stride=2) for before, after in pairwise(widths)))
        cells = (roi.height // 8) * (roi.width // 8)
        self.offsets = nn.Linear(widths[-1] * cells, POINTS)
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.offsets.bias)

    def forward(self, features: Tensor, ribbons: Tensor) -> Tensor:
        """Ribbons that fit better, in float32; no gradient flows into the given ones."""
        ribbons = ribbons.detach().float()
        patches = self.pooling(features, lengthen(ribbons, self.ends))
        moves = self.offsets(self.tower(patches).flatten(1)).float().view_as(ribbons)
        return move_in_frame(ribbons, moves)

    def loss_terms(self, refined: Tensor, outlines: Tensor, weight: Tensor) -> Terms:
        """The distance of the control points."""
        return {"det/refinement": refinement_loss(refined, outlines, weight)}


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
