"""What images are to show: several things in one image, and how sure of it the network is to be.

Legend: B images, R patches of all images, C classes, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from textspot.quant.synthesis.synthesis import generator_of

MOST_PATCHES = 4
CROSSING = (0.35, 0.65)  # where the lines cross that part an image, as shares of its sides
OF_CELL = (0.7, 1.0)  # side of a patch, as a share of the shorter side of its part
SMALLEST_PATCH = 2  # pixels


@dataclass(frozen=True)
class SemanticsConfig:
    """Labels of images and of their patches (SARDFQ, arXiv 2412.16553: multi-semantic reinforcement, soft labels).

    Args:
        max_patches: each image has 1 to this many patches, at most 4, with a label each; 0 gives an image one label and
            no patches.
        soft: the target is softmax(z); if not, it is 1 for the label, and for an image the same share for each of its
            patches' labels.
        relevant: z of the labels is uniform between these.
        irrelevant_std: z of the other classes is normal with this deviation (the paper says small; ours, as z of a
            network that was trained without softening its labels is about as far from 0).
    """

    max_patches: int = MOST_PATCHES
    soft: bool = True
    relevant: tuple[float, float] = (5.0, 10.0)
    irrelevant_std: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.max_patches <= MOST_PATCHES:
            raise ValueError(f"semantics.max_patches is {self.max_patches}, expected 0 to {MOST_PATCHES}")
        if self.relevant[0] > self.relevant[1] or self.irrelevant_std < 0:
            raise ValueError("semantics: expected relevant as (low, high), and an irrelevant_std of at least 0")


@dataclass(frozen=True)
class Semantics:
    """Targets of images (B, C), boxes of patches (R, 3) as (top, left, side) in pixels, the image of each (R,), and
    their targets (R, C)."""

    targets: Tensor
    boxes: Tensor
    image_of_patch: Tensor
    patch_targets: Tensor

    @classmethod
    def draw(
        cls,
        num_images: int,
        num_classes: int,
        size: tuple[int, int],
        config: SemanticsConfig,
        seed: int,
    ) -> "Semantics":
        """At random; the patches of an image have different labels, as far as there are classes enough."""
        of_labels, of_boxes, of_scores = (generator_of(seed, drawn) for drawn in ("labels", "boxes", "scores"))
        boxes: list[Tensor] = []
        image_of_patch, patch_labels = [], []
        targets = torch.zeros(num_images, num_classes)
        for image in range(num_images):
            count = int(torch.randint(1, max(1, config.max_patches) + 1, (), generator=of_labels))
            labels = torch.randperm(num_classes, generator=of_labels)[:count].tolist()
            targets[image] = _draw_target(labels, num_classes, config, of_scores)
            if config.max_patches:
                boxes += draw_boxes(len(labels), size, of_boxes)
                image_of_patch += [image] * len(labels)
                patch_labels += labels
        patch_targets = [_draw_target([label], num_classes, config, of_scores) for label in patch_labels]
        return cls(
            targets,
            torch.stack(boxes) if boxes else torch.zeros(0, 3, dtype=torch.int64),
            torch.tensor(image_of_patch, dtype=torch.int64),
            torch.stack(patch_targets) if patch_targets else torch.zeros(0, num_classes),
        )

    def patches_of(self, numbers: range) -> Tensor:
        """Which patches lie in some of the images."""
        return torch.nonzero((self.image_of_patch >= numbers.start) & (self.image_of_patch < numbers.stop)).flatten()


def _draw_target(
    labels: Sequence[int], num_classes: int, config: SemanticsConfig, generator: torch.Generator
) -> Tensor:
    """A distribution (C,)."""
    if not config.soft:
        return torch.zeros(num_classes).index_fill_(0, torch.tensor(labels), 1 / len(labels))
    z = config.irrelevant_std * torch.randn(num_classes, generator=generator)
    low, high = config.relevant
    z[labels] = low + (high - low) * torch.rand(MOST_PATCHES, generator=generator)[: len(labels)]
    return z.softmax(dim=0)


def draw_boxes(count: int, size: tuple[int, int], generator: torch.Generator) -> list[Tensor]:
    """At most four squares (3,) as (top, left, side) in an image of `size` (height, width) that do not overlap.

    The paper says that patches do not overlap and no more. Ours lie one in each of the parts that two lines, crossing
    somewhere near the middle, make of the image: so each is a good share of it, and four always find room.
    """
    height, width = size
    low, high = CROSSING
    cross = low + (high - low) * torch.rand(2, generator=generator)
    row, column = max(1, int(cross[0] * height)), max(1, int(cross[1] * width))
    parts = [(0, 0, row, column), (0, column, row, width), (row, 0, height, column), (row, column, height, width)]
    boxes = []
    for part in torch.randperm(4, generator=generator)[:count].tolist():
        top, left, bottom, right = parts[part]
        shortest = min(bottom - top, right - left)
        share = OF_CELL[0] + (OF_CELL[1] - OF_CELL[0]) * torch.rand((), generator=generator)
        side = max(min(SMALLEST_PATCH, shortest), int(share * shortest))
        place = torch.rand(2, generator=generator)
        down, across = int(place[0] * (bottom - top - side + 1)), int(place[1] * (right - left - side + 1))
        boxes.append(torch.tensor([top + down, left + across, side]))
    return boxes


def crop(images: Tensor, image_of_patch: Tensor, boxes: Tensor) -> Tensor:
    """Patches (R, 3, H, W) of images (B, 3, H, W), each brought to the size of an image; the gradient of a patch
    reaches its own pixels and no others."""
    size = images.shape[-2:]
    patches = [
        F.interpolate(
            images[number : number + 1, :, top : top + side, left : left + side],
            size,
            mode="bilinear",
            align_corners=False,
        )
        for number, (top, left, side) in zip(image_of_patch.tolist(), boxes.tolist(), strict=True)
    ]
    return torch.cat(patches) if patches else images.new_zeros(0, *images.shape[1:])
