"""One file from image to texts, the same texts in every runtime, and no PyTorch where it says so."""

import json
import math
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from tiny_spotter import TINY_RECIPE, build_tiny_card, build_tiny_network, noise, save_tiny_spotter, write_noise

import textspot
from textspot import file_checksum
from textspot.cli import export as export_verb
from textspot.model_card import CheckpointError, ModelCard
from textspot.quant.folding import fold_batchnorm
from textspot.runtime.openvino_runtime import flatten_shared_map, open_core
from textspot.runtime.protocol import graph_inputs
from textspot.runtime.stored_weights import store
from textspot.structures import Prediction

RUNTIMES = ("onnxruntime", "openvino")


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    """The test's own folder, with weights and everything that is exported from them."""
    return Path(shutil.copytree(exported, tmp_path / "exported"))


@pytest.fixture
def weights_folder(tmp_path: Path) -> Path:
    """A folder with the weights alone."""
    return save_tiny_spotter(tmp_path / "weights" / "model.safetensors").parent


def rows(prediction: Prediction) -> np.ndarray:
    """Polygon and both scores of each instance (N, 10)."""
    return np.array([[*one.polygon.ravel(), one.score, one.text_score] for one in prediction]).reshape(-1, 10)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_exported_network_finds_and_reads_the_same(folder: Path, runtime: str) -> None:
    eager, exported = textspot.load(folder), textspot.load(folder / "spotter.onnx", runtime=runtime)
    assert exported.runtime.name == runtime
    assert (exported.threshold, exported.card) == (eager.threshold, eager.card.for_use())
    sizes = [(96, 128), (64, 320), (32, 32), (96, 128), (1, 1), (200, 40), (96, 128)]
    images = [noise(*size, seed) for seed, size in enumerate(sizes)]
    for batch_size in (1, 3):
        for threshold in (0.6, 0.7, 1.0):
            eager.threshold = exported.threshold = threshold
            predictions = eager.predict(images, batch_size), exported.predict(images, batch_size)
            for ours, theirs in zip(*predictions, strict=True):
                assert [one.text for one in theirs] == [one.text for one in ours]
                np.testing.assert_allclose(rows(theirs), rows(ours), atol=1e-3)
            assert any(len(prediction) for prediction in predictions[0]) == (threshold < 1)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_as_many_regions_are_read_as_there_are_peaks(folder: Path, runtime: str) -> None:
    exported, eager = (
        textspot.load(folder / name, runtime=r).runtime
        for name, r in (("spotter.onnx", runtime), ("model.safetensors", "pytorch"))
    )
    images = np.stack([noise(64, 96, seed) for seed in range(2)])
    for threshold in (0.5, 0.7, 1.0):
        for max_regions in (1, 5, 100):
            found, expected = (r.spot(images, threshold, max_regions) for r in (exported, eager))
            for ours, theirs in zip(found, expected, strict=True):
                assert len(ours.scores) == max(1, len(theirs.scores))  # the graph reads one at least
                assert ours.text_logits.shape[1:] == theirs.text_logits.shape[1:]
                assert (ours.scores >= threshold).sum() == (theirs.scores >= threshold).sum()
    assert len(expected[0].scores) == 0


