"""The one-stage detection head: a score map that peaks once per word, and the word's ribbon at every cell.

Legend: B images, K slots, h w map.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.batch import RibbonTargets
from textspot.models.convolution import conv_bn_relu
from textspot.models.detector import Detector, DetectorConfig

SCORE_PRIOR = 0.01  # Lin et al. 2017, "Focal loss", 4.1: the rare class starts rare


class DetectionMaps(NamedTuple):
    """score_logits (B, h, w); geometry (B, 16, h, w): from the cell's centre to the control points, in offset units."""

    score_logits: Tensor
    geometry: Tensor


class RibbonHead(Detector):
    """Score and geometry maps from the neck's map, and the K best ribbons from those maps.

    Args:
        config: the convolution in front of the maps.
        in_channels: channels of the neck's map.
        stride: pixels per cell.
        offset_unit: pixels per unit of the geometry map.
    """

    def __init__(self, config: DetectorConfig, in_channels: int, stride: int, offset_unit: float):
        super().__init__()
        self.stride, self.offset_unit = stride, offset_unit
        self.finer = config.tower_stride // stride  # cells of the maps along one of the tower's
        channels = in_channels if self.finer == 1 else config.tower_channels
        self.tower = conv_bn_relu(in_channels, channels, stride=self.finer)
        self.score = nn.Conv2d(channels, self.finer**2, 1)
        self.geometry = nn.Conv2d(channels, 16 * self.finer**2, 1)
        nn.init.constant_(self.score.get_parameter("bias"), math.log(SCORE_PRIOR / (1 - SCORE_PRIOR)))

    def forward(self, features: Tensor) -> DetectionMaps:
        """(B, D, h, w) to the maps, in float32."""
        features = self.tower(features)
        score, geometry = self.score(features).float(), self.geometry(features).float()
        if self.finer > 1:
            score, geometry = F.pixel_shuffle(score, self.finer), F.pixel_shuffle(geometry, self.finer)
        return DetectionMaps(score.squeeze(1), geometry)

    def peaks(self, maps: DetectionMaps, slots: Tensor) -> tuple[Tensor, Tensor]:
        """The K highest local maxima, best first: ribbons (B, K, 2, 4, 2) in pixels and scores (B, K) in [0, 1].

        K is the length of `slots`, whose values do not matter: so K stays a dynamic dimension of an exported graph. A
        slot beyond the last maximum has score 0. K may be 0; K above the number of cells is an error of the runtime.
        The geometry is the score-weighted mean over the 3x3 cells around the maximum.
        """
        score = maps.score_logits.sigmoid()
        batch, h, w = score.shape
        torch._check(slots.shape[0] <= h * w)
        is_peak = score == F.max_pool2d(score.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
        scores_BK, cell_BK = (score * is_peak).flatten(1).topk(slots.shape[0], dim=1)
        row_BK = cell_BK // w
        column_BK = cell_BK - row_BK * w  # `%` with a symbolic w does not export
        ribbon_sum, weight_sum = score.new_zeros(()), score.new_zeros(())
        for down in (-1, 0, 1):
            for right in (-1, 0, 1):
                row = (row_BK + down).clamp(min=0).clamp(max=h - 1)
                column = (column_BK + right).clamp(min=0).clamp(max=w - 1)
                cell = row * w + column
                weight_B1K = score.flatten(1).gather(1, cell).unsqueeze(1)
                offsets = maps.geometry.flatten(2).gather(2, cell.unsqueeze(1).expand(-1, 16, -1))
                centre_B2K = (torch.stack([column, row], dim=1) + 0.5) * self.stride
                ribbon_sum = ribbon_sum + weight_B1K * (offsets * self.offset_unit + centre_B2K.repeat(1, 8, 1))
                weight_sum = weight_sum + weight_B1K
        weight_sum = weight_sum.clamp(min=1e-30)  # a logit below -100 is 0 as a probability, and 0 / 0 no number
        ribbons = (ribbon_sum / weight_sum).transpose(1, 2).reshape(batch, -1, 2, 4, 2)
        return ribbons, scores_BK

    @staticmethod
    def count_peaks(maps: DetectionMaps, threshold: float | Tensor) -> Tensor:
        """The largest number () of local maxima at or above the threshold in any image of the batch."""
        score = maps.score_logits.sigmoid()
        is_peak = score == F.max_pool2d(score.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
        return (is_peak & (score >= threshold)).flatten(1).sum(dim=1).max()

    @staticmethod
    def loss_terms(maps: DetectionMaps, targets: RibbonTargets[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """The terms by name, each a sum and its denominator."""
        return {
            "det/score": score_loss(maps.score_logits, targets.score, targets.mask),
            "det/geometry": geometry_loss(maps.geometry, targets.cells, targets.offsets, targets.weights),
        }


def score_loss(logits: Tensor, target: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Quality focal loss (Li et al. 2020, "Generalized Focal Loss", eq. 4, beta = 2) over the cells of the mask (B,
    h, w).

    Denominator: the sum of the target over those cells, in effect the area of the words' hills.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    distance = (logits.sigmoid() - target).square()
    return (cross_entropy * distance * mask).sum(), (target * mask).sum()


def geometry_loss(geometry: Tensor, cells: Tensor, offsets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """L1 distance of the control points, weighted: geometry (B, 16, h, w) against the offsets (B, M, 16) at the cells
    (B, M). Denominator: the sum of the weights (B, M)."""
    found_B16M = geometry.flatten(2).gather(2, cells.unsqueeze(1).expand(-1, 16, -1))
    return ((found_B16M.transpose(1, 2) - offsets).abs().mean(dim=2) * weights).sum(), weights.sum()
