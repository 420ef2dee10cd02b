"""Many precisions beside the float network: nothing measured twice, and a table that says what was measured."""

import copy
import json
import shutil
import sys
from dataclasses import replace

import cv2
import numpy as np
import onnx
import pytest
from matplotlib.axes import Axes

from textspot.benchmark.timing import Ratio
from textspot.compression.accuracy import Accuracy
from textspot.compression.engine import EngineTiming
from textspot.compression.plot import plot_changes
from textspot.compression.report import compare_folders, compare_methods, to_markdown
from textspot.compression.spotter import SpotterQuantConfig, default_layer, float_layers, quantize_spotter
from textspot.compression.sweep import (
    FLOAT,
    OLDER_KEYS,
    EvaluationSetup,
    Result,
    Sweep,
    Variant,
    check_template,
    count_multiplications,
    read_beside,
    read_variants,
)
from textspot.compression.toolkits import TOOLKITS, run_toolkit
from textspot.data.lmdb_records import Reader
from textspot.quant import build_method
from textspot.quant.affine import QuantizerConfig
from textspot.quant.correction import CorrectionConfig
from textspot.quant.layers import LayerConfig
from textspot.quant.smoothing import SmoothingConfig

DETECTION, END_TO_END = "icdar2015/detection_iou", "icdar2015/end_to_end"


def build_sweep(learned, images, folder, said, config=None):
    network, card, _, data = learned
    evaluation = EvaluationSetup({"two": Reader(data)}, runtime="pytorch")
    return Sweep(network, card, config or SpotterQuantConfig(), images, evaluation, folder, say=said.append)


@pytest.fixture(scope="module")
def measured(learned, images, tmp_path_factory):
    """A folder where a network and its quantised one were measured in the defaults; the results; what was said."""
    folder, said = tmp_path_factory.mktemp("measured"), []
    sweep = Sweep(*learned[:2], SpotterQuantConfig(), images, evaluate_in(learned), folder, say=said.append)
    return folder, sweep.run(read_variants(["rtn"], ["w8a8"])), said


def evaluate_in(learned, *runtime):
    return EvaluationSetup({"two": Reader(learned[3])}, *runtime, num_threads=1)


def test_what_was_measured_before_is_not_measured_again(learned, images, measured):
    folder, first, said = measured
    assert [result.name for result in first] == [FLOAT, "rtn-w8a8"]
    assert said == ["float: two", "rtn-w8a8: two"]
    for one in first:
        assert one.accuracies["two"].hmeans() == {DETECTION: 1.0, END_TO_END: 1.0}
        assert one.reading["two"]["recognition/word_accuracy"] == 1.0
    assert {"rtn-w8a8.safetensors", "rtn-w8a8.onnx", "float.onnx"} <= {file.name for file in folder.iterdir()}
    more: list[str] = []
    sweep = Sweep(*learned[:2], SpotterQuantConfig(), images, evaluate_in(learned), folder, say=more.append)
    again = sweep.run(read_variants(["rtn"], ["w8a8"]))
    assert more == ["float: measured before", "rtn-w8a8: measured before"]
    assert to_markdown(again, {}) == to_markdown(first, {})


@pytest.mark.parametrize("toolkit", TOOLKITS)
def test_another_quantiser_gets_the_same_graph_and_images(learned, images, measured, tmp_path, toolkit):
    pytest.importorskip({"nncf": "nncf", "quantize_static": "onnxruntime"}[toolkit])
    shutil.copytree(measured[0], tmp_path, dirs_exist_ok=True)
    sweep = Sweep(*learned[:2], SpotterQuantConfig(), images, evaluate_in(learned), tmp_path)
    floating, quantized = sweep.run([], [toolkit])
    assert quantized.name == f"{toolkit}-w8a8"
    assert quantized.accuracies["two"].hmeans() == {DETECTION: 1.0, END_TO_END: 1.0}
    assert quantized.bytes["file"] < 0.45 * (tmp_path / "float.onnx").stat().st_size
    assert (quantized.reading, quantized.multiplications) == ({}, floating.multiplications)
    graph = onnx.load(tmp_path / f"{toolkit}-w8a8.onnx").graph
    integers = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    assert sum(node.input[1] not in integers for node in convolutions) == len(float_layers(learned[0]))


def test_only_what_is_quantised_is_read_in_another_precision(learned, images, measured, tmp_path, monkeypatch):
    pytest.importorskip("openvino")
    shutil.copytree(measured[0], tmp_path, dirs_exist_ok=True)
    monkeypatch.setattr("textspot.compression.sweep.export_onnx", lambda *_: None)  # the graphs lie there already
    evaluation = evaluate_in(learned, "openvino", "bf16")
    sweep = Sweep(*learned[:2], SpotterQuantConfig(), images, evaluation, tmp_path)
    results = sweep.run(read_variants(["rtn"], ["w8a8"]))
    assert [result.measured_in for result in results] == ["openvino (float32)", "openvino (bf16)"]
    assert results[1].accuracies["two"].hmeans()[END_TO_END] == 1.0


