"""What every backbone is: an image to features at strides 2, 4, 8, 16 and 32."""

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from textspot.models.choice import NoSettings


class Backbone(nn.Module):
    """The shared convolutions. `channels` are those of the five maps.

    It is built from its `Config`; only with `fetch_weights` may it fetch published weights that the config asks for.
    The `forward` here is that of a stem followed by stages: the first map is what the stem's first `stem_split` modules
    give, and each stage gives one.
    """

    Config: ClassVar[type] = NoSettings  # a frozen dataclass of its settings
    channels: tuple[int, ...]
    stem: Any
    stem_split: int
    stages: nn.ModuleList

    def __init__(self, config: Any, fetch_weights: bool = False):  # noqa: ARG002  for the kinds to use
        super().__init__()

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised, H and W divisible by 32, to five maps at strides 2, 4, 8, 16, 32."""
        maps = [self.stem[: self.stem_split](image)]
        features = self.stem[self.stem_split :](maps[0])
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps


class Normalize(nn.Module):
    """uint8 or float RGB in 0..255 to zero mean and unit variance, inside the network so that every runtime shares
    it."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, float, float], std: tuple[float, float, float]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        return (image.float() - self.mean) / self.std
