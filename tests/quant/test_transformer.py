"""torchvision's transformers through the whole quantiser."""

from dataclasses import replace

import pytest
import torch
import transformers_of_others as others
from torch import nn
from toy_networks import relative_error

from textspot.quant.attention import expose_attention
from textspot.quant.layers import QuantConv2d, QuantLinear, QuantMatMul, QuantSoftmax
from textspot.quant.reconstruction import ReconstructionConfig
from textspot.quant.storage import load, save
from textspot.quant.synthesis import OBJECTIVES, ImageSpace, SynthesisConfig, plan_synthesis
from textspot.quant.transformer import TransformerConfig, quantize_transformer

pytestmark = pytest.mark.slow

PLAIN = TransformerConfig(reconstruction=None)


def weighted(network):
    return [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def bits_of(layer):
    return layer.config.weight.bits, layer.config.activation.bits


@pytest.mark.parametrize("kind", others.BUILDERS)
def test_more_bits_are_nearer(kind):
    """On a uniform grid: the steps of the log2 grid are as coarse at 8 bits as at 4."""
    network, images = others.build(kind, 8)
    uniform = replace(PLAIN, probabilities="uniform")
    errors = [
        relative_error(
            quantize_transformer(network, images, replace(uniform, weight_bits=w, activation_bits=a)), network, [images]
        )
        for w, a in ((8, 8), (6, 6), (4, 4))
    ]
    assert errors == sorted(errors)
    assert errors[0] < 0.1
    assert errors[0] < 0.3 * errors[-1]


@pytest.mark.parametrize("kind", others.BUILDERS)
def test_everything_that_multiplies_is_quantised(kind):
    network, images = others.build(kind)
    quantized = quantize_transformer(network, images, replace(PLAIN, weight_bits=4, activation_bits=5))
    layers = weighted(quantized)
    assert all(type(layer) in (QuantLinear, QuantConv2d) for layer in layers)
    assert {bits_of(layer) for layer in layers} == {(4, 5)}
    assert all(layer.config.weight.granularity == "channel" for layer in layers)
    kinds = [type(module) for module in quantized.modules()]
    assert kinds.count(QuantSoftmax) == others.NUM_BLOCKS
    assert kinds.count(QuantMatMul) == 2 * others.NUM_BLOCKS
    softmax = next(module for module in quantized.modules() if isinstance(module, QuantSoftmax))
    codes = torch.log2(softmax(torch.randn(2, 2, 9, 9)) / softmax.probability_quantizer.grids[0][0])
    torch.testing.assert_close(codes, codes.round())
    assert codes.min() >= -(2**5 - 1)


@pytest.mark.parametrize("kind", others.BUILDERS)
def test_the_first_layer_and_the_last_have_other_bits_if_told(kind):
    network, images = others.build(kind)
    quantized = quantize_transformer(network, images, replace(PLAIN, weight_bits=4, activation_bits=5, end_bits=7))
    first, *body, last = map(bits_of, weighted(quantized))
    assert first == last == (7, 7)
    assert set(body) == {(4, 5)}


@pytest.mark.parametrize("kind", others.BUILDERS)
def test_reconstruction_brings_it_nearer(kind):
    network, images = others.build(kind, 8)
    config = replace(PLAIN, weight_bits=4, activation_bits=8)
    tuned = replace(config, reconstruction=ReconstructionConfig(100, 2e-3))
    before, after = (
        relative_error(quantize_transformer(network, images, each), network, [images]) for each in (config, tuned)
    )
    assert after < 0.9 * before


def test_a_file_of_it(tmp_path):
    network, images = others.build("vit")
    quantized = quantize_transformer(network, images, replace(PLAIN, weight_bits=4))
    save(quantized, tmp_path / "vit.safetensors")
    again = load(tmp_path / "vit.safetensors", expose_attention(others.BUILDERS["vit"]()))
    assert torch.equal(again(images), quantized(images))


def test_switches():
    network, images = others.build("vit")
    outputs = [
        quantize_transformer(network, images, replace(PLAIN, weight_bits=4, activation_bits=4, **change))(images)
        for change in ({}, {"observer": "minmax"}, {"observer": "percentile"}, {"probabilities": "uniform"})
    ]
    for number, output in enumerate(outputs):
        assert all(not torch.equal(output, other) for other in outputs[:number])
    assert TransformerConfig().reconstruction == ReconstructionConfig(steps=100, learning_rate=4e-5)
    with pytest.raises(ValueError, match="no images to calibrate with"):
        quantize_transformer(network, images[:0])


@pytest.mark.parametrize("name", ["deit_small_patch16_224", "deit_tiny_distilled_patch16_224", "vit_small_patch16_224"])
def test_the_same_call_takes_a_network_of_timm(name):
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    shape = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 5}
    network = timm.create_model(name, **shape).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    settings = SynthesisConfig(num_images=3, steps=3, warmup_steps=1)
    synthesis = plan_synthesis(network, ImageSpace((32, 32)), OBJECTIVES["sardfq"], settings)
    images = synthesis.run()
    assert synthesis.history[0].keys() == {"attention", "labels", "variation"}
    quantized = quantize_transformer(network, images, TransformerConfig(8, 8, probabilities="uniform"))
    assert sum(isinstance(module, QuantSoftmax) for module in quantized.modules()) == 2
    assert 0 < relative_error(quantized, network, [images]) < 0.2
