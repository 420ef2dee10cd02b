"""The weights that ship: small enough, each with its card, and readable wherever the package is installed."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx.numpy_helper import to_array
from safetensors import safe_open

import textspot
from textspot.data.synthetic import Renderer, RendererConfig
from textspot.inference.shipped import CHECKSUMS, SHIPPED, check_shipped
from textspot.inference.spotter import find_weights
from textspot.model_card import CheckpointError, ModelCard

NAMES = sorted(file.stem for file in SHIPPED.glob("*.safetensors"))
LARGEST_BYTES = 16 * 2**20  # of the weights, and of the two graphs together
LARGE = RendererConfig(256, 384, words_per_image=(3, 3), min_text_height=28, degrade=0.0, empty_share=0.0)
READ_IN_8_BITS = """
import json, sys, textspot
found = list(textspot.load(sys.argv[1], runtime=sys.argv[2], num_threads=1)(sys.argv[3]))
print(json.dumps([[one.text for one in found], [one.score for one in found]]))
"""
READ_FAR_AWAY = """
import sys, textspot
prediction = textspot.load("spotter-s")(sys.argv[1])
print(textspot.__file__)
print(*(text for _, text, _ in prediction))
"""


def test_something_ships():
    assert "spotter-s" in NAMES


def test_every_file_that_ships_has_its_checksum(tmp_path, monkeypatch):
    files = [file for file in SHIPPED.iterdir() if file.suffix in (".safetensors", ".onnx")]
    lines = (SHIPPED / CHECKSUMS).read_text(encoding="ascii").splitlines()
    assert sorted(line.split()[1] for line in lines) == sorted(file.name for file in files)
    assert [check_shipped(file) for file in files] == files
    shutil.copy(SHIPPED / CHECKSUMS, tmp_path)
    damaged = bytearray((SHIPPED / "spotter-s.safetensors").read_bytes())
    damaged[-1] ^= 1
    (tmp_path / "spotter-s.safetensors").write_bytes(damaged)
    monkeypatch.setattr("textspot.inference.spotter.SHIPPED", tmp_path)
    with pytest.raises(CheckpointError, match=r"spotter-s\.safetensors: not the file that was shipped"):
        textspot.load("spotter-s", runtime="pytorch")


@pytest.mark.parametrize("name", NAMES)
def test_two_graphs_ship_with_the_weights_that_say_the_same_and_are_small(name):
    graphs = [SHIPPED / f"{name}.onnx", SHIPPED / f"{name}-int8.onnx"]
    assert sum(graph.stat().st_size for graph in graphs) <= LARGEST_BYTES
    with safe_open(SHIPPED / f"{name}.safetensors", framework="np") as weights:
        card = ModelCard.from_metadata(weights.metadata(), name).for_use()
    for graph in graphs:
        metadata = {one.key: one.value for one in onnx.load(graph).metadata_props}
        assert ModelCard.from_metadata(metadata, name) == card


@pytest.mark.parametrize("name", NAMES)
def test_the_graph_in_8_bits_is_right_on_any_cpu(name):
    """Without VNNI two products are added in 16 bits: weights of 7 bits always fit."""
    graph = onnx.load(SHIPPED / f"{name}-int8.onnx").graph
    weights = [
        to_array(one) for one in graph.initializer if one.data_type == onnx.TensorProto.INT8 and len(one.dims) == 4
    ]
    assert len(weights) > 50
    assert 2 * 255 * max(np.abs(one.astype(int)).max() for one in weights) <= 2**15 - 1


@pytest.mark.slow
@pytest.mark.parametrize(("runtime", "before"), [("openvino", ()), ("onnxruntime", ("qemu-x86_64", "-cpu", "Haswell"))])
def test_the_graph_in_8_bits_reads_the_same_without_vnni(tmp_path, runtime, before):
    """OpenVINO is told, ONNX Runtime runs on an emulated CPU."""
    if before and not shutil.which(before[0]):
        pytest.skip(f"{before[0]} is not installed (Debian: qemu-user)")
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(Renderer(LARGE).render(5, 0).image, cv2.COLOR_RGB2BGR))
    program = [sys.executable, "-c", READ_IN_8_BITS, SHIPPED / "spotter-s-int8.onnx", runtime, tmp_path / "photo.png"]
    slow = os.environ | {"ONEDNN_MAX_CPU_ISA": "AVX2"}
    usual, without = (
        subprocess.run([*prefix, *program], env=environment, check=True, capture_output=True, text=True).stdout
        for prefix, environment in (((), os.environ), (before, slow))
    )
    (texts, scores), (their_texts, their_scores) = json.loads(usual), json.loads(without)
    assert len(texts) > 1
    assert their_texts == texts
    assert their_scores == pytest.approx(scores, abs=2e-3)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_small_and_have_a_card_that_gives_their_figures(name):
    file = SHIPPED / f"{name}.safetensors"
    assert file.stat().st_size <= LARGEST_BYTES
    card = file.with_suffix(".md").read_text(encoding="utf-8")
    with safe_open(file, framework="np") as weights:
        metrics = json.loads(weights.metadata()["metrics"])
    assert f"{metrics['icdar2015/end_to_end/hmean']:.3f}" in card
    assert f"{metrics['icdar2015/detection_iou/hmean']:.3f}" in card


@pytest.mark.parametrize("name", NAMES)
def test_weights_name_no_folder_of_the_machine_that_trained_them(name):
    with safe_open(SHIPPED / f"{name}.safetensors", framework="np") as weights:
        assert json.loads(weights.metadata()["recipe"]).keys() == {"text", "model", "preprocess", "postprocess"}


@pytest.mark.parametrize("name", NAMES)
def test_large_drawn_words_are_read(name):
    renderer = Renderer(LARGE)
    samples = [renderer.render(5, index) for index in range(6)]
    predictions = textspot.load(name).predict([sample.image for sample in samples])
    read = {(number, text.lower()) for number, found in enumerate(predictions) for _, text, _ in found}
    written = {(number, text.lower()) for number, sample in enumerate(samples) for text in sample.transcripts}
    assert len(read & written) >= 0.8 * len(written)


def test_a_name_that_does_not_ship_is_an_error_that_lists_those_that_do():
    with pytest.raises(CheckpointError, match=r"spotter-q: no such file or folder, .* \(spotter-s"):
        find_weights(Path("spotter-q"))


def test_a_graph_that_ships_is_found_by_its_name():
    assert find_weights(Path("spotter-s.onnx")) == SHIPPED / "spotter-s.onnx"
    assert textspot.load("spotter-s.onnx").source == "spotter-s.onnx in ONNX Runtime"


def test_a_file_or_folder_of_that_name_comes_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("spotter-s").write_bytes(b"mine")
    assert find_weights(Path("spotter-s")) == Path("spotter-s")


@pytest.mark.slow
def test_a_wheel_reads_an_image_outside_the_checkout(tmp_path):
    root, source = Path(__file__).parents[1], tmp_path / "source"
    shutil.copytree(root / "textspot", source / "textspot")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    subprocess.run(pip, check=True, cwd=tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    image = (
        Renderer(RendererConfig(256, 384, words_per_image=(3, 3), min_text_height=28, degrade=0.0)).render(5, 0).image
    )
    cv2.imwrite(str(tmp_path / "photo.png"), cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    command = [sys.executable, "-c", READ_FAR_AWAY, "photo.png"]
    environment = {"PYTHONPATH": str(tmp_path / "site"), "PATH": "", "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, text=True)
    where, words = finished.stdout.splitlines()
    assert Path(where).is_relative_to(tmp_path / "site")
    assert words.split()
