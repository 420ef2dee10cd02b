"""The one-stage detection head: a score map that peaks once per word, and the word's ribbon at every cell.

Legend: B images, N instances of an image, K regions, M cells, h w map, u v ribbon coordinates.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Generic, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.batch import Array, Labeler
from textspot.geometry import polygon_to_ribbon, ribbon_points, ribbon_sizes
from textspot.models.convolution import conv_bn_relu
from textspot.models.detector import Detector, Terms
from textspot.models.neck import STRIDE

OFFSET_UNIT = 16.0  # pixels: brings the offsets of ordinary words to the order of 1
HILL_WIDTH = 0.2  # of the ribbon's extent: the hill is 0.04 in the middle of a side, so neighbours stay apart
GEOMETRY_CORE = 0.3  # cells on the hill above this value learn the geometry
SCORE_PRIOR = 0.01  # Lin et al. 2017, "Focal loss", 4.1: the rare class starts rare


@dataclass(frozen=True)
class RibbonConfig:
    """The one-stage detection head.

    Args:
        tower_stride: stride of the convolution before the output maps, 4 or 8. The output maps always have stride 4.
            With 8, each cell predicts four cells of them, for less than half the multiplications.
        tower_channels: channels of that convolution at stride 8; at stride 4 it has as many as the neck.
    """

    tower_stride: Literal[4, 8] = 4
    tower_channels: int = 96


class DetectionMaps(NamedTuple):
    """score_logits (B, h, w); geometry (B, 16, h, w): from the cell's centre to the control points, in offset units."""

    score_logits: Tensor
    geometry: Tensor


class RibbonTargets(NamedTuple, Generic[Array]):
    """What the head learns from one image; tensors (B, ...) in a batch.

    score (h, w) in [0, 1]: the hill of each word; mask (h, w) 0 where a cell counts neither way. Geometry is learned by
    the M inner cells of the words, few of all: cells (M,) are their numbers, row by row; offsets (M, 16) lead from
    their centres to the control points, in units of `OFFSET_UNIT` pixels; weights (M,) are above 0. In a batch the
    cells of images with fewer are followed by some of weight 0.
    """

    score: Array
    mask: Array
    cells: Array
    offsets: Array
    weights: Array


class RibbonHead(Detector):
    """Score and geometry maps from the neck's map, and the K best ribbons from those maps."""

    Config = RibbonConfig
    loss_weights: ClassVar = {"det/score": 1.0, "det/geometry": 1.0}
    keep_float = ("score", "geometry")  # words of equal score would be one; coordinates want more than 256 values

    def __init__(self, config: RibbonConfig, in_channels: int):
        super().__init__(config, in_channels)
        self.finer = config.tower_stride // STRIDE  # cells of the maps along one of the tower's
        channels = in_channels if self.finer == 1 else config.tower_channels
        self.tower = conv_bn_relu(in_channels, channels, stride=self.finer)
        self.score = nn.Conv2d(channels, self.finer**2, 1)
        self.geometry = nn.Conv2d(channels, 16 * self.finer**2, 1)
        nn.init.constant_(self.score.get_parameter("bias"), math.log(SCORE_PRIOR / (1 - SCORE_PRIOR)))

    @classmethod
    def build_labeler(cls, config: RibbonConfig) -> Labeler:  # noqa: ARG003  there is nothing to set
        """Ribbons as they are."""
        return Labeler(fit_ribbon, draw_targets, draw_nothing)

    def forward(self, features: Tensor) -> DetectionMaps:
        """(B, D, h, w) to the maps, in float32."""
        features = self.tower(features)
        score, geometry = self.score(features).float(), self.geometry(features).float()
        if self.finer > 1:
            score, geometry = F.pixel_shuffle(score, self.finer), F.pixel_shuffle(geometry, self.finer)
        return DetectionMaps(score.squeeze(1), geometry)

    def peaks(self, maps: DetectionMaps, num_regions: int) -> tuple[Tensor, Tensor]:
        """The K highest local maxima, best first: ribbons (B, K, 2, 4, 2) in pixels and scores (B, K) in [0, 1].

        One beyond the last maximum has score 0. K may be 0; K above the number of cells is an error of the runtime.
        The geometry is the score-weighted mean over the 3x3 cells around the maximum.
        """
        score = maps.score_logits.sigmoid()
        batch, h, w = score.shape
        torch._check(num_regions <= h * w)
        is_peak = score == F.max_pool2d(score.unsqueeze(1), 3, stride=1, padding=1).squeeze(1)
        scores_BK, cell_BK = (score * is_peak).flatten(1).topk(num_regions, dim=1)
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
                centre_B2K = (torch.stack([column, row], dim=1) + 0.5) * STRIDE
                ribbon_sum = ribbon_sum + weight_B1K * (offsets * OFFSET_UNIT + centre_B2K.repeat(1, 8, 1))
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
    def loss_terms(maps: DetectionMaps, targets: RibbonTargets[Tensor]) -> Terms:
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