@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime", "auto"])
def test_a_precision_that_a_runtime_does_not_have_is_refused_at_once(untrained, images, tmp_path, runtime):
    network, card, _, data = untrained
    evaluation = EvaluationSetup({"two": Reader(data)}, runtime, "bf16")
    with pytest.raises(ValueError, match=f"precision is 'bf16', expected float32 in {runtime}: OpenVINO has bf16"):
        Sweep(network, card, SpotterQuantConfig(), images, evaluation, tmp_path).run([])


def test_quantisers_of_others_that_cannot_be_used_are_refused_at_once(untrained, images, tmp_path, monkeypatch):
    sweep = build_sweep(untrained, images, tmp_path, [])
    with pytest.raises(ValueError, match="what quantize_static make does not run in PyTorch: choose another runtime"):
        sweep.run([], ["quantize_static"])
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(ValueError, match="nncf is not installed: pip install nncf"):
        sweep.run([], ["nncf"])
    assert not list(tmp_path.iterdir())


def test_a_layer_to_keep_that_no_graph_has_is_named(untrained, images, exported, tmp_path):
    with pytest.raises(ValueError, match=r"no convolution of the graph is called detector\.mask"):
        run_toolkit(
            "quantize_static", exported / "spotter.onnx", untrained[1], ["detector.mask"], images, tmp_path / "out.onnx"
        )


def test_what_was_measured_of_another_network_or_in_another_way_is_not_taken(untrained, images, tmp_path, monkeypatch):
    monkeypatch.setattr(Sweep, "measure_float", lambda _: result(FLOAT, 4))
    network, *others = untrained
    card, *paths = others
    for change in ("nothing", "rank", "weights", "images", "threshold"):
        said: list[str] = []
        layer = LayerConfig(correction=CorrectionConfig(rank=3 if change == "rank" else 32))
        other = copy.deepcopy(network)
        if change == "weights":
            other.detector.score.bias.data += 1
        chosen = images[:1] if change == "images" else images
        used = replace(card, threshold=0.3 if change == "threshold" else card.threshold)
        for _ in range(2):
            build_sweep((other, used, *paths), chosen, tmp_path, said, SpotterQuantConfig(layer)).run([])
        assert said == ["float: measured before"], change


def test_corrections_cost_multiplications(untrained, images):
    network, card, *_ = untrained
    counts = {}
    for method in ("rtn", "lorc"):
        layer = replace(build_method(method, 4, 8), correction=replace(build_method(method).correction, budget=0.2))
        quantized = quantize_spotter(network, card, SpotterQuantConfig(layer, few_weights=0), images)
        counts[method] = count_multiplications(quantized)
    assert counts["rtn"] == count_multiplications(network)
    assert 1.001 < counts["lorc"] / counts["rtn"] < 1.2


def test_progress_of_a_calibration_that_goes_over_the_images_up_to_three_times(untrained, images):
    network, card, *_ = untrained
    for method, bits, passes in (("rtn", 8, 1), ("aser", None, 2), ("aser", 8, 3)):
        said = []

        def track(items, what, said=said):
            said.append((len(items), what))
            return items

        layer = build_method(method)
        layer = replace(layer, correction=replace(layer.correction, bits=bits))
        quantize_spotter(network, card, SpotterQuantConfig(layer, few_weights=0), images, track)
        assert said == [(len(images), "calibrating")] * passes


def test_a_variant_changes_of_its_template_bits_and_kinds_only():
    template = LayerConfig(correction=CorrectionConfig(rank=5, budget=0.3, bits=8))
    layer = Variant("aser", 4, 6).layer(template)
    assert (layer.weight.bits, layer.activation.bits, layer.smoothing.kind) == (4, 6, "aser")
    assert layer.correction == CorrectionConfig("whitened", rank=5, budget=0.3, bits=8)
    assert Variant("rtn", 8, 8).layer(layer).correction.kind == "none"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"weight": QuantizerConfig(4)}, "layer.weight.bits: bits and methods say that"),
        ({"activation": None}, "layer.activation:"),
        ({"activation": QuantizerConfig(6)}, "layer.activation.bits:"),
        ({"smoothing": SmoothingConfig("smoothquant")}, "layer.smoothing.kind:"),
        ({"correction": CorrectionConfig("diagonal", 3)}, "layer.correction.kind:"),
    ],
)
def test_what_every_variant_decides_is_not_for_the_template_to_say(changes, words):
    check_template(default_layer())
    check_template(replace(default_layer(), correction=CorrectionConfig(rank=3)))
    with pytest.raises(ValueError, match=words):
        check_template(replace(default_layer(), **changes))


@pytest.mark.parametrize(
    ("methods", "bits", "message"),
    [(["rtn"], ["8"], "bits is '8', expected the likes of w8a8"), (["best"], ["w8a8"], "no method is called 'best'")],
)
def test_variants_that_cannot_be(methods, bits, message):
    with pytest.raises(ValueError, match=message):
        read_variants(methods, bits)


