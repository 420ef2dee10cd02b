"""Shared convolutions: an image to features at strides 4, 8, 16 and 32."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


@dataclass(frozen=True)
class BackboneConfig:
    """The shared convolutions.

    Args:
        kind: `slim_resnet` is made for CPUs and int8 (dense 3x3 convolutions and ReLU, few channels at full width);
            `resnet18`, `resnet34` and `resnet50` are torchvision's, from scratch.
        widths: channels at strides 4, 8, 16 and 32 of the slim ResNet.
        blocks: residual blocks at each of these strides of the slim ResNet.
    """

    kind: Literal["slim_resnet", "resnet18", "resnet34", "resnet50"] = "slim_resnet"
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)

    def __post_init__(self) -> None:
        if min(self.blocks) < 1:
            raise ValueError(f"model.backbone.blocks is {self.blocks}, expected at least 1 at each stride")


def conv_bn_relu(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int] = 3,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] | None = None,
) -> nn.Sequential:
    """Convolution, BatchNorm, ReLU; the padding keeps the size unless given."""
    if padding is None:
        padding = kernel // 2 if isinstance(kernel, int) else (kernel[0] // 2, kernel[1] // 2)
    convolution = nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=False)
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True))


class _BasicBlock(BasicBlock):
    """torchvision's, with each module called once: an observer of its one ReLU would see two distributions."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.relu(self.bn2(self.conv2(x)).add_(shortcut))


class _Bottleneck(Bottleneck):
    """torchvision's, with each module called once."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.relu(self.bn3(self.conv3(x)).add_(shortcut))


class SlimResNet(nn.Module):
    """torchvision's basic blocks behind two stride-2 convolutions, at the widths and depths of the config."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__()
        self.channels = tuple(widths)
        self.stem = nn.Sequential(
            conv_bn_relu(3, widths[0] // 2, stride=2), conv_bn_relu(widths[0] // 2, widths[0], stride=2)
        )
        stages = []
        in_channels = widths[0]
        for number, (width, depth) in enumerate(zip(widths, blocks, strict=True)):
            stages.append(_stage(in_channels, width, depth, stride=1 if number == 0 else 2))
            in_channels = width
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised, H and W divisible by 32, to four maps at strides 4, 8, 16, 32."""
        features, maps = self.stem(image), []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps


def _stage(in_channels: int, channels: int, depth: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    first = _BasicBlock(in_channels, channels, stride, shortcut)
    blocks = [first, *(_BasicBlock(channels, channels) for _ in range(depth - 1))]
    for block in blocks:
        nn.init.zeros_(block.bn2.weight)  # each block starts as the identity: He et al. 2019, "Bag of tricks", 3.1
    return nn.Sequential(*blocks)


class TorchvisionResNet(nn.Module):
    """One of torchvision's ResNets without its classifier."""

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: list[int]):
        super().__init__()
        network = ResNet(block, depths, zero_init_residual=True)
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])
        self.channels = tuple(block.expansion * width for width in (64, 128, 256, 512))

    forward = SlimResNet.forward


BACKBONES: dict[str, Callable[[BackboneConfig], SlimResNet | TorchvisionResNet]] = {
    "slim_resnet": lambda config: SlimResNet(config.widths, config.blocks),
    "resnet18": lambda _: TorchvisionResNet(_BasicBlock, [2, 2, 2, 2]),
    "resnet34": lambda _: TorchvisionResNet(_BasicBlock, [3, 4, 6, 3]),
    "resnet50": lambda _: TorchvisionResNet(_Bottleneck, [3, 4, 6, 3]),
}


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
