"""The torch side of the contract of `structures`: what one training step sees.

Legend: B images, K region slots of an image, R regions of a batch, T tokens, H W input, h w maps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

Array = TypeVar("Array", np.ndarray, Tensor)


Targets = Any  # what a detector learns: a named tuple of arrays, or of tensors (B, ...) in a batch; its own affair


@dataclass(frozen=True)
class Labeler:
    """What an annotation means to a detector.

    Args:
        outline: makes of a polygon (K, 2) px the ribbon (2, 4, 2) that is found and read.
        draw: makes of all ribbons of an image, their ignore flags (N,) and its size (height, width) in pixels what
            the detector learns: a named tuple of arrays with one dimension or more.
        draw_nothing: makes of the size of an image what the detector learns nothing from; without it, no source may
            train the recogniser alone.
    """

    outline: Callable[[np.ndarray], np.ndarray]
    draw: Callable[[Sequence[np.ndarray], np.ndarray, tuple[int, int]], Targets]
    draw_nothing: Callable[[tuple[int, int]], Targets] | None = None


@dataclass(frozen=True)
class Example:
    """One image ready to be learned from: image (H, W, 3) uint8 RGB, what its detector learns, the regions to read.

    ribbons (K, 2, 4, 2) px with their `tokens`; `outlines` (K, 2, 4, 2), where these words truly are;
    `dropped` counts words that are detected and not read, by reason.
    """

    image: np.ndarray
    targets: Targets
    ribbons: np.ndarray
    tokens: Sequence[Sequence[int]]
    dropped: dict[str, int]
    outlines: np.ndarray
    outlines_fit: bool = True


@dataclass(frozen=True)
class Batch:
    """B examples. The regions to read lie in K slots per image; `region_slot` (R,) says which of the B * K are in
    use."""

    image: Tensor  # (B, 3, H, W) uint8
    targets: Targets
    ribbons: Tensor  # (B, K, 2, 4, 2) px
    region_slot: Tensor  # (R,) index into B * K
    tokens: Tensor  # (R, T) padded with 0
    token_lengths: Tensor  # (R,)
    outlines: Tensor  # (R, 2, 4, 2) px, the true ribbons
    outline_weight: Tensor  # (R,) 0 where nobody knows them well
    dropped: dict[str, int]

    @property
    def num_regions(self) -> int:
        """R, which may be 0."""
        return len(self.region_slot)

    def to(self, device: torch.device) -> "Batch":
        """The same batch with its tensors on `device`; out of pinned memory they are copied while the GPU computes."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in memory from which a GPU copies by itself; a DataLoader with `pin_memory` calls it."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, targets=type(self.targets)(*map(change, self.targets)), **changed)


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
    return Batch(
        image=torch.from_numpy(np.stack([e.image for e in examples])).permute(0, 3, 1, 2),
        targets=stack_targets([e.targets for e in examples]),
        ribbons=torch.from_numpy(ribbons),
        region_slot=torch.tensor(slots, dtype=torch.int64),
        tokens=torch.from_numpy(padded),
        token_lengths=torch.tensor(lengths, dtype=torch.int64),
        outlines=torch.from_numpy(np.concatenate([e.outlines for e in examples])),
        outline_weight=torch.tensor([float(e.outlines_fit) for e in examples for _ in e.outlines]),
        dropped=dropped,
    )


def stack_targets(targets: Sequence[Targets]) -> Targets:
    """The targets of B images, at least one, as one named tuple of tensors (B, ...). Where images have different
    numbers of something, along the first dimension, the shorter ones end in zeros."""
    return type(targets[0])(*map(_stack, zip(*targets, strict=True)))


def _stack(arrays: Sequence[np.ndarray]) -> Tensor:
    longest = max(len(array) for array in arrays)
    stacked = np.zeros((len(arrays), longest, *arrays[0].shape[1:]), dtype=arrays[0].dtype)
    for row, array in zip(stacked, arrays, strict=True):
        row[: len(array)] = array
    return torch.from_numpy(stacked)
