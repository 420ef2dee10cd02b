"""What an image is to a network, and the noise that synthesis starts from. Legend: B images, H W pixels."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class ImageSpace:
    """The images a network takes, normalised: x = (pixel - mean) / std.

    Args:
        size: height and width in pixels.
        mean: mean of each channel, in units of the pixels.
        std: standard deviation of each channel, in units of the pixels.
        highest: the brightest pixel: 1, or 255; the darkest is 0.
    """

    size: tuple[int, int]
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    highest: float = 1.0

    def __post_init__(self) -> None:
        if min(self.size) < 1 or len(self.mean) != len(self.std) or min(self.std) <= 0 or self.highest <= 0:
            raise ValueError(
                f"{self} describes no images: expected a size above 0, as many means as deviations, and these and the "
                "brightest pixel above 0"
            )

    def to_pixels(self, images: Tensor) -> Tensor:
        """Normalised images (B, 3, H, W) to values in 0..highest."""
        mean, std = self._channels(images)
        return images * std + mean

    def from_pixels(self, pixels: Tensor) -> Tensor:
        """Values in 0..highest (B, 3, H, W) to normalised images."""
        mean, std = self._channels(pixels)
        return (pixels - mean) / std

    def clip(self, images: Tensor) -> Tensor:
        """The nearest images that can be seen: no pixel is darker than black or brighter than white."""
        mean, std = self._channels(images)
        return images.clamp(-mean / std, (self.highest - mean) / std)

    def draw_noise(self, num_images: int, generator: torch.Generator) -> Tensor:
        """Gaussian noise (B, 3, H, W) of mean 0 and deviation 1, clipped to what can be seen."""
        return self.clip(torch.randn(num_images, len(self.mean), *self.size, generator=generator))

    def _channels(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(images.new_tensor(values).view(-1, 1, 1) for values in (self.mean, self.std))  # type: ignore[return-value]
