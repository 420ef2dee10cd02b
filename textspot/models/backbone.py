"""Shared convolutions: an image to features at strides 2, 4, 8, 16 and 32."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.hub import get_dir
from torch.nn import functional as F
from torchvision.models import get_model_weights
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vgg import cfgs, make_layers

from textspot.models.convolution import BasicBlock, conv_bn_relu
from textspot.models.vit import VisionTransformerTrunk, VitConfig


@dataclass(frozen=True)
class BackboneConfig:
    """The shared convolutions.

    Args:
        kind: `slim_resnet` is made for CPUs and int8 (dense 3x3 convolutions and ReLU, few channels at full width);
            `resnet18`, `resnet34`, `resnet50` and `vgg16_bn` are torchvision's; `vit` is a small plain transformer.
        pretrained: start training from torchvision's ImageNet weights, downloaded once; not of `slim_resnet` and `vit`.
        widths: channels at strides 4, 8, 16 and 32 of the slim ResNet.
        blocks: residual blocks at each of these strides of the slim ResNet.
        vit: the transformer.
    """

    kind: Literal["slim_resnet", "resnet18", "resnet34", "resnet50", "vgg16_bn", "vit"] = "slim_resnet"
    widths: tuple[int, int, int, int] = (32, 64, 128, 256)
    blocks: tuple[int, int, int, int] = (2, 2, 2, 2)
    pretrained: bool = False
    vit: VitConfig = field(default_factory=VitConfig)

    def __post_init__(self) -> None:
        if min(self.blocks) < 1:
            raise ValueError(f"model.backbone.blocks is {self.blocks}, expected at least 1 at each stride")
        if self.pretrained and self.kind in ("slim_resnet", "vit"):
            raise ValueError(f"model.backbone.pretrained is true, and there are no ImageNet weights of {self.kind}")


class _Bottleneck(Bottleneck):
    """torchvision's, with each module called once, as in `BasicBlock`."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.relu(self.bn3(self.conv3(x)).add_(shortcut))


class SlimResNet(nn.Module):
    """torchvision's basic blocks behind two stride-2 convolutions, at the widths and depths of the config."""

    def __init__(self, widths: tuple[int, ...], blocks: tuple[int, ...]):
        super().__init__()
        self.channels = (widths[0] // 2, *widths)
        self.tap = 1
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
        """(B, 3, H, W) normalised, H and W divisible by 32, to five maps at strides 2, 4, 8, 16, 32: the first is what
        the stem's first `tap` modules give."""
        maps = [self.stem[: self.tap](image)]
        features = self.stem[self.tap :](maps[0])
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        return maps


def _stage(in_channels: int, channels: int, depth: int, stride: int) -> nn.Sequential:
    shortcut = None
    if stride != 1 or in_channels != channels:
        shortcut = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))
    first = BasicBlock(in_channels, channels, stride, shortcut)
    return nn.Sequential(first, *(BasicBlock(channels, channels) for _ in range(depth - 1)))


class TorchvisionResNet(nn.Module):
    """One of torchvision's ResNets without its classifier; `tensors` are weights for all of it to start with."""

    def __init__(self, block: type[BasicBlock | Bottleneck], depths: list[int], tensors: dict[str, Tensor] | None):
        super().__init__()
        network = ResNet(block, depths, zero_init_residual=True)
        if tensors:
            network.load_state_dict(tensors)
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])
        self.channels = (64, *(block.expansion * width for width in (64, 128, 256, 512)))
        self.tap = 3

    forward = SlimResNet.forward


class TorchvisionVgg(nn.Module):
    """The convolutions of torchvision's VGG-16 with BatchNorm, without which so deep a plain network hardly learns from
    scratch; the map at stride 32 is the last pooling's."""

    def __init__(self, tensors: dict[str, Tensor] | None):
        super().__init__()
        features = make_layers(cfgs["D"], batch_norm=True)
        for module in features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if tensors:
            kept = {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}
            features.load_state_dict({name.removeprefix("features."): tensor for name, tensor in kept.items()})
        after_pooling = [number + 1 for number, module in enumerate(features) if isinstance(module, nn.MaxPool2d)]
        stride_4, stride_8, stride_16, stride_32 = after_pooling[1:]
        self.stem = features[:stride_4]
        ends = pairwise((stride_4, stride_8 - 1, stride_16 - 1, stride_32 - 1, stride_32))
        self.stages = nn.ModuleList([features[start:end] for start, end in ends])
        self.channels = (128, 256, 512, 512, 512)
        self.tap = stride_4 - 1

    forward = SlimResNet.forward


def imagenet_weights(config: BackboneConfig) -> dict[str, Tensor] | None:
    """torchvision's ImageNet weights, from torch's cache or downloaded into it; None if the config wants none."""
    if not config.pretrained:
        return None
    weights = get_model_weights(config.kind).DEFAULT
    try:
        return weights.get_state_dict(progress=False)
    except OSError as error:
        raise ValueError(
            f"model.backbone.pretrained: {weights.url} could not be downloaded ({error}). Put that file into "
            f"{Path(get_dir()) / 'checkpoints'}, or train from scratch with model.backbone.pretrained: false"
        ) from error


Backbone = SlimResNet | TorchvisionResNet | TorchvisionVgg | VisionTransformerTrunk
BACKBONES: dict[str, Callable[[BackboneConfig], Backbone]] = {
    "slim_resnet": lambda config: SlimResNet(config.widths, config.blocks),
    "resnet18": lambda config: TorchvisionResNet(BasicBlock, [2, 2, 2, 2], imagenet_weights(config)),
    "resnet34": lambda config: TorchvisionResNet(BasicBlock, [3, 4, 6, 3], imagenet_weights(config)),
    "resnet50": lambda config: TorchvisionResNet(_Bottleneck, [3, 4, 6, 3], imagenet_weights(config)),
    "vgg16_bn": lambda config: TorchvisionVgg(imagenet_weights(config)),
    "vit": lambda config: VisionTransformerTrunk(config.vit),
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
