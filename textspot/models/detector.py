"""What every detection head is and says about itself. Legend: B images, K regions, h w map."""

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from textspot.batch import Labeler, Targets
from textspot.models.choice import NoSettings

Terms = dict[str, tuple[Tensor, Tensor]]  # loss terms by name, each a sum and its denominator


class Detector(nn.Module):
    """A detection head, and all that the rest of the program has to know about its kind.

    It is built from its `Config` and the channels of the neck's map. `forward` takes that map (B, D, h, w) to the
    head's own maps, a named tuple of float32 tensors whose first dimension is B; nobody else looks into them, nor into
    the targets.
    """

    Config: ClassVar[type] = NoSettings  # a frozen dataclass of its settings
    loss_weights: ClassVar[Mapping[str, float]]  # of its terms, by their names in the log; the recipe may change them
    keep_float: ClassVar[tuple[str, ...]] = ()  # globs of its layers that a quantiser leaves alone
    quantized_outputs: ClassVar[tuple[str, ...]] = ()  # globs of its modules whose outputs an integer engine quantises
    why_not_exported: ClassVar[str] = ""  # in words, why it runs in PyTorch only
    why_not_synthesized: ClassVar[str] = ""  # in words, why no calibration images can be made from it

    def __init__(self, config: Any, in_channels: int):  # noqa: ARG002  for the heads to use
        super().__init__()
        self.labeler = self.build_labeler(config)

    @classmethod
    def build_labeler(cls, config: Any) -> Labeler:
        """What makes targets of annotations; it travels to worker processes."""
        raise NotImplementedError

    def peaks(self, maps: Any, num_regions: int) -> tuple[Tensor, Tensor]:
        """The K = `num_regions` best regions, best first: ribbons (B, K, 2, 4, 2) in pixels and scores (B, K) in [0,
        1]. One beyond the last has score 0; K may be 0, and no more than the cells of the map. While a graph is
        exported K is a symbol."""
        raise NotImplementedError

    def count_peaks(self, maps: Any, threshold: float | Tensor) -> Tensor:
        """The largest number () of regions at or above the threshold in any image of the batch."""
        raise NotImplementedError

    def loss_terms(self, maps: Any, targets: Targets) -> Terms:
        """All terms of `loss_weights`."""
        raise NotImplementedError
