"""Which blocks of a spotter are tuned, on what, and that it helps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_spotter import build_tiny_network

from textspot.compression.block_tuning import DetectImage, cut_crops, detection_blocks, sort_as_they_run
from textspot.compression.spotter import SpotterQuantConfig, default_layer, quantize_spotter
from textspot.quant.affine import QuantizerConfig
from textspot.quant.reconstruction import ReconstructionConfig


def test_every_layer_before_the_recogniser_is_in_one_block():
    network = build_tiny_network()
    blocks = detection_blocks(network)
    assert len(blocks) == len(set(blocks))
    for name, module in network.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            around = [block for block in blocks if name == block or name.startswith(f"{block}.")]
            assert len(around) == (0 if name.startswith(("recognizer", "refinement", "tap")) else 1), name


def test_blocks_are_tuned_in_the_order_in_which_they_run(images):
    network = build_tiny_network()
    order = sort_as_they_run(network, detection_blocks(network), images[0])
    assert sorted(order) == sorted(detection_blocks(network))
    assert order[0] == "backbone.stem.0"
    assert order[-1] == "detector.geometry"
    neck = [name for name in order if name.startswith("neck")]
    assert neck == [f"neck.{kind}.{level}" for level in (3, 2, 1, 0) for kind in ("lateral", "smooth")]


def test_crops_are_squares_from_everywhere_or_the_whole_side():
    image = np.arange(96 * 128 * 3, dtype=np.int64).reshape(96, 128, 3)
    crops = cut_crops([image] * 30, 64)
    assert {crop.shape for crop in crops} == {(64, 64, 3)}
    assert len({crop[0, 0, 0] for crop in crops}) > 20
    assert all(np.isin(crop, image).all() for crop in crops)
    assert cut_crops([image], 128)[0].shape == (96, 128, 3)
    assert cut_crops([], 64) == []


@pytest.mark.parametrize("side", [0, 33])
def test_a_side_that_does_not_fit_the_strides(side):
    with pytest.raises(ValueError, match=f"crop_side is {side}, expected a multiple of 32"):
        SpotterQuantConfig(crop_side=side)


@pytest.mark.slow
def test_tuned_blocks_bring_the_maps_of_the_detector_nearer_to_the_float_ones(learned, images):
    network, card, *_ = learned
    layer = default_layer()
    four_bits = replace(layer, weight=replace(layer.weight, bits=4), activation=QuantizerConfig(bits=4, observer="mse"))
    config = SpotterQuantConfig(four_bits, few_weights=0)
    tuning = ReconstructionConfig(40, 1e-3, rounding="learned", rounding_rate=3e-2, scale_rate=1e-2)

    def error(config: SpotterQuantConfig) -> float:
        quantized, total = quantize_spotter(network, card, config, images), 0.0
        with torch.no_grad():
            for image in images:
                target, found = (DetectImage()(each, image).score_logits for each in (network, quantized))
                total += (found - target).square().mean().item()
        return total

    assert error(replace(config, reconstruction=tuning, crop_side=96)) < 0.8 * error(config)
