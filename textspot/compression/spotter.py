"""The spotting network as something to be quantised: what it is calibrated on, what stays float, what an engine adds.

`textspot.quant` knows no spotter; all it has to be told is here. Legend: B images, K regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from textspot.compression.block_tuning import cut_crops, to_batch, tune_blocks
from textspot.data.lmdb_records import Reader
from textspot.model_card import ModelCard
from textspot.models.convolution import AddedBranch
from textspot.models.detector import Detector
from textspot.models.neck import TopDownNeck
from textspot.models.spotting_network import SpottingNetwork
from textspot.preprocess import MULTIPLE, preprocess
from textspot.progress import Track, TrackedPasses, untracked
from textspot.quant import QuantConfig, calibrate, freeze, quantize
from textspot.quant.affine import ENGINE_BITS, QuantizerConfig
from textspot.quant.attention import expose_attention
from textspot.quant.correction import CorrectionConfig
from textspot.quant.layers import LayerConfig
from textspot.quant.reconstruction import ReconstructionConfig
from textspot.quant.smoothing import SmoothingConfig


def read_calibration_images(reader: Reader, count: int, card: ModelCard, track: Track = untracked) -> list[np.ndarray]:
    """`count` images spread evenly over a data set, as the network sees them: (H, W, 3) uint8. A data set that holds
    fewer is a ValueError."""
    if not 1 <= count <= len(reader):
        raise ValueError(f"{reader.path}: holds {len(reader)} images, {count} are wanted for the calibration")
    chosen = np.linspace(0, len(reader) - 1, count).round().astype(int).tolist()
    return [preprocess(reader.sample(index).image, card.preprocess)[0] for index in track(chosen, "reading images")]


def fingerprint(network: nn.Module) -> float:
    """A number that other weights hardly share."""
    return sum(float(tensor.double().abs().sum()) for tensor in network.state_dict().values())


class ReadImage:
    """Passes an image (H, W, 3) uint8 through a network as `Spotter` does: all regions at or above the threshold are
    read, and of an image without any the best one, so that the recogniser sees something."""

    def __init__(self, card: ModelCard):
        self.threshold, self.max_regions = card.threshold, card.postprocess.max_regions

    def __call__(self, network: nn.Module, image: np.ndarray) -> Any:
        spotter = cast(SpottingNetwork, network)
        return spotter.spot(to_batch(image), self.threshold, self.max_regions, min_regions=1).text_logits


def engine_outputs(network: SpottingNetwork) -> tuple[str, ...]:
    """The modules whose outputs an integer engine has to have quantised, or it would compute what writes or reads them
    in float: both sides of the sums of blocks and levels, what a tap adds to the patches, and every map that two
    modules read."""
    names = []
    for name, module in network.named_modules():
        if isinstance(module, BasicBlock | Bottleneck):
            last = "conv2" if isinstance(module, BasicBlock) else "conv3"
            names += [name, f"{name}.{last}"] + ([f"{name}.downsample"] if module.downsample is not None else [])
        if isinstance(module, nn.Sequential):
            names += [f"{name}.{child}" for child, part in module.named_children() if isinstance(part, nn.ReLU)]
        if isinstance(module, TopDownNeck | Detector):
            names += [f"{name}.{glob}" for glob in type(module).quantized_outputs]
        if isinstance(module, AddedBranch):
            names.append(name)
    return tuple(names)


def float_layers(network: SpottingNetwork) -> tuple[str, ...]:
    """Globs of the layers that stay float unless a user says otherwise: those that the heads declare. They cost
    little, and in 8 bits scores would be equal and coordinates coarse."""
    heads = {"detector": network.detector.keep_float, "recognizer": network.recognizer.keep_float}
    return tuple(f"{name}.{glob}" for name, globs in heads.items() for glob in globs)


def default_layer() -> LayerConfig:
    """Round to nearest in 8 bits, all ranges by least squared error; corrections, if any, in 8 bits too."""
    weight = QuantizerConfig(symmetric=True, granularity="channel", observer="mse")
    return LayerConfig(weight, QuantizerConfig(observer="mse"), correction=CorrectionConfig(bits=ENGINE_BITS))


@dataclass(frozen=True)
class SpotterQuantConfig:
    """How a spotter is quantised.

    Args:
        layer: settings of each of its layers.
        few_weights: layers with fewer weights are rounded to nearest in 8 bits, whatever `layer` (`--quant.layer`)
            says; 0 for none. In `spotter-s` these layers hold a tenth of the weights and cause most of the loss at
            4 bits.
        overrides: settings for some layers, by glob over their names; if several globs match, the last one counts.
        keep_float: globs of layers that stay float; null takes those that the heads name (their `keep_float`).
        most_weight_bits: maximum number of bits of any weight. 7 is for CPUs without VNNI, on which an engine adds
            two 8-bit products within 16 bits: the largest overflow.
        engine: quantise the tensors between layers too, so that ONNX Runtime and OpenVINO compute in integers.
        output_bits: bits of these tensors, which are added or read by several layers; null for those of the layers'
            inputs. Published 4-bit figures leave such tensors float.
        reconstruction: tuning of the blocks from the image to the detector after the calibration; null leaves that
            out.
        crop_side: side in pixels of the squares, one of each calibration image, that blocks are tuned on.
    """

    layer: LayerConfig = field(default_factory=default_layer)
    few_weights: int = 40_000
    overrides: dict[str, LayerConfig] = field(default_factory=dict)
    keep_float: tuple[str, ...] | None = None
    most_weight_bits: int = ENGINE_BITS
    engine: bool = True
    output_bits: int | None = None
    reconstruction: ReconstructionConfig | None = None
    crop_side: int = 384

    def __post_init__(self) -> None:
        if self.crop_side < MULTIPLE or self.crop_side % MULTIPLE:
            raise ValueError(f"crop_side is {self.crop_side}, expected a multiple of {MULTIPLE}")
        if not 2 <= self.most_weight_bits <= ENGINE_BITS:
            raise ValueError(f"most_weight_bits is {self.most_weight_bits}, expected 2 to {ENGINE_BITS}")
        if self.output_bits is not None and not 2 <= self.output_bits <= ENGINE_BITS:
            raise ValueError(f"output_bits is {self.output_bits}, expected 2 to {ENGINE_BITS}, or null")


def resolve_float_layers(config: SpotterQuantConfig, network: SpottingNetwork) -> SpotterQuantConfig:
    """The config with the layers named that stay float."""
    return config if config.keep_float is not None else replace(config, keep_float=float_layers(network))


def quantize_spotter(
    network: SpottingNetwork,
    card: ModelCard,
    config: SpotterQuantConfig,
    images: Sequence[np.ndarray],
    track: Track = untracked,
) -> SpottingNetwork:
    """A quantised copy, calibrated on images (H, W, 3) uint8 as `read_calibration_images` gives them, and frozen;
    `track` shows progress, up to three times over the images."""
    network, config = expose_attention(network), resolve_float_layers(config, network)
    outputs = engine_outputs(network) if config.engine and config.layer.activation is not None else ()
    small = _round_small_layers(network, config)
    layers = {name: _limit(layer, config) for name, layer in (small | config.overrides).items()}
    kept = config.keep_float or ()
    quantized = quantize(network, QuantConfig(_limit(config.layer, config), layers, kept, outputs, config.output_bits))
    with torch.inference_mode(config.reconstruction is None):  # what it makes cannot be tuned
        calibrate(quantized, TrackedPasses(images, "calibrating", track), ReadImage(card))
    if config.reconstruction is not None:
        crops = cut_crops(images, config.crop_side)
        tune_blocks(cast(SpottingNetwork, quantized), network, crops, config.reconstruction, track)
    freeze(quantized)
    return cast(SpottingNetwork, quantized)


def _limit(layer: LayerConfig, config: SpotterQuantConfig) -> LayerConfig:
    """A layer whose weights, those of its correction included, have no more bits than they may."""
    most, correction = config.most_weight_bits, layer.correction
    if correction.bits is not None:
        correction = replace(correction, bits=min(correction.bits, most))
    weight = replace(layer.weight, bits=min(layer.weight.bits, most))
    return replace(layer, weight=weight, correction=correction)


def _round_small_layers(network: SpottingNetwork, config: SpotterQuantConfig) -> dict[str, LayerConfig]:
    """How the layers of few weights, of those that are quantised, are: by name."""
    layer = config.layer
    rounded = replace(
        layer,
        weight=replace(layer.weight, bits=ENGINE_BITS),
        activation=layer.activation and replace(layer.activation, bits=ENGINE_BITS),
        smoothing=SmoothingConfig(),
        correction=CorrectionConfig(),
    )
    return {
        name: rounded
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
        and module.weight.numel() < config.few_weights
        and name not in config.overrides  # whose place among the overrides is the user's
        and not any(fnmatchcase(name, glob) for glob in config.keep_float or ())
    }
