"""What every recogniser shares: a patch's height is brought to one, a context looks along the line, a layer classifies.

Legend: R regions, D channels, T time, C classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from textspot.models.convolution import AddedBranch, BasicBlock, conv_bn_relu

PATCH_HEIGHT = 8  # rows that the convolutions bring to one
COLUMNS_PER_STEP = 2
BLANK_BIAS = 2.0  # most steps are blank: starting there saves the first hundred steps
NO_TAPS: Mapping[int, int] = {}
TAPS = {
    1: lambda channels, width: AddedBranch((channels, width // 4, width // 2, width), (2, 1, 2)),
    2: lambda channels, width: conv_bn_relu(channels, width, stride=2),
}


@dataclass(frozen=True)
class CollapseConfig:
    """What every reading head begins with.

    Args:
        widths: channels while the height is halved three times (8, 4, 2, 1 rows); the last is also that of the
            context layers.
        blocks: residual blocks at 8, 4 and 2 rows.
    """

    widths: tuple[int, int, int, int] = (64, 96, 128, 192)
    blocks: tuple[int, int, int] = (1, 1, 1)


@dataclass(frozen=True)
class RecognizerConfig(CollapseConfig):
    """A reading head with layers that look along the line.

    Args:
        widths: channels while the height is halved three times (8, 4, 2, 1 rows); the last is also that of the
            context layers.
        blocks: residual blocks at 8, 4 and 2 rows.
        context_layers: convolutions, or LSTMs, along the line once the height is 1.
        context_kernel: columns each of these convolutions sees.
        context_blocks: residual blocks of two such convolutions each that follow, so that each column sees many
            letters. Neighbouring letters help to read blurred ones. `crnn` gets LSTMs with as many parameters instead.
    """

    context_layers: int = 2
    context_kernel: int = 5
    context_blocks: int = 3

    def __post_init__(self) -> None:
        if self.context_kernel < 1 or self.context_kernel % 2 == 0:
            raise ValueError(
                f"context_kernel of model.recognizer is {self.context_kernel}, expected an odd number: an even one "
                "would add a time step per layer"
            )
        if min(*self.blocks, self.context_blocks, self.context_layers) < 0:
            raise ValueError(
                f"model.recognizer has blocks {self.blocks}, context_blocks {self.context_blocks} and context_layers "
                f"{self.context_layers}, expected numbers of 0 and more"
            )


class Recognizer(nn.Module):
    """Patches (R, D, 8, W) to logits (R, W / 2, C): convolutions bring the height to 1, a context looks along the line,
    one convolution classifies each step. Every module is called once.

    `tap_channels` are those of patches from finer maps by their stride: (R, 3, 32, 4 W) at stride 1, (R, D', 16, 2 W)
    at stride 2. They are brought to the shape of the others and added.
    """

    Config: ClassVar[type[CollapseConfig]] = CollapseConfig
    keep_float: ClassVar[tuple[str, ...]] = ("classifier",)  # globs of its layers that a quantiser leaves alone
    class_rows: ClassVar[tuple[str, ...]] = ("classifier.weight", "classifier.bias")  # parameters: a row per class

    def __init__(self, config: Any, in_channels: int, num_classes: int, tap_channels: Mapping[int, int] = NO_TAPS):
        super().__init__()
        self.taps = nn.ModuleDict(
            {str(tap): TAPS[tap](channels, in_channels) for tap, channels in tap_channels.items()}
        )
        first, second, third, last = config.widths
        at_8, at_4, at_2 = (
            [BasicBlock(width, width) for _ in range(depth)]
            for width, depth in zip((first, third, third), config.blocks, strict=True)
        )
        self.num_classes = num_classes
        self.patches = nn.Sequential(
            conv_bn_relu(in_channels, first).extend(at_8),
            conv_bn_relu(first, second, stride=(2, 2)),
            conv_bn_relu(second, third).extend(at_4),
            conv_bn_relu(third, third, stride=(2, 1)).extend(at_2),
            conv_bn_relu(third, last, kernel=(2, 3), padding=(0, 1)),
        )
        self.context, channels = self.build_context(config, num_classes)
        self.classifier = nn.Conv2d(channels, num_classes, 1)
        bias = self.classifier.get_parameter("bias")
        nn.init.zeros_(bias)
        nn.init.constant_(bias[:1], BLANK_BIAS)

    def build_context(self, config: Any, num_classes: int) -> tuple[nn.Module, int]:
        """A module from (R, config.widths[-1], 1, T) to (R, channels, 1, T), and these channels."""
        raise NotImplementedError

    def forward(self, patches: Tensor, *finer: Tensor) -> Tensor:
        """(R, D, 8, W), and the patches of finer maps in the order of `tap_channels`, to float32 logits (R, T, C).

        Without regions BatchNorm has nothing to measure: the layers are passed over, yet every parameter takes part in
        the graph, as DistributedDataParallel wants.
        """
        if self.training and patches.shape[0] == 0:
            touch = torch.stack([parameter.sum() for parameter in self.parameters()]).sum() + patches.sum()
            return touch.new_zeros(0, patches.shape[3] // COLUMNS_PER_STEP, self.num_classes) + 0 * touch
        logits = self.classifier(self.context(self.collapse(patches, *finer)))
        return logits.squeeze(2).transpose(1, 2).float()

    def collapse(self, patches: Tensor, *finer: Tensor) -> Tensor:
        """Patches as in `forward` to what the context is given: (R, config.widths[-1], 1, T)."""
        for tap, fine in zip(self.taps.values(), finer, strict=True):
            patches = patches + tap(fine)
        return self.patches(patches)
