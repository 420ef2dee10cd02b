"""A small plain vision transformer as the shared trunk: a convolutional stem, blocks that all look at the whole image
at stride 16, and a simple feature pyramid.

Sources: Dosovitskiy et al. 2021, "An image is worth 16x16 words" (blocks, here torchvision's); Xiao et al. 2021, "Early
convolutions help transformers see better" (stem); Chu et al. 2023, "Conditional positional encodings for vision
transformers"; Li et al. 2022, "Exploring plain vision transformer backbones for object detection", section 3 (pyramid).
Legend: B images, D channels, N tokens.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torchvision.models.vision_transformer import EncoderBlock

from textspot.models.backbone import Backbone
from textspot.models.convolution import conv_bn_relu


@dataclass(frozen=True)
class VitConfig:
    """The vision transformer.

    Args:
        width: channels of its tokens.
        depth: number of blocks.
        heads: number of heads of each block's attention.
    """

    width: int = 192
    depth: int = 6
    heads: int = 3

    def __post_init__(self) -> None:
        if min(self.width, self.depth, self.heads) < 1 or self.width % self.heads or self.width % 8:
            raise ValueError(
                f"model.backbone.vit has width {self.width}, depth {self.depth} and {self.heads} heads, expected "
                "numbers above 0 and a width that 8 and the number of heads divide"
            )


class VisionTransformerTrunk(Backbone):
    """Convolutions to stride 16, transformer blocks there, and maps at strides 4 to 32 made of what they give.

    Where tokens lie they learn from a 3x3 depthwise convolution, which sees the image's edge in its zeros: so any size
    divisible by 32 will do. To the maps at strides 4 and 8 the stem's own are added (not in the paper, whose objects
    are larger than letters): tokens of 16 pixels hold no strokes. Upsampling is a 1x1 convolution and a shuffle of its
    channels into pixels: the same as the paper's transposed convolution of stride 2, and a quantiser knows it.
    """

    Config = VitConfig

    def __init__(self, config: VitConfig, fetch_weights: bool = False):
        super().__init__(config, fetch_weights)
        width = config.width
        halves = (width // 8, width // 4, width // 2, width)
        self.channels = (*halves, width)
        self.stem = nn.ModuleList(
            conv_bn_relu(before, after, stride=2) for before, after in zip((3, *halves), halves, strict=False)
        )
        self.position = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.blocks = nn.Sequential(
            *(EncoderBlock(config.heads, width, 4 * width, 0.0, 0.0) for _ in range(config.depth))
        )
        self.norm = nn.LayerNorm(width)
        self.to_8 = _double(width, width // 2)
        up, shuffle = _double(width, width // 2)
        self.to_4 = nn.Sequential(  # the norm stands before the shuffle, so that it can be folded into the convolution
            *(up, nn.BatchNorm2d(2 * width), shuffle, nn.ReLU(inplace=True)), *_double(width // 2, width // 4)
        )
        self.to_32 = nn.MaxPool2d(2)

    def forward(self, image: Tensor) -> list[Tensor]:
        """(B, 3, H, W) normalised, H and W divisible by 32, to five maps at strides 2, 4, 8, 16, 32."""
        stem = []
        features = image
        for convolution in self.stem:
            features = convolution(features)
            stem.append(features)
        h, w = features.shape[-2:]
        tokens_BND = (features + self.position(features)).flatten(2).transpose(1, 2)
        tokens_BND = self.norm(self.blocks(tokens_BND))
        features = tokens_BND.transpose(1, 2).unflatten(2, (h, w))
        return [stem[0], stem[1] + self.to_4(features), stem[2] + self.to_8(features), features, self.to_32(features)]


def _double(in_channels: int, out_channels: int) -> nn.Sequential:
    """Twice the height and width."""
    return nn.Sequential(nn.Conv2d(in_channels, 4 * out_channels, 1), nn.PixelShuffle(2))
