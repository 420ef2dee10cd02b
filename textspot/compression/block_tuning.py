"""Block reconstruction of a spotter: which modules are tuned, one after the other, and on what."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from textspot.models.spotting_network import SpottingNetwork
from textspot.progress import Track, untracked
from textspot.quant.layers import quantized_layers
from textspot.quant.reconstruction import BlockError, ReconstructionConfig, reconstruct

LAYERS = (nn.Conv2d, nn.Linear)


def to_batch(image: np.ndarray) -> Tensor:
    """An image (H, W, 3) as (1, 3, H, W)."""
    return torch.from_numpy(image)[None].permute(0, 3, 1, 2)


class DetectImage:
    """Passes an image (H, W, 3) uint8 through all of a network but its recogniser, whose regions are others once the
    detector is quantised."""

    def __call__(self, network: nn.Module, image: np.ndarray) -> Any:
        return cast(SpottingNetwork, network).detect(to_batch(image))[1]


def detection_blocks(network: SpottingNetwork) -> list[str]:
    """The modules that are tuned one by one, from the image to the detector's maps, but for what stays float:
    residual blocks, convolutions with the ReLU behind them, and single ones."""
    layers = [name for name, module in network.named_modules() if isinstance(module, LAYERS)]
    inside = [name for name in layers if name.partition(".")[0] in ("backbone", "neck", "detector")]
    return list(dict.fromkeys(_block_of(network, name) for name in inside))


def _block_of(network: nn.Module, layer: str) -> str:
    """The residual block around a layer, or the sequence that has no other layer, or the layer itself."""
    parts = layer.split(".")
    around = [".".join(parts[:count]) for count in range(len(parts) - 1, 0, -1)]
    for name in around:
        if isinstance(network.get_submodule(name), BasicBlock | Bottleneck):
            return name
    parent = network.get_submodule(around[0])
    alone = sum(isinstance(part, LAYERS) for part in parent.modules()) == 1
    return around[0] if isinstance(parent, nn.Sequential) and alone else layer


def cut_crops(images: Sequence[np.ndarray], side: int, seed: int = 0) -> list[np.ndarray]:
    """A square of `side` pixels from anywhere in each image (H, W, 3), or all of a side that is shorter."""
    generator = np.random.default_rng(seed)
    crops = []
    for image in images:
        top, left = (generator.integers(max(1, length - side + 1)) for length in image.shape[:2])
        crops.append(np.ascontiguousarray(image[top : top + side, left : left + side]))
    return crops


def tune_blocks(
    quantized: SpottingNetwork,
    network: SpottingNetwork,
    crops: Sequence[np.ndarray],
    config: ReconstructionConfig,
    track: Track = untracked,
) -> dict[str, BlockError]:
    """Tune, in place, the blocks of a calibrated network that hold a quantised layer, on crops (H, W, 3) uint8; their
    errors, by name."""
    blocks = [name for name in detection_blocks(network) if quantized_layers(quantized.get_submodule(name))]
    errors: dict[str, BlockError] = {}
    for name in track(sort_as_they_run(network, blocks, crops[0]), "tuning blocks"):
        errors |= reconstruct(quantized, network, [name], crops, config, DetectImage())
    return errors


@torch.no_grad()
def sort_as_they_run(network: SpottingNetwork, names: Sequence[str], image: np.ndarray) -> list[str]:
    """The names of modules of the detection part in the order in which they run on an image (H, W, 3): a top-down neck
    has its coarsest level last and runs it first."""
    order: list[str] = []
    hooks = [
        network.get_submodule(name).register_forward_pre_hook(lambda _module, _args, name=name: order.append(name))
        for name in names
    ]
    try:
        DetectImage()(network, image)
    finally:
        for hook in hooks:
            hook.remove()
    return sorted(names, key=order.index)
