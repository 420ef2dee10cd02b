"""R-FCN (Dai et al. 2016), the detector of Sui et al. 2018: region proposals, position-sensitive maps and a vote.

Everything that learns is a convolution over the whole image; proposals, pooling, vote and the choice of examples have
no weights. Anchors, the proposal network's layers, pooling and suppression are torchvision's. The paper has horizontal
boxes around single lines; its anchors, and how it chooses examples, are not public: ours are chosen without chance, so
that nothing more has to be restored to resume a run.
Legend: B images, M anchors, P proposals, R boxes, K regions, D channels, h w map.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.detection.rpn import AnchorGenerator, RPNHead
from torchvision.ops import ps_roi_align

from textspot.batch import Labeler
from textspot.geometry import box_to_quad, polygon_to_box, quad_to_ribbon
from textspot.models.boxes import (
    BoxTargets,
    Examples,
    boxes_to_ribbons,
    clip_boxes,
    decode_boxes,
    encode_boxes,
    hardest,
    match_boxes,
    suppress,
)
from textspot.models.convolution import conv_bn_relu
from textspot.models.detector import Detector, Terms
from textspot.models.neck import STRIDE
from textspot.ranges import PositiveInt, check_ranges

BINS = 3  # per side of a box, as the paper draws them
MOST_COMPARED = 1000  # anchors among which proposals are looked for, the best ones
PROPOSAL_OVERLAP = 0.7  # IoU of two proposals above which the weaker one goes: Faster R-CNN (Ren et al. 2015), 3.3
DETECTION_OVERLAP = 0.3  # of two detections: lines of text hardly overlap
ANCHOR_FOREGROUND, ANCHOR_BACKGROUND = 0.6, 0.3  # IoU with a word from which, and below which, an anchor is an example
PROPOSAL_FOREGROUND = 0.5  # likewise of a proposal; all others are background
NEGATIVES_PER_POSITIVE = 3  # of anchors: SSD (Liu et al. 2016), 2.2
LEAST_NEGATIVES = 32  # of anchors, in an image without text
HARD_EXAMPLES = 128  # proposals of an image that are learned from: R-FCN (Dai et al. 2016), 2


@dataclass(frozen=True)
class RfcnConfig:
    """Horizontal boxes in two stages, as Sui et al. 2018 find them.

    Args:
        anchor_sizes: square roots of the areas of the anchors, in pixels.
        anchor_ratios: heights of the anchors divided by their widths.
        max_proposals: number of boxes of an image that the second stage looks at.
    """

    anchor_sizes: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0)
    anchor_ratios: tuple[float, ...] = (1.0, 0.5, 0.25, 0.12)
    max_proposals: PositiveInt = 300

    def __post_init__(self) -> None:
        for name in ("anchor_sizes", "anchor_ratios"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"model.detector.rfcn.{name} is {getattr(self, name)}, expected numbers above 0")
        check_ranges(self, "model.detector.rfcn.")


class RfcnMaps(NamedTuple):
    """anchor_logits (B, M) and anchor_offsets (B, M, 4) of the proposal network, cell by cell; votes (B, 45, h, w): for
    each bin of a box the logit of text, then likewise its four offsets; proposals (B, P, 4) px, zeros behind the last.
    """

    anchor_logits: Tensor
    anchor_offsets: Tensor
    votes: Tensor
    proposals: Tensor


class RfcnHead(Detector):
    """Proposals and position-sensitive maps from the neck's map, and the K best boxes as straight ribbons."""

    Config = RfcnConfig
    loss_weights: ClassVar = {"rpn/score": 1.0, "rpn/geometry": 1.0, "det/score": 1.0, "det/geometry": 1.0}
    keep_float = ("rpn.cls_logits", "rpn.bbox_pred", "votes")  # scores and coordinates
    why_not_exported = "the position-sensitive pooling of R-FCN has no counterpart in ONNX"
    why_not_synthesized = "its loss looks at boxes that it proposes itself, and no map of it shows words"

    def __init__(self, config: RfcnConfig, in_channels: int):
        super().__init__(config, in_channels)
        self.max_proposals = config.max_proposals
        self.anchors = AnchorGenerator((config.anchor_sizes,), (config.anchor_ratios,))
        self.rpn = RPNHead(in_channels, self.anchors.num_anchors_per_location()[0])
        self.tower = conv_bn_relu(in_channels, in_channels)
        self.votes = nn.Conv2d(in_channels, 5 * BINS * BINS, 1)
        nn.init.normal_(self.votes.weight, std=0.01)

    @classmethod
    def build_labeler(cls, config: RfcnConfig) -> Labeler:  # noqa: ARG003  there is nothing to set
        """Words are the boxes around them."""
        return Labeler(fit_box, draw_box_targets, draw_no_boxes)

    def forward(self, features: Tensor) -> RfcnMaps:
        """(B, D, h, w) to the maps and the proposals, in float32."""
        (logits_BAhw,), (offsets,) = self.rpn([features])
        logits_BM = logits_BAhw.permute(0, 2, 3, 1).flatten(1).float()
        offsets_BM4 = offsets.unflatten(1, (-1, 4)).permute(0, 3, 4, 1, 2).flatten(1, 3).float()
        votes = self.votes(self.tower(features)).float()
        with torch.autocast(features.device.type, enabled=False):  # coordinates of a large image need float32
            return RfcnMaps(logits_BM, offsets_BM4, votes, self._propose(logits_BM, offsets_BM4, votes))

    def peaks(self, maps: RfcnMaps, num_regions: int) -> tuple[Tensor, Tensor]:
        """The K best boxes, as straight ribbons (B, K, 2, 4, 2) in pixels, and their scores (B, K)."""
        boxes_BP4, scores_BP = self._detect(maps)
        missing = max(0, num_regions - scores_BP.shape[1])
        boxes = F.pad(boxes_BP4, (0, 0, 0, missing))[:, :num_regions]
        return boxes_to_ribbons(boxes), F.pad(scores_BP, (0, missing))[:, :num_regions]

    def count_peaks(self, maps: RfcnMaps, threshold: float | Tensor) -> Tensor:
        """The largest number () of boxes at or above the threshold in any image of the batch; below 0 it counts the
        suppressed ones, whose score is 0, too."""
        _, scores_BP = self._detect(maps)
        return ((scores_BP >= threshold) & ((scores_BP > 0) | (threshold < 0))).sum(dim=1).max()

    def loss_terms(self, maps: RfcnMaps, targets: BoxTargets[Tensor]) -> Terms:
        """The terms by name, each a sum and its denominator: of a score the number of examples, of a geometry that of
        the words among them.

        Examples of the proposal network are all anchors that cover a word and three times as many others, the hardest;
        those of the vote are the hardest of the proposals and annotated boxes (online hard example mining).
        """
        anchors = self._anchors(maps.votes).expand(len(maps.votes), -1, -1)
        examples = match_boxes(anchors, targets, ANCHOR_FOREGROUND, ANCHOR_BACKGROUND, best_counts=True)
        score, distance = _losses(maps.anchor_logits, maps.anchor_offsets, anchors, examples)
        counts = NEGATIVES_PER_POSITIVE * examples.foreground.sum(dim=1)
        others = hardest(score, examples.background, counts.clamp(min=LEAST_NEGATIVES))
        terms = {
            "rpn/score": _sum_over(examples.foreground | others, score),
            "rpn/geometry": _sum_over(examples.foreground, distance),
        }
        boxes = torch.cat([maps.proposals, targets.boxes], dim=1)
        examples = match_boxes(boxes, targets, PROPOSAL_FOREGROUND, PROPOSAL_FOREGROUND)
        score, distance = _losses(*self._vote(maps.votes, boxes), boxes, examples)
        candidates = examples.foreground | examples.background
        hard = hardest(score + distance, candidates, torch.full_like(counts, HARD_EXAMPLES))
        return terms | {
            "det/score": _sum_over(hard, score),
            "det/geometry": _sum_over(hard & examples.foreground, distance),
        }

    def _anchors(self, maps: Tensor) -> Tensor:
        """(M, 4) `xyxy` px of maps (..., h, w), cell by cell. torchvision lays them around the corners of the cells."""
        self.anchors.set_cell_anchors(torch.float32, maps.device)
        stride = torch.tensor(STRIDE, device=maps.device)
        return self.anchors.grid_anchors([list(maps.shape[-2:])], [[stride, stride]])[0] + STRIDE / 2

    def _clip(self, boxes: Tensor, maps: Tensor) -> Tensor:
        h, w = maps.shape[-2:]
        return clip_boxes(boxes, h * STRIDE, w * STRIDE)

    @torch.no_grad()
    def _propose(self, logits_BM: Tensor, offsets_BM4: Tensor, maps: Tensor) -> Tensor:
        """The best boxes (B, P, 4) that do not cover each other, zeros behind the last; constants to the gradient."""
        logits, best = logits_BM.topk(min(MOST_COMPARED, logits_BM.shape[1]), dim=1)
        offsets = offsets_BM4.gather(1, best.unsqueeze(2).expand(-1, -1, 4))
        boxes = self._clip(decode_boxes(offsets, self._anchors(maps)[best]), maps)
        proposals = boxes.new_zeros(len(boxes), self.max_proposals, 4)
        for row, candidates, scores in zip(proposals, boxes, logits, strict=True):
            kept = suppress(candidates, scores, PROPOSAL_OVERLAP)[: self.max_proposals]
            row[: len(kept)] = candidates[kept]
        return proposals

    def _vote(self, votes: Tensor, boxes_BR4: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, R) and offsets (B, R, 4) of boxes: each bin of a box is pooled from maps of its own, and the mean
        of the bins decides."""
        pooled = ps_roi_align(votes, list(boxes_BR4.unbind()), BINS, 1 / STRIDE, sampling_ratio=2)
        voted = pooled.mean(dim=(2, 3)).unflatten(0, boxes_BR4.shape[:2])
        return voted[..., 0], voted[..., 1:]

    @torch.no_grad()
    def _detect(self, maps: RfcnMaps) -> tuple[Tensor, Tensor]:
        """Boxes (B, P, 4) px, best first, and their scores (B, P); what a better one covers has score 0."""
        logits, offsets = self._vote(maps.votes, maps.proposals)
        boxes = self._clip(decode_boxes(offsets, maps.proposals), maps.votes)
        boxes = boxes * (maps.proposals.amax(dim=2, keepdim=True) > 0)  # behind the last proposal there is none
        scores = torch.zeros_like(logits)
        for row, candidates, logit in zip(scores, boxes, logits, strict=True):
            kept = suppress(candidates, logit, DETECTION_OVERLAP)
            row[kept] = logit[kept].sigmoid()
        scores, order = scores.sort(dim=1, descending=True, stable=True)
        return boxes.gather(1, order.unsqueeze(2).expand(-1, -1, 4)), scores


def _losses(logits: Tensor, offsets: Tensor, boxes: Tensor, examples: Examples) -> tuple[Tensor, Tensor]:
    """Of every box (B, R): the cross-entropy of its logit, and the smooth L1 distance of its offsets if it covers a
    word, else 0."""
    score = F.binary_cross_entropy_with_logits(logits, examples.foreground.float(), reduction="none")
    distance = F.smooth_l1_loss(offsets, encode_boxes(examples.words, boxes), reduction="none").mean(dim=2)
    return score, distance * examples.foreground


def _sum_over(mask: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    return (values * mask).sum(), mask.sum()


def fit_box(polygon: np.ndarray) -> np.ndarray:
    """The straight horizontal ribbon (2, 4, 2) of the box around a polygon (K, 2)."""
    return quad_to_ribbon(box_to_quad(polygon_to_box(polygon)))


def draw_box_targets(
    ribbons: Sequence[np.ndarray], ignore: np.ndarray, size: tuple[int, int]
) -> BoxTargets[np.ndarray]:
    """The boxes around the ribbons, as far as they lie in the image of `size` (height, width) in pixels.

    Without ribbons there is one box, of no size and of kind 0; so has what lies outside the image.
    """
    boxes = np.zeros((max(1, len(ribbons)), 4), dtype=np.float32)
    kind = np.zeros(len(boxes), dtype=np.int64)
    for row, (ribbon, is_ignored) in enumerate(zip(ribbons, ignore, strict=True)):
        boxes[row] = polygon_to_box(ribbon.reshape(-1, 2)).clip(0, [*size[::-1], *size[::-1]])
        extent = boxes[row, 2:] - boxes[row, :2]
        kind[row] = 0 if extent.min() <= 0 else -1 if is_ignored else 1
    return BoxTargets(boxes, kind)


def draw_no_boxes(size: tuple[int, int]) -> BoxTargets[np.ndarray]:
    """Targets of an image of `size` (height, width) in pixels of which nothing counts: an ignored box that reaches far
    over the image, as anchors do."""
    height, width = size
    return BoxTargets(np.array([[-width, -height, 2 * width, 2 * height]], dtype=np.float32), np.array([-1]))
