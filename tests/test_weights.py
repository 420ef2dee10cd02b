"""The weights that ship: small enough, each with its card, and readable wherever the package is installed."""

import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import cv2
import pytest
from safetensors import safe_open

import textspot
from textspot.data.synthetic import Renderer, RendererConfig
from textspot.inference.spotter import SHIPPED, find_weights
from textspot.model_card import CheckpointError

NAMES = sorted(file.stem for file in SHIPPED.glob("*.safetensors"))
LARGEST_BYTES = 16 * 2**20
LARGE = RendererConfig(256, 384, words_per_image=(3, 3), min_text_height=28, degrade=0.0, empty_share=0.0)
READ_FAR_AWAY = """
import sys, textspot
prediction = textspot.load("spotter-s")(sys.argv[1])
print(textspot.__file__)
print(*(text for _, text, _ in prediction))
"""


def test_something_ships():
    assert "spotter-s" in NAMES


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
