"""Where quantisation hurts: found where it was done."""

from itertools import chain

import pytest

from textspot.checkpoint import save_quantized
from textspot.compression.sensitivity import (
    Evaluator,
    examine,
    group_by_layer,
    group_by_stage,
    measure_drops,
    search_mixed,
)
from textspot.compression.spotter import ReadImage, SpotterQuantConfig, quantize_spotter
from textspot.compression.sweep import EvaluationSetup, Sweep, read_variants
from textspot.data.lmdb_records import Reader
from textspot.image_files import read_image
from textspot.quant import build_method
from textspot.quant.layers import LayerConfig, quantized_layers
from textspot.quant.sensitivity import measure_layers


@pytest.fixture(scope="module")
def useless_recognizer(learned, images):
    """Two bits for the recogniser, eight for all others."""
    overrides = {"recognizer.*": build_method("rtn", 2, 2)}
    return quantize_spotter(learned[0], learned[1], SpotterQuantConfig(overrides=overrides, keep_float=()), images)


def test_the_stages_hold_every_layer_once(useless_recognizer):
    groups = group_by_stage(useless_recognizer)
    assert list(groups) == ["backbone", "neck", "detector.tower", "detector.score", "detector.geometry", "recognizer"]
    assert sorted(chain.from_iterable(groups.values())) == sorted(quantized_layers(useless_recognizer))
    assert list(group_by_layer(useless_recognizer)) == list(quantized_layers(useless_recognizer))


def test_the_stage_that_cannot_bear_it_is_found(learned, useless_recognizer):
    evaluate = Evaluator(learned[1], Reader(learned[3]))
    drops = measure_drops(useless_recognizer, learned[0], group_by_stage(useless_recognizer), evaluate)
    assert drops["recognizer"] > 0.5
    assert all(abs(drop) < 0.2 for stage, drop in drops.items() if stage != "recognizer")


def test_the_layers_that_need_it_are_raised_and_no_others(learned, images, useless_recognizer):
    network, card, _, data = learned
    errors = {o.name: o.relative_error for o in measure_layers(useless_recognizer, network, images, ReadImage(card))}
    evaluate = Evaluator(card, Reader(data))
    mixed, found = search_mixed([useless_recognizer], network, errors, evaluate, max_drop=0.01)
    assert evaluate(mixed) >= evaluate(network) - 0.01
    raised = [name for name, number in found.choice.items() if number]
    assert raised
    assert all(name.startswith("recognizer.") for name in raised)
    assert len(raised) < len(quantized_layers(useless_recognizer))


@pytest.mark.slow
def test_all_that_is_asked_for_lies_beside_the_networks(learned, images, tmp_path):
    network, card, _, data = learned
    evaluation = EvaluationSetup({"two": Reader(data)}, runtime="pytorch")
    sweep = Sweep(network, card, SpotterQuantConfig(), images, evaluation, tmp_path, say=lambda _: None)
    variants = read_variants(["rtn"], ["w3a8", "w8a8"])
    for variant in variants:
        config = SpotterQuantConfig(variant.layer(LayerConfig()))
        save_quantized(sweep.file(variant.name, ".safetensors"), quantize_spotter(network, card, config, images), card)
    lines = examine(sweep, variants, Reader(data), "stages", 0.01)
    assert sum("when it alone is quantised" in line for line in lines) == 4
    assert "all other layers: rtn-w3a8" in lines[-1]
    for name in ("rtn-w3a8-spectra.png", "rtn-w3a8-stages.png"):
        assert read_image(tmp_path / name).shape[2] == 3
    assert (tmp_path / "mixed.onnx").stat().st_size > 10_000
