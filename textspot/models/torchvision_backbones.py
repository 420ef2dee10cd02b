"""torchvision's ResNets and VGG-16 as backbones, from random or from ImageNet weights."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

from torch import Tensor, nn
from torch.hub import get_dir
from torch.nn import functional as F
from torchvision.models import get_model_weights
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vgg import cfgs, make_layers

from textspot.models.backbone import Backbone
from textspot.models.convolution import BasicBlock


@dataclass(frozen=True)
class ImageNetConfig:
    """A backbone of torchvision.

    Args:
        pretrained: start training from torchvision's ImageNet weights, downloaded once.
    """

    pretrained: bool = False


def imagenet_weights(kind: str) -> dict[str, Tensor]:
    """torchvision's ImageNet weights, from torch's cache or downloaded into it."""
    weights = get_model_weights(kind).DEFAULT
    try:
        return weights.get_state_dict(progress=False)
    except OSError as error:
        raise ValueError(
            f"model.backbone.{kind}.pretrained: {weights.url} could not be downloaded ({error}). Put that file into "
            f"{Path(get_dir()) / 'checkpoints'}, or train from scratch with model.backbone.{kind}.pretrained: false"
        ) from error


class _Bottleneck(Bottleneck):
    """torchvision's, with each module called once, as in `BasicBlock`."""

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        x = F.relu(self.bn2(self.conv2(x)), inplace=True)
        return self.relu(self.bn3(self.conv3(x)).add_(shortcut))


class TorchvisionResNet(Backbone):
    """One of torchvision's ResNets without its classifier."""

    Config = ImageNetConfig
    stem_split = 3
    kind: ClassVar[str]
    block: ClassVar[type[BasicBlock | Bottleneck]]
    depths: ClassVar[list[int]]

    def __init__(self, config: ImageNetConfig, fetch_weights: bool = False):
        super().__init__(config, fetch_weights)
        network = ResNet(self.block, self.depths, zero_init_residual=True)
        if config.pretrained and fetch_weights:
            network.load_state_dict(imagenet_weights(self.kind))
        self.stem = nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool)
        self.stages = nn.ModuleList([network.layer1, network.layer2, network.layer3, network.layer4])
        self.channels = (64, *(self.block.expansion * width for width in (64, 128, 256, 512)))


class ResNet18(TorchvisionResNet):
    """11 million parameters."""

    kind, block, depths = "resnet18", BasicBlock, [2, 2, 2, 2]


class ResNet34(TorchvisionResNet):
    """21 million parameters."""

    kind, block, depths = "resnet34", BasicBlock, [3, 4, 6, 3]


class ResNet50(TorchvisionResNet):
    """24 million parameters."""

    kind, block, depths = "resnet50", _Bottleneck, [3, 4, 6, 3]


class TorchvisionVgg(Backbone):
    """The convolutions of torchvision's VGG-16 with BatchNorm, without which so deep a plain network hardly learns from
    scratch; the map at stride 32 is the last pooling's."""

    Config = ImageNetConfig

    def __init__(self, config: ImageNetConfig, fetch_weights: bool = False):
        super().__init__(config, fetch_weights)
        features = make_layers(cfgs["D"], batch_norm=True)
        for module in features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if config.pretrained and fetch_weights:
            tensors = imagenet_weights("vgg16_bn")
            kept = {name: tensor for name, tensor in tensors.items() if name.startswith("features.")}
            features.load_state_dict({name.removeprefix("features."): tensor for name, tensor in kept.items()})
        after_pooling = [number + 1 for number, module in enumerate(features) if isinstance(module, nn.MaxPool2d)]
        stride_4, stride_8, stride_16, stride_32 = after_pooling[1:]
        self.stem = features[:stride_4]
        ends = pairwise((stride_4, stride_8 - 1, stride_16 - 1, stride_32 - 1, stride_32))
        self.stages = nn.ModuleList([features[start:end] for start, end in ends])
        self.channels = (128, 256, 512, 512, 512)
        self.stem_split = stride_4 - 1
