"""Linear and convolution layers as matrix products over unfolded patches, and the statistics of their inputs.

Legend: G groups, O output channels of a group, J = input channels of a group * kernel height * kernel width, N columns
(tokens, positions), C input channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.quant.observers import sample_places

COLUMNS_PER_CALL = 2048  # that X X^T is summed over; all 60,000 of a map of 184 x 320 would take seconds a layer

Layer = nn.Linear | nn.Conv2d


def num_groups(layer: Layer) -> int:
    """1 for a linear layer."""
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def num_inputs(layer: Layer) -> int:
    """Input channels, of all groups."""
    return layer.in_channels if isinstance(layer, nn.Conv2d) else layer.in_features


def to_matrix(layer: Layer) -> Tensor:
    """The weights (G, O, J)."""
    return layer.weight.detach().reshape(num_groups(layer), -1, layer.weight[0].numel())


def unfold(layer: Layer, x: Tensor) -> Tensor:
    """An input of the layer as columns (G, J, N): the layer's output is `to_matrix(layer) @ columns` plus its bias."""
    if isinstance(layer, nn.Linear):
        return x.reshape(-1, x.shape[-1]).T[None]
    images = x if x.ndim == 4 else x[None]
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    padded = F.pad(images, layer._reversed_padding_repeated_twice, mode)
    patches = F.unfold(padded, layer.kernel_size, layer.dilation, 0, layer.stride)
    return patches.unflatten(1, (layer.groups, -1)).movedim(0, 2).flatten(2)


def over_columns(layer: Layer, values_C: Tensor) -> Tensor:
    """A value per input channel, as a value per row of the unfolded input: (G, J)."""
    return values_C.repeat_interleave(layer.weight[0, 0].numel()).reshape(num_groups(layer), -1)


def over_weight(layer: Layer, values_C: Tensor) -> Tensor:
    """A value per input channel, shaped so that it multiplies the layer's weight."""
    return (
        over_columns(layer, values_C)
        .repeat_interleave(len(layer.weight) // num_groups(layer), dim=0)
        .reshape(layer.weight.shape)
    )


def by_input_channel(layer: Layer) -> Tensor:
    """The weights that read each input channel: (C, O * kernel height * kernel width)."""
    groups = num_groups(layer)
    weight = layer.weight.detach().reshape(groups, len(layer.weight) // groups, num_inputs(layer) // groups, -1)
    return weight.transpose(1, 2).reshape(num_inputs(layer), -1)


class InputStatistics:
    """What the methods want to know of a layer's inputs, over the whole calibration.

    absolute_sum and absolute_max (C,) float64 are of the input itself, over `count` tokens or positions; gram (G, J, J)
    float64 is X X^T, of large inputs by a sample of their columns, if it is wanted at all; `examples` are the first
    `num_examples` inputs, one image of each.
    """

    def __init__(self, layer: Layer, with_gram: bool = True, num_examples: int = 0):
        self.layer, self.with_gram, self.num_examples = layer, with_gram, num_examples
        self.count = 0
        weight = to_matrix(layer).double()
        self.absolute_sum = weight.new_zeros(num_inputs(layer))
        self.absolute_max = weight.new_zeros(num_inputs(layer))
        self.gram = weight.new_zeros(len(weight), *[weight.shape[2]] * 2) if with_gram else weight.new_zeros(0)
        self.examples: list[Tensor] = []

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Look at one input of the layer; no values are none to see. One that is not finite is a `ValueError`."""
        if not x.numel():
            return
        if not x.isfinite().all():
            raise ValueError("values that are not finite (NaN or infinity)")
        channels = x.reshape(-1, x.shape[-1]).T if isinstance(self.layer, nn.Linear) else x.movedim(-3, 0).flatten(1)
        channels = channels.abs().double()
        self.count += channels.shape[1]
        self.absolute_sum += channels.sum(dim=1)
        self.absolute_max = torch.maximum(self.absolute_max, channels.amax(dim=1))
        images = x.split(1) if x.ndim == 4 else [x]  # all patches of a batch at once would take kernel-size times it
        if self.with_gram:
            for number, image in enumerate(images):
                columns = unfold(self.layer, image)
                most = max(1, COLUMNS_PER_CALL // len(images))
                places = sample_places(columns.shape[2], most, seed=self.count + number)  # of each image other ones
                sample = columns[:, :, places.to(columns.device)].double()
                self.gram += sample @ sample.mT * (columns.shape[2] / len(places))
        if len(self.examples) < self.num_examples:
            self.examples.append(images[0].detach().clone())

    @property
    def absolute_mean(self) -> Tensor:
        """The mean of |x| of each input channel."""
        return self.absolute_sum / self.count
