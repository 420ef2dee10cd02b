"""Top-down sum of the backbone's maps into one map at stride 4."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from textspot.models.convolution import conv_bn_relu

STRIDE = 4  # pixels per cell of the map that both heads look at


@dataclass(frozen=True)
class NeckConfig:
    """The top-down neck.

    Args:
        channels: channels of the map at stride 4 that both heads read.
        smooth_finest: smooth that map too, by a 3x3 convolution; it costs a seventh of the network's multiplications.
    """

    channels: int = 64
    smooth_finest: bool = True


class TopDownNeck(nn.Module):
    """A feature pyramid (Lin et al. 2017) that keeps only its finest map, with one 3x3 convolution per level.

    Concatenating all levels at stride 4 instead was 60 % of a whole network's multiplications.
    """

    quantized_outputs: ClassVar[tuple[str, ...]] = ("lateral.*", "upsample.*")  # both sides of each sum

    def __init__(self, in_channels: tuple[int, ...], config: NeckConfig):
        super().__init__()
        self.channels = channels = config.channels
        self.lateral = nn.ModuleList([nn.Conv2d(width, channels, 1) for width in in_channels])
        self.smooth = nn.ModuleList([conv_bn_relu(channels, channels) for _ in in_channels])
        if not config.smooth_finest:
            self.smooth[0] = nn.ReLU()
        self.upsample = nn.ModuleList([nn.Upsample(scale_factor=2.0) for _ in in_channels[1:]])

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Maps at strides 4 to 32, finest first, to (B, channels, H / 4, W / 4)."""
        merged = self.smooth[-1](self.lateral[-1](maps[-1]))
        for level in reversed(range(len(maps) - 1)):
            merged = self.smooth[level](self.lateral[level](maps[level]) + self.upsample[level](merged))
        return merged
