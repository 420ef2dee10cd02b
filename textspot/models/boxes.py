"""Boxes `xyxy` in pixels as tensors (..., 4): offsets between them, suppression, and which are examples of what.

Legend: N annotated boxes, R other boxes, of one image; B images.
"""

import math
from typing import Generic, NamedTuple

import torch
from torch import Tensor
from torchvision.ops import box_area, box_iou, nms

from textspot.batch import Array

OFFSET_UNITS = (0.1, 0.1, 0.2, 0.2)  # Fast R-CNN (Girshick 2015): brings the offsets of good boxes to the order of 1
MAX_GROWTH = math.log(1000 / 16)  # of a side in one step: an untrained network overflows no float
LEAST_SIDE = 1.0  # pixels: what is thinner is no box
IGNORED_SHARE = 0.5  # of a box that lies in an ignored word: above it the box is no example of background


class BoxTargets(NamedTuple, Generic[Array]):
    """What a detector of boxes learns from one image; tensors (B, N, ...) in a batch.

    boxes (N, 4) `xyxy` px; kind (N,): 1 a word, -1 an ignored one, 0 no box at all.
    """

    boxes: Array
    kind: Array


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    low, high = boxes[..., :2], boxes[..., 2:]
    return (low + high) / 2, (high - low).clamp(min=LEAST_SIDE)


def encode_boxes(boxes: Tensor, anchors: Tensor) -> Tensor:
    """Offsets (..., 4) that lead from anchors to boxes: shifts by shares of the anchor's sides, logarithms of growth
    (Girshick et al. 2014, "R-CNN", appendix C), in units of OFFSET_UNITS."""
    (centre, side), (anchor_centre, anchor_side) = _centres_and_sides(boxes), _centres_and_sides(anchors)
    offsets = torch.cat([(centre - anchor_centre) / anchor_side, (side / anchor_side).log()], dim=-1)
    return offsets / offsets.new_tensor(OFFSET_UNITS)


def decode_boxes(offsets: Tensor, anchors: Tensor) -> Tensor:
    """The boxes (..., 4) that offsets lead to from anchors."""
    offsets = offsets * offsets.new_tensor(OFFSET_UNITS)
    centre, side = _centres_and_sides(anchors)
    centre = centre + offsets[..., :2] * side
    side = side * offsets[..., 2:].clamp(max=MAX_GROWTH).exp()
    return torch.cat([centre - side / 2, centre + side / 2], dim=-1)


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """The part of each box (..., 4) inside the image; of no size if there is none."""
    x, y = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return torch.stack([x[..., 0], y[..., 0], x[..., 1], y[..., 1]], dim=-1)


def suppress(boxes: Tensor, scores: Tensor, max_overlap: float) -> Tensor:
    """Numbers, best first, of the boxes (R, 4) that remain when of two with a larger IoU the one with the lower score
    goes; boxes thinner than a pixel go too."""
    (sound,) = ((boxes[:, 2:] - boxes[:, :2]).amin(dim=1) >= LEAST_SIDE).nonzero(as_tuple=True)
    return sound[nms(boxes[sound], scores[sound], max_overlap)]


def boxes_to_ribbons(boxes: Tensor) -> Tensor:
    """Straight horizontal ribbons (..., 2, 4, 2) of boxes (..., 4)."""
    left, top, right, bottom = boxes.unsqueeze(-1).unbind(-2)
    x = left + torch.arange(4, device=boxes.device) / 3 * (right - left)
    edges = [torch.stack([x, y.expand_as(x)], dim=-1) for y in (top, bottom)]
    return torch.stack(edges, dim=-3)


class Examples(NamedTuple):
    """What boxes (B, R, 4) are examples of: foreground and background (B, R) bool, and the words (B, R, 4) that the
    foreground covers. A box may be neither; that of no size is."""

    foreground: Tensor
    background: Tensor
    words: Tensor


def match_boxes(
    boxes_BR4: Tensor, targets: BoxTargets[Tensor], foreground: float, background: float, best_counts: bool = False
) -> Examples:
    """Foreground: an IoU of at least `foreground` with a word, and, if `best_counts`, the best boxes of each word
    however low their IoU. Background: an IoU below `background` with every word, and not inside an ignored one."""
    images = zip(boxes_BR4, targets.boxes, targets.kind, strict=True)
    matched = [_match(boxes, truth, kind, foreground, background, best_counts) for boxes, truth, kind in images]
    return Examples(*(torch.stack(parts) for parts in zip(*matched, strict=True)))


def _match(
    boxes_R4: Tensor, truth_N4: Tensor, kind_N: Tensor, foreground: float, background: float, best_counts: bool
) -> Examples:
    iou_NR = (box_iou(truth_N4, boxes_R4) * (kind_N == 1).unsqueeze(1)).nan_to_num()  # of two boxes without area: 0 / 0
    highest_R, owner_R = iou_NR.max(dim=0)
    covers = highest_R >= foreground
    if best_counts:
        best_N1 = iou_NR.amax(dim=1, keepdim=True)
        covers = covers | ((iou_NR == best_N1) & (best_N1 > 0)).any(dim=0)
    size_R = box_area(boxes_R4)
    ignored_NR = _shared_area(truth_N4, boxes_R4) * (kind_N == -1).unsqueeze(1)
    clear = (highest_R < background) & (ignored_NR.amax(dim=0) <= IGNORED_SHARE * size_R)
    return Examples(covers & (size_R > 0), clear & ~covers & (size_R > 0), truth_N4[owner_R])


def _shared_area(first_N4: Tensor, second_R4: Tensor) -> Tensor:
    low = torch.maximum(first_N4[:, None, :2], second_R4[:, :2])
    high = torch.minimum(first_N4[:, None, 2:], second_R4[:, 2:])
    return (high - low).clamp(min=0).prod(dim=2)


def hardest(loss_BR: Tensor, candidates_BR: Tensor, counts_B: Tensor) -> Tensor:
    """A mask (B, R) of the candidates with the highest losses, `counts_B` of each image or all it has."""
    most = min(int(counts_B.max()), loss_BR.shape[1])
    values, numbers = loss_BR.detach().masked_fill(~candidates_BR, -1).topk(most, dim=1)
    rank = torch.arange(most, device=counts_B.device)
    return torch.zeros_like(candidates_BR).scatter(1, numbers, (values >= 0) & (rank < counts_B.unsqueeze(1)))
