"""The torch side of the contract of `structures`: what one training step sees.

Legend: B images, K region slots of an image, R regions of a batch, T tokens, H W input, h w maps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Targets:
    """What the detection head learns from one image, in numpy; drawn by `data.targets`.

    score (h, w) in [0, 1]: the hill of each word; mask (h, w) 0 where a cell counts neither way. Geometry is learned by
    the M inner cells of the words, few of all: cells (M,) are their numbers, row by row; offsets (M, 16) lead from
    their centres to the control points, in units of `data.targets.OFFSET_UNIT` pixels; weights (M,) are above 0.
    """

    score: np.ndarray
    mask: np.ndarray
    cells: np.ndarray
    offsets: np.ndarray
    weights: np.ndarray


@dataclass(frozen=True)
class Example:
    """One image ready to be learned from: image (H, W, 3) uint8 RGB, its maps, and the regions to read.

    ribbons (K, 2, 4, 2) px with their `tokens`; `dropped` counts words that are detected and not read, by reason.
    """

    image: np.ndarray
    targets: Targets
    ribbons: np.ndarray
    tokens: Sequence[Sequence[int]]
    dropped: dict[str, int]


@dataclass(frozen=True)
class Batch:
    """B examples. The regions to read lie in K slots per image; `region_slot` (R,) says which of the B * K are in
    use. Between processes and to the device travel the M inner cells of all words, not maps that are nearly empty."""

    image: Tensor  # (B, 3, H, W) uint8
    score: Tensor  # (B, h, w)
    mask: Tensor  # (B, h, w)
    cells: Tensor  # (M,) index into B * h * w
    offsets: Tensor  # (M, 16)
    weights: Tensor  # (M,)
    ribbons: Tensor  # (B, K, 2, 4, 2) px
    region_slot: Tensor  # (R,) index into B * K
    tokens: Tensor  # (R, T) padded with 0
    token_lengths: Tensor  # (R,)
    dropped: dict[str, int]

    @property
    def num_regions(self) -> int:
        """R, which may be 0."""
        return len(self.region_slot)

    @property
    def geometry(self) -> Tensor:
        """The offsets as a map (B, 16, h, w), 0 where no word has its inner cells."""
        flat = self.offsets.new_zeros(self.score.numel(), 16).index_copy(0, self.cells, self.offsets)
        return flat.unflatten(0, self.score.shape).permute(0, 3, 1, 2)

    @property
    def geometry_weight(self) -> Tensor:
        """The weights as a map (B, h, w), 0 where no word has its inner cells."""
        return self.weights.new_zeros(self.score.numel()).index_copy(0, self.cells, self.weights).view_as(self.score)

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "dropped"}
        return replace(self, **moved)


def collate(examples: Sequence[Example]) -> Batch:
    """Stack examples of one image size; the images' memory stays channels last, as the convolutions like it.

    There is always at least one slot, so that shapes stay ordinary without text.
    """
    num_slots = max(1, *(len(e.ribbons) for e in examples))
    ribbons = np.zeros((len(examples), num_slots, 2, 4, 2), dtype=np.float32)
    slots: list[int] = []
    tokens: list[Sequence[int]] = []
    dropped: dict[str, int] = {}
    for number, example in enumerate(examples):
        ribbons[number, : len(example.ribbons)] = example.ribbons
        slots += [number * num_slots + slot for slot in range(len(example.ribbons))]
        tokens += example.tokens
        for reason, count in example.dropped.items():
            dropped[reason] = dropped.get(reason, 0) + count
    lengths = [len(t) for t in tokens]
    padded = np.zeros((len(tokens), max(1, *lengths, 1)), dtype=np.int64)
    for row, values in zip(padded, tokens, strict=True):
        row[: len(values)] = values
    targets = [example.targets for example in examples]
    cells = [number * maps.score.size + maps.cells for number, maps in enumerate(targets)]
    return Batch(
        image=torch.from_numpy(np.stack([e.image for e in examples])).permute(0, 3, 1, 2),
        score=torch.from_numpy(np.stack([maps.score for maps in targets])),
        mask=torch.from_numpy(np.stack([maps.mask for maps in targets])),
        cells=torch.from_numpy(np.concatenate(cells)),
        offsets=torch.from_numpy(np.concatenate([maps.offsets for maps in targets])),
        weights=torch.from_numpy(np.concatenate([maps.weights for maps in targets])),
        ribbons=torch.from_numpy(ribbons),
        region_slot=torch.tensor(slots, dtype=torch.int64),
        tokens=torch.from_numpy(padded),
        token_lengths=torch.tensor(lengths, dtype=torch.int64),
        dropped=dropped,
    )