def fit_ribbon(polygon: np.ndarray) -> np.ndarray:
    """The ribbon (2, 4, 2) nearest to a polygon (K, 2)."""
    return polygon_to_ribbon(polygon)[0]


def draw_targets(ribbons: Sequence[np.ndarray], ignore: np.ndarray, size: tuple[int, int]) -> RibbonTargets[np.ndarray]:
    """Score, mask and geometry of an image of `size` (height, width) in pixels; both divisible by the stride.

    Each word is a hill that is 1 in the cell of its centre point and falls with the distance from it in ribbon
    coordinates: falling from the centre line instead would be a ridge full of ties. Where hills overlap the higher one
    owns the cell. The cells of ignored words count neither way, except where a word that counts has its core. The
    weight of the geometry is the hill divided by the word's height, so that an error is felt relative to the size of
    the characters.
    """
    h, w = size[0] // STRIDE, size[1] // STRIDE
    score = np.zeros((h, w), dtype=np.float32)
    mask = np.ones((h, w), dtype=np.float32)
    owner = np.zeros((h, w), dtype=np.intp)
    sizes = ribbon_sizes(np.array(ribbons))
    for number, (ribbon, extent, is_ignored) in enumerate(zip(ribbons, sizes, ignore, strict=True)):
        row, column, hill = _cover(ribbon, extent, h, w)
        if is_ignored:
            mask[row, column] = 0
            continue
        higher = hill > score[row, column]
        row, column = row[higher], column[higher]
        score[row, column], owner[row, column] = hill[higher], number
    row, column = np.nonzero(score > GEOMETRY_CORE)
    mask[row, column] = 1
    owners = owner[row, column]
    centres = np.stack([column + 0.5, row + 0.5], axis=1) * STRIDE
    control_points = np.reshape(ribbons, (-1, 8, 2))[owners]
    heights = np.maximum(sizes[:, 0], STRIDE)[owners]
    return RibbonTargets(
        score,
        mask,
        cells=row * w + column,
        offsets=((control_points - centres[:, None]) / OFFSET_UNIT).reshape(-1, 16).astype(np.float32),
        weights=(score[row, column] * OFFSET_UNIT / heights).astype(np.float32),
    )


def _cover(ribbon: np.ndarray, size: np.ndarray, h: int, w: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The cells (row, column) a ribbon of `size` (height, width) covers and the hill's height there, by sampling it at
    twice the cells' density."""
    height, width = size
    u = np.linspace(0, 1, 2 * int(width / STRIDE) + 3)
    v = np.linspace(0, 1, 2 * int(height / STRIDE) + 3)
    cells = np.floor(ribbon_points(ribbon, u, v) / STRIDE).astype(np.int64)
    hill = np.exp(-0.5 * ((u[None] - 0.5) ** 2 + (v[:, None] - 0.5) ** 2) / HILL_WIDTH**2)
    inside = (cells >= 0).all(axis=2) & (cells[..., 0] < w) & (cells[..., 1] < h)
    flat = cells[..., 1][inside] * w + cells[..., 0][inside]
    covered, position = np.unique(flat, return_inverse=True)
    height_there = np.zeros(len(covered), dtype=np.float32)
    np.maximum.at(height_there, position, hill[inside].astype(np.float32))
    return covered // w, covered % w, height_there


def draw_nothing(size: tuple[int, int]) -> RibbonTargets[np.ndarray]:
    """Targets of an image of `size` (height, width) in pixels of which nothing counts."""
    score = np.zeros((size[0] // STRIDE, size[1] // STRIDE), dtype=np.float32)
    no_cell = np.zeros(0, dtype=np.float32)
    return RibbonTargets(score, score, np.zeros(0, dtype=np.int64), no_cell.reshape(0, 16), no_cell)