def test_weights_lie_inside_the_file_and_the_graph_says_what_it_is(folder: Path) -> None:
    import onnx

    alone = folder / "alone"
    alone.mkdir()
    (alone / "spotter.onnx").write_bytes((folder / "spotter.onnx").read_bytes())
    model = onnx.load(alone / "spotter.onnx", load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert {opset.version for opset in model.opset_import if opset.domain == ""} == {20}
    assert [value.name for value in model.graph.input] == ["image", "threshold", "max_regions"]
    assert [value.name for value in model.graph.output] == ["ribbons", "scores", "text_logits"]
    assert not {node.op_type for node in model.graph.node} & {"BatchNormalization"}
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert ModelCard.from_metadata(metadata, "") == build_tiny_card().for_use()
    assert len(textspot.load(alone / "spotter.onnx")(noise(96, 128))) > 0


@pytest.mark.parametrize("name", ["spotter.onnx", "spotter.pt2"])
def test_no_file_names_a_folder_of_the_machine_that_wrote_it(folder: Path, name: str) -> None:
    raw = (folder / name).read_bytes()
    if name.endswith(".pt2"):
        with zipfile.ZipFile(folder / name) as archive:
            raw = b"".join(map(archive.read, archive.namelist()))
    assert str(Path(textspot.__file__).parent).encode() not in raw


def test_a_program_of_torch_export(folder: Path) -> None:
    extra = {"metadata.json": ""}
    program = torch.export.load(folder / "spotter.pt2", extra_files=extra).module()
    assert ModelCard.from_metadata(json.loads(extra["metadata.json"]), "") == build_tiny_card().for_use()
    for size in ((96, 128), (64, 320)):
        images = np.stack([noise(*size, seed) for seed in range(3)])
        outputs = program(*(torch.from_numpy(value) for value in graph_inputs(images, 0.7, 100).values()))
        expected = textspot.load(folder).runtime.spot(images, 0.7, 100)
        for number, regions in enumerate(expected):
            assert len(regions.scores) > 0
            certain = regions.scores > 0
            for ours, theirs in zip(outputs, regions, strict=True):
                np.testing.assert_allclose(ours[number][certain].numpy(), theirs[certain], atol=1e-3)


def test_folding_changes_nothing_and_leaves_the_network_alone() -> None:
    network = build_tiny_network()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folded = fold_batchnorm(network.train())
    assert network.training
    network.eval()
    assert not [module for module in folded.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    image = torch.from_numpy(noise(64, 96)).permute(2, 0, 1)[None]
    for ours, theirs in zip(folded.spot(image, 0.0, 5), network.spot(image, 0.0, 5), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-3, rtol=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


PROGRAM = """
import sys, time
began = time.perf_counter()
import textspot
spotter = textspot.load(sys.argv[1], runtime=sys.argv[2])
ready = time.perf_counter() - began
print(len(spotter(sys.argv[3])), ready)
print(*sorted({"torch", "torchvision", "albumentations", "textspot.recipe", "textspot.checkpoint"} & set(sys.modules)))
"""


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_an_onnx_file_is_read_without_torch(folder: Path, runtime: str) -> None:
    write_noise(folder / "photo.png", 96, 128)
    arguments = [sys.executable, "-c", PROGRAM, folder / "spotter.onnx", runtime, folder / "photo.png"]
    found, imported = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.splitlines()
    assert int(found.split()[0]) == len(textspot.load(folder)(noise(96, 128))) > 0
    assert imported == ""


def test_the_reader_of_the_documentation(folder: Path) -> None:
    """It stands alone, fits on a page, and finds what the spotter finds, which suppresses by polygons, not by boxes."""
    script = Path(__file__).parents[2] / "docs" / "read_onnx.py"
    assert len(script.read_text(encoding="utf-8").splitlines()) < 100
    assert "textspot" not in script.read_text(encoding="utf-8").split('"""')[2]
    write_noise(folder / "photo.png", 64, 96)
    spotter = textspot.load(folder)
    recipe = spotter.card.recipe
    postprocess = recipe["postprocess"] | {"text_power": 0.05}
    model = onnx.load(folder / "spotter.onnx")
    onnx.helper.set_model_props(
        model, replace(spotter.card, recipe=recipe | {"postprocess": postprocess}).to_metadata()
    )
    onnx.save(model, folder / "documented.onnx")
    command = [sys.executable, script, folder / "documented.onnx", folder / "photo.png"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = run.stdout.splitlines()
    spotter.card = replace(spotter.card, recipe=recipe | {"postprocess": postprocess | {"max_overlap": 1.0}})
    expected = {f"{score:.2f} {text!r} " for _, text, score in spotter(noise(64, 96))}
    assert len(lines) > 3
    assert {line.split("[")[0] for line in lines} <= expected


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kept_bytes", [0, 100, 5000])
def test_a_file_that_was_cut_short(folder: Path, runtime: str, kept_bytes: int) -> None:
    (folder / "cut.onnx").write_bytes((folder / "spotter.onnx").read_bytes()[:kept_bytes])
    with pytest.raises(CheckpointError, match=r"cut\.onnx: (cannot be used as an ONNX file|not a model of this)"):
        textspot.load(folder / "cut.onnx", runtime=runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_graph_of_another_program(folder: Path, runtime: str) -> None:
    import onnx

    model = onnx.load(folder / "spotter.onnx")
    del model.metadata_props[:]
    onnx.save(model, folder / "other.onnx")
    with pytest.raises(CheckpointError, match=r"other\.onnx: not a model of this program: .* format None"):
        textspot.load(folder / "other.onnx", runtime=runtime)


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("spotter.onnx", {"runtime": "pytorch"}, r"spotter\.onnx: runtime pytorch runs a model\.safetensors"),
        ("model.safetensors", {"runtime": "openvino"}, r"runtime openvino runs an \.onnx file"),
        ("absent.onnx", {}, r"absent\.onnx: no such file"),
        ("spotter.onnx", {"precision": "bf16"}, "precision is 'bf16', expected float32 with ONNX Runtime"),
        ("spotter.onnx", {"runtime": "openvino", "precision": "float16"}, "expected float32 or bf16 with OpenVINO"),
        ("model.safetensors", {"precision": "float16"}, "float16.* CPU"),
        ("spotter.onnx", {"compile": True}, "compile is for the runtime pytorch"),
        ("spotter.onnx", {"device": "gpu"}, "device is 'gpu'"),
        ("spotter.onnx", {"device": "cuda"}, "has no CUDA"),
        ("spotter.onnx", {"device": "cuda", "runtime": "openvino"}, "OpenVINO runs on the CPU"),
        ("model.safetensors", {"num_threads": -1}, "num_threads is -1"),
    ],
)
def test_options_that_do_not_fit(folder: Path, name: str, options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        textspot.load(folder / name, **options)


@pytest.mark.parametrize("name", ["model.safetensors", "spotter.onnx"])
def test_bf16_is_near_float32(folder: Path, name: str) -> None:
    runtime = "openvino" if name.endswith("onnx") else "pytorch"
    exact, coarse = (textspot.load(folder / name, runtime=runtime, precision=p) for p in ("float32", "bf16"))
    images = noise(96, 128)[None]
    (ours,), (theirs,) = (spotter.runtime.spot(images, 0.0, 1000) for spotter in (coarse, exact))
    assert abs(len(ours.scores) - len(theirs.scores)) < 0.2 * len(theirs.scores)
    assert 0 < np.abs(ours.scores[:10] - theirs.scores[:10]).max() < 0.05


def test_openvino_samples_regions_in_float32_even_in_bf16(folder: Path) -> None:
    """At the right of a wide image a coordinate in bf16 is wrong by up to 4 pixels, and something else is read."""
    exact, coarse = (
        textspot.load(folder / "spotter.onnx", runtime="openvino", precision=p) for p in ("float32", "bf16")
    )
    (ours,), (theirs,) = (spotter.runtime.spot(noise(64, 1280)[None], 0.0, 50) for spotter in (coarse, exact))
    pairs = [
        (mine, other)
        for mine, ribbon in enumerate(ours.ribbons)
        for other, wanted in enumerate(theirs.ribbons)
        if np.abs(ribbon - wanted).max() < 0.3 and ribbon[..., 0].min() > 600
    ]
    assert len(pairs) > 5
    errors = [np.abs(ours.text_logits[mine] - theirs.text_logits[other]).mean() for mine, other in pairs]
    assert np.median(errors) < 0.05 * np.abs(theirs.text_logits).mean()


def test_openvino_flattens_the_shared_map_where_it_is_sampled(folder: Path) -> None:
    """A quantised network would change its layout as float32 otherwise: it reads the same, more slowly."""
    model = open_core().read_model(folder / "spotter.onnx")
    flatten_shared_map(model)
    for node in model.get_ops():
        if node.get_type_name() == "GridSample":
            is_shared = node.get_input_partial_shape(0)[1].get_length() == TINY_RECIPE.model.neck.channels
            assert (node.input_value(0).get_node().get_type_name() == "Reshape") == is_shared


def test_threads_can_be_chosen(folder: Path) -> None:
    before = torch.get_num_threads()
    try:
        textspot.load(folder, num_threads=2)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert len(textspot.load(folder / "spotter.onnx", num_threads=2)(noise(96, 128))) > 0


def test_weights_for_use(weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "small.safetensors"
    assert export_verb.main(["--weights", str(weights_folder), "--out", str(out), "--half"]) == 0
    assert "read a photograph with it" in capsys.readouterr().out
    assert out.stat().st_size < 0.7 * (weights_folder / "model.safetensors").stat().st_size
    assert "train" not in textspot.load(out).card.recipe
    small, large = (textspot.load(path)(noise(96, 128)) for path in (out, weights_folder))
    assert abs(len(small) - len(large)) <= 2
    assert export_verb.main(["--weights", str(weights_folder), "--out", str(out), "--threshold", "0.65"]) == 0
    assert textspot.load(out).threshold == 0.65
    of_best = ["--weights", str(out), "--out", str(tmp_path / "b.safetensors"), "--thresholds", "{best: 0.4}"]
    assert export_verb.main(of_best) == 0
    assert textspot.load(tmp_path / "b.safetensors", quality="best").threshold == 0.4
    with pytest.raises(SystemExit):
        export_verb.main([*of_best[:-1], "{bst: 0.4}"])
    assert "--thresholds names 'bst', expected some of: fast; " in capsys.readouterr().err


def test_half_of_a_graph(folder: Path, tmp_path: Path) -> None:
    """Its large weights are float16, and it reads the same but for their rounding, in both runtimes."""
    out = tmp_path / "half.onnx"
    assert export_verb.main(["--weights", str(folder), "--out", str(out), "--half"]) == 0
    large = [one for one in onnx.load(out).graph.initializer if math.prod(one.dims) >= 1024]
    assert len(large) > 5
    assert {one.data_type for one in large} <= {onnx.TensorProto.FLOAT16, onnx.TensorProto.INT64}
    assert out.stat().st_size < (folder / "spotter.onnx").stat().st_size
    image = noise(96, 128)
    for runtime in RUNTIMES:
        ours, theirs = (textspot.load(path, runtime=runtime)(image) for path in (out, folder / "spotter.onnx"))
        assert abs(len(ours) - len(theirs)) <= 2
        assert abs(ours[0].score - theirs[0].score) < 0.01
        np.testing.assert_allclose(ours[0].polygon, theirs[0].polygon, atol=0.5)


@pytest.mark.parametrize("shape", [(24, 16, 3, 3), (5, 3, 7, 13), (1100,)])
def test_a_weight_in_12_bits_is_what_its_nodes_make_of_it(shape: tuple[int, ...], tmp_path: Path) -> None:
    """To half a step of a 2047th of the largest value of its channel; also with an odd number of values."""
    weight = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    weight[0] = 0
    file = tmp_path / "graph.onnx"
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, shape)
    node = onnx.helper.make_node("Identity", ["w"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", [], [output], [onnx.numpy_helper.from_array(weight, "w")])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, file)
    store(file, "12 bits")
    assert sum(len(one.raw_data) for one in onnx.load(file).graph.initializer) < 1.6 * weight.size + 4 * shape[0] + 100
    (found,) = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {})
    step = np.abs(weight).reshape(len(weight), -1).max(axis=1).reshape(-1, *[1] * (len(shape) - 1)) / 2047
    assert (np.abs(found - weight) <= 0.51 * step).all()


def test_a_packed_graph_reads_the_same(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "packed.onnx"
    assert export_verb.main(["--weights", str(folder), "--out", str(out), "--pack"]) == 0
    large = [one for one in onnx.load(out).graph.initializer if math.prod(one.dims) >= 1024]
    assert len(large) > 5
    assert {one.data_type for one in large} <= {onnx.TensorProto.UINT8, onnx.TensorProto.INT64}
    image = noise(96, 128)
    for runtime in RUNTIMES:
        ours, theirs = (textspot.load(path, runtime=runtime)(image) for path in (out, folder / "spotter.onnx"))
        assert abs(len(ours) - len(theirs)) <= 2
        assert abs(ours[0].score - theirs[0].score) < 0.01
        np.testing.assert_allclose(ours[0].polygon, theirs[0].polygon, atol=0.5)
    with pytest.raises(SystemExit):
        export_verb.main(["--weights", str(folder), "--out", str(tmp_path / "x.safetensors"), "--pack"])
    assert "--pack is for an .onnx" in capsys.readouterr().err


def test_the_mean_of_weights(weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out = tmp_path / "mean.safetensors"
    other = save_tiny_spotter(tmp_path / "other.safetensors", threshold=0.25)
    assert export_verb.main(["--weights", str(weights_folder), str(other), "--out", str(out)]) == 0
    assert "the score threshold, 0.250, is that of " in capsys.readouterr().out
    assert textspot.load(out).threshold == 0.25


@pytest.mark.parametrize(
    ("options", "words"),
    [(["--out", "x.tflite"], "expected a name that ends in .onnx"), (["--out", "x.pt2", "--half"], "--half is for")],
)
def test_exports_that_make_no_sense(
    weights_folder: Path, capsys: pytest.CaptureFixture, options: list[str], words: str
) -> None:
    with pytest.raises(SystemExit):
        export_verb.main(["--weights", str(weights_folder), *options])
    assert words in capsys.readouterr().err


def test_weights_that_are_not_there(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert export_verb.main(["--weights", str(tmp_path / "x"), "--out", str(tmp_path / "x.onnx")]) == 1
    assert "no such file" in capsys.readouterr().err


@pytest.mark.slow
def test_a_compiled_network_finds_the_same(folder: Path) -> None:
    eager, compiled = textspot.load(folder), textspot.load(folder, compile=True)
    for size in ((96, 128), (64, 320), (96, 96)):
        ours, theirs = compiled(noise(*size)), eager(noise(*size))
        assert [one.text for one in ours] == [one.text for one in theirs]
        np.testing.assert_allclose(rows(ours), rows(theirs), atol=1e-3)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_graph_without_what_is_asked_of_it_is_refused_at_once(folder: Path, runtime: str) -> None:
    model = onnx.load(folder / "spotter.onnx")
    del model.graph.output[1]
    onnx.save(model, folder / "lacking.onnx")
    file_checksum.seal(folder / "lacking.onnx")
    with pytest.raises(CheckpointError, match=r"lacking\.onnx: not a model of this program: its graph lacks scores"):
        textspot.load(folder / "lacking.onnx", runtime=runtime)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_flipped_bit_of_a_graph_is_noticed(folder: Path, runtime: str) -> None:
    data = bytearray((folder / "spotter.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "flipped.onnx").write_bytes(data)
    with pytest.raises(CheckpointError, match=r"flipped\.onnx: its checksum does not match"):
        textspot.load(folder / "flipped.onnx", runtime=runtime)
