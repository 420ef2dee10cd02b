"""The backbone that is made for CPUs and int8: dense 3x3 convolutions and ReLU, few channels at full width."""

from dataclasses import dataclass

from torch import nn

from textspot.models.backbone import Backbone
from textspot.models.convolution import BasicBlock, conv_bn_relu


@dataclass(frozen=True)
class SlimResNetConfig:
    """A slim ResNet.

    Args:
        widths: channels at strides 4, 8, 16 and 32.
        blocks: residual blocks at each of these strides.
    """

    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        if min(*self.widths, *self.blocks) < 1:
            raise ValueError(
                f"model.backbone.slim_resnet has widths {self.widths} and blocks {self.blocks}, expected at least 1 at "
                "each stride"
            )


class SlimResNet(Backbone):
    """torchvision's basic blocks behind two stride-2 convolutions, at the widths and depths of the config."""

    Config = SlimResNetConfig
    stem_split = 1

    def __init__(self, config: SlimResNetConfig, fetch_weights: bool = False):
        super().__init__(config, fetch_weights)
        widths = config.widths
        self.channels = (widths[0] // 2, *widths)
        self.stem = nn.Sequential(
            conv_bn_relu(3, widths[0] // 2, stride=2), conv_bn_relu(widths[0] // 2, widths[0], stride=2)
        )
        stages = []
        in_channels = widths[0]
        for number, (width, depth) in enumerate(zip(widths, config.blocks, strict=True)):
            stages.append(_stage(in_channels, width, depth, stride=1 if number == 0 else 2))
            in_channels = width
        self.stages = nn.ModuleList(stages)


def _stage(in_channels: int, channels: int, depth: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    first = BasicBlock(in_channels, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(depth - 1)))
