"""The convolution all parts of the network are made of, and what may be added to a trained network: parts that change
nothing until they are trained."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models.resnet import BasicBlock as TorchvisionBasicBlock


class BasicBlock(TorchvisionBasicBlock):
    """torchvision's, starting as the identity (He et al. 2019, "Bag of tricks", 3.1), with each module called once: an
    observer of its one ReLU would see two distributions."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        nn.init.zeros_(self.bn2.weight)

    @property
    def is_neutral(self) -> bool:
        """Whether it gives what it takes."""
        return self.downsample is None and not self.bn2.weight.any()

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return self.relu(self.bn2(self.conv2(x)).add_(shortcut))


class LineBlock(BasicBlock):
    """A residual block that looks along a line: (N, C, H, W) to the same, `kernel` columns per convolution."""

    def __init__(self, channels: int, kernel: int):
        super().__init__(channels, channels)
        self.conv1, self.conv2 = (
            nn.Conv2d(channels, channels, (1, kernel), padding=(0, kernel // 2), bias=False) for _ in range(2)
        )


class AddedBranch(nn.Sequential):
    """Convolutions from `channels[0]` to `channels[-1]` whose output is added to something, at first as nothing: the
    last BatchNorm begins at zero, and no ReLU follows that would keep it there."""

    def __init__(self, channels: Sequence[int], strides: Sequence[int]):
        steps = zip(pairwise(channels), strides, strict=True)
        layers = [layer for (before, after), stride in steps for layer in conv_bn_relu(before, after, stride=stride)]
        super().__init__(*layers[:-1])
        nn.init.zeros_(self[-1].get_parameter("weight"))

    @property
    def is_neutral(self) -> bool:
        """Whether it adds nothing."""
        return not self[-1].get_parameter("weight").any()


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
