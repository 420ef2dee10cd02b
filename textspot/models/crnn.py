"""The CRNN head (Shi et al. 2015), FCR's rival in Sui et al. 2018: bidirectional LSTMs look along the line.

Convolutions, classifier and CTC are those of FCR, and the LSTMs have as many parameters as the convolutions they stand
in for, so that the two differ in nothing else. Legend: R regions, D channels, T time, C classes.
"""

from dataclasses import dataclass

from torch import Tensor, nn

from textspot.models.recognizer import Recognizer, RecognizerConfig


@dataclass(frozen=True)
class RecurrentConfig(RecognizerConfig):
    __doc__ = RecognizerConfig.__doc__

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.context_layers < 1:
            raise ValueError("model.recognizer.crnn.context_layers is 0, expected at least 1")


class RecurrentContext(nn.Module):
    """Features (R, D, 1, T) to (R, 2 * hidden, 1, T) by bidirectional LSTMs."""

    def __init__(self, channels: int, hidden: int, num_layers: int):
        super().__init__()
        self.hidden = hidden
        self.lstm = nn.LSTM(channels, hidden, num_layers, batch_first=True, bidirectional=True)

    def forward(self, features: Tensor) -> Tensor:
        """Nothing for no regions, which an LSTM refuses."""
        if features.shape[0] == 0:
            return features.new_zeros(0, 2 * self.hidden, 1, features.shape[3])
        sequence, _ = self.lstm(features.squeeze(2).transpose(1, 2))
        return sequence.transpose(1, 2).unsqueeze(2)


class RecurrentRecognizer(Recognizer):
    """CRNN: the context is bidirectional LSTMs."""

    Config = RecurrentConfig

    def build_context(self, config: RecognizerConfig, num_classes: int) -> tuple[nn.Module, int]:
        hidden = matching_hidden_size(config, num_classes)
        return RecurrentContext(config.widths[-1], hidden, config.context_layers), 2 * hidden


def matching_hidden_size(config: RecognizerConfig, num_classes: int) -> int:
    """The hidden size with which CRNN's number of parameters comes nearest to that of FCR."""
    width, layers = config.widths[-1], config.context_layers
    convolutions = layers + 2 * config.context_blocks
    wanted = convolutions * (width * width * config.context_kernel + 2 * width) + width * num_classes

    def surplus(hidden: int) -> int:
        inputs = width + (layers - 1) * 2 * hidden
        return 8 * hidden * (inputs + layers * (hidden + 2)) + 2 * hidden * num_classes - wanted

    return min(range(1, width * config.context_kernel), key=lambda hidden: abs(surplus(hidden)))
