"""FCR, the fully convolutional recogniser of Sui et al. 2018: convolutions in place of the recurrent layers, then CTC.

The paper does not publish its layers; these are ours.
"""

from torch import nn

from textspot.models.convolution import LineBlock, conv_bn_relu
from textspot.models.recognizer import Recognizer, RecognizerConfig


class FullyConvolutionalRecognizer(Recognizer):
    """FCR: the context is convolutions along the line."""

    Config = RecognizerConfig

    def build_context(self, config: RecognizerConfig, num_classes: int) -> tuple[nn.Module, int]:  # noqa: ARG002
        last, kernel = config.widths[-1], (1, config.context_kernel)
        layers: list[nn.Module] = [conv_bn_relu(last, last, kernel) for _ in range(config.context_layers)]
        layers += [LineBlock(last, config.context_kernel) for _ in range(config.context_blocks)]
        return nn.Sequential(*layers), last
