"""What every detection head offers, whatever its maps are. Legend: B images, K slots, h w map."""

from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn


@dataclass(frozen=True)
class DetectorConfig:
    """The detection head.

    Args:
        kind: `ribbon` finds oriented and curved words in one stage; `rfcn` finds horizontal boxes in two, as Sui et al.
            2018 do.
        anchor_sizes: square roots of the areas of the anchors of `rfcn`, in pixels.
        anchor_ratios: height of these anchors divided by their width.
        max_proposals: boxes of an image that the second stage of `rfcn` looks at.
        tower_stride: pixels per cell of the convolution of `ribbon`, 4 or 8; its maps have stride 4 either way.
        tower_channels: channels of that convolution at stride 8.
    """

    kind: Literal["ribbon", "rfcn"] = "ribbon"
    anchor_sizes: tuple[float, ...] = (16.0, 32.0, 64.0, 128.0)
    anchor_ratios: tuple[float, ...] = (1.0, 0.5, 0.25, 0.12)
    max_proposals: int = 300
    tower_stride: Literal[4, 8] = 4
    tower_channels: int = 96

    def __post_init__(self) -> None:
        for name in ("anchor_sizes", "anchor_ratios"):
            if not getattr(self, name) or min(getattr(self, name)) <= 0:
                raise ValueError(f"model.detector.{name} is {getattr(self, name)}, expected numbers above 0")
        if self.max_proposals < 1:
            raise ValueError(f"model.detector.max_proposals is {self.max_proposals}, expected at least 1")


class Detector(nn.Module):
    """A detection head. Its maps, and the targets it learns from, are its own: nobody else looks into them.

    `forward` takes features (B, D, h, w) to the maps, a named tuple of float32 tensors whose first dimension is B.
    `why_not_exported` says in words why it runs in PyTorch only; it is empty if it does not.
    """

    why_not_exported = ""

    def peaks(self, maps: Any, slots: Tensor) -> tuple[Tensor, Tensor]:
        """The K = len(slots) best regions, best first: ribbons (B, K, 2, 4, 2) in pixels and scores (B, K) in [0, 1]. A
        slot beyond the last region has score 0; K may be 0, and no more than the cells of the map."""
        raise NotImplementedError

    def count_peaks(self, maps: Any, threshold: float | Tensor) -> Tensor:
        """The largest number () of regions at or above the threshold in any image of the batch."""
        raise NotImplementedError

    def loss_terms(self, maps: Any, targets: Any) -> dict[str, tuple[Tensor, Tensor]]:
        """The terms by name, each a sum and its denominator."""
        raise NotImplementedError