def result(name: str, right: int, **changes) -> Result:
    """Thirty images with four words each, of which so many are right."""
    credits = np.tile([right, 4, right, 4], (30, 1)).astype(float)
    accuracy = Accuracy({DETECTION: credits, END_TO_END: credits})
    reading = {"val": {"recognition/word_accuracy_case_insensitive": right / 4}}
    values = {"bytes": {"weights": 2**20, "low_rank": 2**18}, "multiplications": 1000, "measured_in": "somewhere"}
    return Result(name, accuracies={"val": accuracy}, reading=reading, **(values | changes))


def test_the_table_says_what_is_lost_and_how_fast_it_is():
    results = [result(FLOAT, 4), result("rtn-w4a8", 3), result("aser-w4a8", 4, multiplications=1100)]
    timings = {"onnxruntime": {"rtn-w4a8": EngineTiming(80.0, 20.0, Ratio(4.0, 3.9, 4.1))}}
    lines = to_markdown(results, timings).splitlines()
    assert lines[2].startswith("| float | 1.25 | 0.25 | +0.0% | 1.000 | 1.000 |  | 1.000 | 80 |")
    assert "0.750 | 0.750 | -25.0 (-25.0 to -25.0) | 0.750 | 20 (4.00 (3.90 to 4.10)) |" in lines[3]
    assert "| +10.0% | 1.000 | 1.000 | +0.0 (+0.0 to +0.0) |" in lines[4]
    assert lines[-1].endswith("in somewhere, at the threshold of the weights.")
    gains = compare_methods(results).splitlines()
    assert gains[2] == "| aser-w4a8 | rtn-w4a8 | val | +25.0 (+25.0 to +25.0) | yes | +10.0% |"
    assert compare_methods(results[:2]) == ""


def test_networks_stand_beside_their_namesakes_of_another_folder():
    others = {"rtn-w4a8": result("rtn-w4a8", 3)}
    lines = compare_folders([result(FLOAT, 4), result("rtn-w4a8", 4), result("aser-w4a8", 4)], "there", others)
    assert lines.splitlines()[2:] == ["| rtn-w4a8 | there: rtn-w4a8 | val | +25.0 (+25.0 to +25.0) | yes | +0.0% |"]


def write_older_words(file):
    """The kept result as versions wrote it that spoke of judging."""
    kept = json.loads(file.read_text())
    for older, today in OLDER_KEYS.items():
        for part in kept.values():
            if today in part:
                part[older] = part.pop(today)
    file.write_text(json.dumps(kept))


def test_only_what_was_evaluated_alike_stands_beside(untrained, images, tmp_path, monkeypatch):
    network, card, _, data = untrained
    sweep = build_sweep(untrained, images, tmp_path, [])
    variants = read_variants(["rtn"], ["w8a8"])
    monkeypatch.setattr(Sweep, "measure", lambda _, variant: result(variant.name, 3))
    monkeypatch.setattr(Sweep, "measure_float", lambda _: result(FLOAT, 4))
    sweep.run(variants)
    both = read_variants(["rtn", "aser"], ["w8a8"])
    found = read_beside(tmp_path, both, network, card, sweep.evaluation)
    write_older_words(tmp_path / "rtn-w8a8.json")
    assert read_beside(tmp_path, both, network, card, sweep.evaluation).keys() == found.keys()
    assert {name: one.to_dict() for name, one in found.items()} == {"rtn-w8a8": result("rtn-w8a8", 3).to_dict()}
    evaluation = EvaluationSetup({"two": Reader(data)}, runtime="onnxruntime")
    with pytest.raises(ValueError, match=r"rtn-w8a8\.json cannot stand beside .* evaluated with other runtime"):
        read_beside(tmp_path, both, network, card, evaluation)
    with pytest.raises(ValueError, match="holds none of rtn-w4a8"):
        read_beside(tmp_path, read_variants(["rtn"], ["w4a8"]), network, card, sweep.evaluation)


def test_the_plot_shows_every_network_but_float(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(Axes, "barh", lambda _, names, sizes, **__: drawn.append((names, sizes)))
    plot_changes([result(FLOAT, 4), result("rtn-w4a8", 3), result("aser-w8a8", 4)], tmp_path / "plot.png")
    assert drawn == [(["rtn-w4a8", "aser-w8a8"], [1.25, 1.25])]
    assert min(cv2.imread(str(tmp_path / "plot.png")).shape[:2]) > 200


def test_what_exists_as_a_graph_alone_leaves_a_cell_empty():
    graph = replace(result("nncf-w8a8", 3), reading={})
    assert to_markdown([result(FLOAT, 4), graph], {}).splitlines()[3].endswith("| -25.0 (-25.0 to -25.0) |  |")


def test_a_result_comes_back_from_json():
    one = result("rtn-w4a8", 3)
    again = Result.from_dict(json.loads(json.dumps(one.to_dict())))
    assert again.to_dict() == one.to_dict()
    assert again.accuracies["val"].hmeans() == {DETECTION: 0.75, END_TO_END: 0.75}
