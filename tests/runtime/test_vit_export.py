"""The transformer trunk leaves PyTorch like any other: one graph, any size."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_spotter import TINY_RECIPE, build_tiny_card, build_tiny_network, noise

from textspot.checkpoint import load_model, save_model
from textspot.models.choice import Choice
from textspot.models.vit import VitConfig
from textspot.runtime.build import RuntimeConfig, build_runtime
from textspot.runtime.export import export_onnx

RECIPE = replace(TINY_RECIPE, model=replace(TINY_RECIPE.model, backbone=Choice("vit", VitConfig(32, 2, 2))))


pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights, and the graph that is exported from them."""
    folder, card = tmp_path_factory.mktemp("exported"), build_tiny_card(RECIPE)
    save_model(folder / "model.safetensors", build_tiny_network(RECIPE).state_dict(), card)
    export_onnx(load_model(folder / "model.safetensors")[0], card, folder / "spotter.onnx")
    return folder


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_an_exported_transformer_gives_the_same_at_every_size(folder: Path, runtime: str) -> None:
    exported, _ = build_runtime(folder / "spotter.onnx", RuntimeConfig(runtime))
    eager, _ = build_runtime(folder / "model.safetensors", RuntimeConfig("pytorch"))
    for size in ((96, 128), (64, 320)):
        images = np.stack([noise(*size, seed) for seed in range(2)])
        for ours, theirs in zip(exported.spot(images, 0.5, 50), eager.spot(images, 0.5, 50), strict=True):
            assert len(theirs.scores) > 5
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(one, other, atol=2e-3)
