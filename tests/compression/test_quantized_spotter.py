"""What a quantised spotter is, in PyTorch and in an integer engine."""

from collections import Counter
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_runs import overfit_recipe
from tiny_spotter import VIT_RECIPE, build_tiny_card, build_tiny_network, noise

import textspot
from textspot.checkpoint import load_mean, load_model, save_quantized
from textspot.compression.spotter import (
    ReadImage,
    SpotterQuantConfig,
    default_layer,
    engine_outputs,
    float_layers,
    quantize_spotter,
    read_calibration_images,
)
from textspot.data.lmdb_records import Reader
from textspot.inference.spotter import Spotter
from textspot.model_card import CheckpointError
from textspot.quant import build_method, count_bytes
from textspot.quant.affine import QuantizerConfig
from textspot.quant.layers import QuantMatMul, QuantSoftmax, activation_quantizers, quantized_layers
from textspot.quant.network import find_modules
from textspot.recipe import build_spotting_network
from textspot.runtime.export import export_onnx
from textspot.runtime.torch_runtime import TorchRuntime


@pytest.fixture(scope="module")
def quantized(learned, images):
    return quantize_spotter(learned[0], learned[1], SpotterQuantConfig(), images)


@pytest.fixture(scope="module")
def graph(learned, quantized, tmp_path_factory):
    """The quantised network as a file."""
    file = tmp_path_factory.mktemp("graph") / "int8.onnx"
    export_onnx(quantized, learned[1], file)
    return file


@pytest.fixture(scope="module")
def quantized_untrained(untrained, images):
    return quantize_spotter(untrained[0], untrained[1], SpotterQuantConfig(), images)


def texts(prediction) -> list[str]:
    return sorted(one.text for one in prediction)


def test_calibration_images_are_spread_evenly_and_padded(untrained):
    reader = Reader(untrained[3])
    both = read_calibration_images(reader, 2, untrained[1])
    assert [image.shape for image in both] == [(128, 160, 3)] * 2
    assert np.array_equal(read_calibration_images(reader, 1, untrained[1])[0], both[0])
    with pytest.raises(ValueError, match="holds 2 images, 3 are wanted for the calibration"):
        read_calibration_images(reader, 3, untrained[1])


def test_an_image_without_text_shows_the_recogniser_one_region(untrained):
    network, card, *_ = untrained
    logits = ReadImage(replace(card, threshold=1.0))(network, np.full((64, 64, 3), 128, np.uint8))
    assert logits.shape[:2] == (1, 1)


@pytest.mark.slow
def test_all_layers_are_quantised_but_the_three_that_stay_float(untrained, quantized_untrained):
    convolutions = [name for name, module in untrained[0].named_modules() if isinstance(module, torch.nn.Conv2d)]
    assert set(quantized_layers(quantized_untrained)) == set(convolutions) - set(float_layers(untrained[0]))


def test_layers_of_few_weights_are_rounded_to_eight_bits(untrained, images):
    network, card, *_ = untrained
    layer, other = build_method("aser", 4, 6), build_method("rtn", 2, 2)
    sizes = {name: part.weight.numel() for name, part in network.named_modules() if isinstance(part, torch.nn.Conv2d)}
    limit = sorted(sizes.values())[len(sizes) // 2]
    overrides = {"backbone.*": layer, "backbone.stem.0.0": other}
    twins = quantized_layers(quantize_spotter(network, card, SpotterQuantConfig(layer, limit, overrides), images))
    assert sizes["backbone.stem.0.0"] < limit
    assert twins.pop("backbone.stem.0.0").config == other  # what is asked for by name counts
    for name, twin in twins.items():
        few = sizes[name] < limit and not name.startswith("backbone.")
        assert (twin.config.weight.bits, twin.config.activation.bits) == ((8, 8) if few else (4, 6)), name
        assert (twin.config.correction.kind == "none") is few, name


def test_saved_and_loaded_it_is_the_same_to_the_bit(untrained, quantized_untrained, images, tmp_path):
    save_quantized(tmp_path / "model.safetensors", quantized_untrained, untrained[1])
    loaded, _ = load_model(tmp_path / "model.safetensors")
    pixels = torch.from_numpy(images[0]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        ours, theirs = (one.spot(pixels, 0.0, 4, 4) for one in (quantized_untrained, loaded))
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def test_saved_and_loaded_it_reads_what_it_has_learned_and_takes_a_quarter(learned, quantized, tmp_path):
    _, card, file, data = learned
    save_quantized(tmp_path / "model.safetensors", quantized, card)
    sample = Reader(data).sample(0)
    assert texts(textspot.load(tmp_path / "model.safetensors")(sample.image)) == sorted(sample.transcripts)
    counts = count_bytes(quantized)
    weights = sum(layer.weight.numel() for layer in quantized_layers(quantized).values())
    assert counts["weights"] == weights
    assert (tmp_path / "model.safetensors").stat().st_size < 0.4 * file.stat().st_size


def test_attention_in_the_trunk_is_quantised_saved_and_loaded(tmp_path):
    network, card = build_tiny_network(VIT_RECIPE), build_tiny_card(VIT_RECIPE)
    images = [noise(64, 96, seed) for seed in range(2)]
    quantized = quantize_spotter(network, card, SpotterQuantConfig(build_method("aser", 4, 8), few_weights=300), images)
    block = quantized.backbone.blocks[0]
    assert isinstance(block.self_attention.scores, QuantMatMul)
    assert isinstance(block.self_attention.mix, QuantMatMul)
    assert isinstance(block.self_attention.softmax, QuantSoftmax)
    bits = {name: layer.config.weight.bits for name, layer in quantized_layers(block).items()}
    assert bits == {"self_attention.qkv": 4, "self_attention.projection": 8, "mlp.0": 4, "mlp.3": 4}  # 256 are few
    save_quantized(tmp_path / "model.safetensors", quantized, card)
    loaded, _ = load_model(tmp_path / "model.safetensors")
    pixels = torch.from_numpy(images[0]).permute(2, 0, 1)[None]
    with torch.inference_mode():
        float_, ours, theirs = (one.spot(pixels, 0.0, 4, 4) for one in (network, quantized, loaded))
    assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))
    assert not torch.equal(ours.text_logits, float_.text_logits)


