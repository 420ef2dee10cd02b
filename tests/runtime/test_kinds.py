"""Every detector, recogniser and pooling through the same runtimes, and words where a runtime cannot run one."""

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_spotter import TINY_RECIPE, build_tiny_card, build_tiny_network, noise

import textspot
from textspot.checkpoint import load_model, save_model
from textspot.cli import export as export_verb
from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.models.choice import Choice
from textspot.models.crnn import RecurrentConfig
from textspot.models.rfcn_head import RfcnConfig
from textspot.models.spotting_network import ModelConfig
from textspot.models.text_pooling import ProportionalRoiConfig
from textspot.recipe import build_spotting_network

MODEL = TINY_RECIPE.model
RFCN = replace(MODEL, detector=Choice("rfcn", RfcnConfig(anchor_sizes=(8.0, 16.0), max_proposals=20)))
PROPORTIONAL = replace(
    MODEL, roi=Choice("proportional", ProportionalRoiConfig(width=32, columns_per_height=4.0, min_width=8))
)
CRNN = replace(MODEL, recognizer=Choice("crnn", RecurrentConfig((8, 8, 16, 16), context_layers=1)))
KINDS = {
    "ribbon": MODEL,
    "rfcn": RFCN,
    "proportional": PROPORTIONAL,
    "crnn": CRNN,
    "separate": replace(MODEL, shared=False),
    "the system of the paper": replace(RFCN, roi=PROPORTIONAL.roi),
    "its rival": replace(RFCN, roi=PROPORTIONAL.roi, recognizer=CRNN.recognizer, shared=False),
}
SHAPES = ([10, 20, 50, 30], [10, 40, 22, 60])  # a word, and one so narrow that it fills half of a proportional patch


def save_spotter(path: Path, model: ModelConfig) -> Path:
    """A network of random weights, one that finds something."""
    recipe = replace(TINY_RECIPE, model=model)
    if model.detector.kind == "ribbon":
        network = build_tiny_network(recipe)
    else:
        torch.manual_seed(0)
        network = build_spotting_network(recipe)
    save_model(path, network.state_dict(), build_tiny_card(recipe, 0.4))
    return path


@pytest.mark.parametrize("model", [pytest.param(model, id=name) for name, model in KINDS.items()])
@torch.no_grad()
def test_every_kind_is_run_by_pytorch(model: ModelConfig, tmp_path: Path) -> None:
    """As the network is used directly, regions that were given among them."""
    spotter = textspot.load(save_spotter(tmp_path / "model.safetensors", model))
    network, _ = load_model(tmp_path / "model.safetensors")
    images = np.stack([noise(64, 96, seed) for seed in range(2)])
    found = spotter.runtime.spot(images, 0.4, 12)
    expected = network.spot(torch.from_numpy(images).permute(0, 3, 1, 2), 0.4, 12)
    for number, regions in enumerate(found):
        assert regions.scores[0] >= 0.4
        for ours, theirs in zip(regions, expected, strict=True):
            np.testing.assert_allclose(ours, theirs[number], atol=1e-3)
    ribbons = np.stack([quad_to_ribbon(box_to_quad(box)) for box in SHAPES])
    read = spotter.runtime.read(images[0], ribbons)
    features, _ = network.detect(torch.from_numpy(images[:1]).permute(0, 3, 1, 2))
    np.testing.assert_allclose(read, network.read(features, torch.from_numpy(ribbons)[None])[0], atol=1e-3)
    assert len(spotter(noise(100, 150))) > 0


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_what_runs_in_pytorch_only_says_so(tmp_path: Path, suffix: str, capsys: pytest.CaptureFixture) -> None:
    weights, out = save_spotter(tmp_path / "model.safetensors", RFCN), tmp_path / f"spotter{suffix}"
    assert export_verb.main(["--weights", str(weights), "--out", str(out)]) == 1
    words = capsys.readouterr().err
    assert words.startswith("error: this network runs in PyTorch only: the position-sensitive pooling of R-FCN")
    assert "Export it as .safetensors" in words
    assert not out.exists()


def test_its_weights_are_exported(tmp_path: Path) -> None:
    weights, out = save_spotter(tmp_path / "model.safetensors", RFCN), tmp_path / "small.safetensors"
    assert export_verb.main(["--weights", str(weights), "--out", str(out)]) == 0
    image = noise(64, 96)
    ours, theirs = (textspot.load(path)(image) for path in (out, weights))
    assert [one.score for one in ours] == [one.score for one in theirs] != []


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The tensor attributes .*lstm")  # PyTorch names the weights of an LSTM twice
@pytest.mark.parametrize("kind", ["proportional", "crnn", "separate"])
def test_other_kinds_are_the_same_once_exported(kind: str, tmp_path: Path) -> None:
    weights = save_spotter(tmp_path / "model.safetensors", KINDS[kind])
    assert export_verb.main(["--weights", str(weights), "--out", str(tmp_path / "spotter.onnx")]) == 0
    eager = textspot.load(weights)
    engines = [textspot.load(tmp_path / "spotter.onnx", runtime=runtime) for runtime in ("onnxruntime", "openvino")]
    for exported, shape in product(engines, ((96, 128), (64, 320), (32, 32))):
        ours, theirs = exported(noise(*shape)), eager(noise(*shape))
        assert [one.text for one in ours] == [one.text for one in theirs]
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.polygon, other.polygon, atol=1e-2)
            assert one.text_score == pytest.approx(other.text_score, abs=1e-3)
    assert len(eager(noise(96, 128))) > 0