def test_quantised_networks_have_no_mean(untrained, quantized_untrained, tmp_path):
    save_quantized(tmp_path / "model.safetensors", quantized_untrained, untrained[1])
    with pytest.raises(CheckpointError, match="quantised, and its weights lie on a grid"):
        load_mean([untrained[2], tmp_path / "model.safetensors"])


def test_a_quantised_file_that_was_cut_short(untrained, quantized_untrained, tmp_path):
    file = tmp_path / "model.safetensors"
    save_quantized(file, quantized_untrained, untrained[1])
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cut short"):
        textspot.load(file)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_engine_reads_what_is_simulated(learned, graph, runtime):
    engine = textspot.load(graph, runtime=runtime)
    for index in range(2):
        sample = Reader(learned[3]).sample(index)
        assert texts(engine(sample.image)) == sorted(sample.transcripts)


def test_the_engine_computes_in_integers(learned, quantized, graph, tmp_path):
    """Every convolution but the three; and the file holds the weights as integers."""
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(tmp_path / "optimized.onnx"), 3
    onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])
    nodes = Counter(node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node)
    assert nodes["Conv"] + nodes["FusedConv"] == len(float_layers(learned[0]))
    assert nodes["QLinearConv"] == len(quantized_layers(quantized))
    assert nodes["QLinearAdd"] == 6 + 3  # blocks, and levels of the neck
    assert graph.stat().st_size < 0.45 * sum(parameter.nbytes for parameter in learned[0].parameters())


def test_outputs_are_on_both_sides_of_every_sum(tmp_path):
    network = build_spotting_network(overfit_recipe(tmp_path))
    outputs = find_modules(network, engine_outputs(network))
    for block in ("backbone.stages.0.0", "backbone.stages.3.0"):
        assert {block, f"{block}.conv2"} <= set(outputs)
    assert "backbone.stages.3.0.downsample" in outputs
    between = {"neck.lateral.0", "neck.smooth.3.2", "detector.tower.2", "recognizer.patches.4.2"}
    assert between | {"recognizer.taps.2.2", "recognizer.taps.1", "recognizer.taps.1.2"} <= set(outputs)
    assert not any(name.startswith(("detector.score", "recognizer.classifier")) for name in outputs)


def test_two_bits_read_nothing(learned, images):
    network, card, _, data = learned
    layer = build_method("rtn", 2, 2)
    useless = quantize_spotter(network, card, SpotterQuantConfig(layer, few_weights=0), images)
    sample = Reader(data).sample(0)
    assert texts(Spotter(TorchRuntime(useless, torch.device("cpu")), card)(sample.image)) != sorted(sample.transcripts)


def test_the_tensors_between_layers_may_have_other_bits_than_the_layers(untrained, images) -> None:
    network, card, *_ = untrained
    layer = replace(default_layer(), activation=QuantizerConfig(bits=4))
    quantized = quantize_spotter(network, card, SpotterQuantConfig(layer, few_weights=0, output_bits=8), images)
    outputs = [module.output_quantizer for module in quantized.modules() if hasattr(module, "output_quantizer")]
    assert {quantizer.config.bits for quantizer in outputs} == {8}
    others = [quantizer for quantizer in activation_quantizers(quantized) if quantizer not in outputs]
    assert {quantizer.config.bits for quantizer in others} == {4}
    with pytest.raises(ValueError, match="output_bits is 9, expected 2 to 8, or null"):
        SpotterQuantConfig(output_bits=9)
