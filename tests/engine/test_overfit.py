"""The most telling test there is: two drawn images are learned until they are detected and read exactly."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import CHARACTERS, drawing

from textspot.checkpoint import load_model
from textspot.data.dataset import DataConfig, SourceConfig
from textspot.data.lmdb_records import Reader
from textspot.engine.train import TrainingResult, train
from textspot.inference import load
from textspot.models.backbone import BackboneConfig
from textspot.models.fcr import RecognizerConfig
from textspot.models.neck import NeckConfig
from textspot.models.spotting_network import ModelConfig
from textspot.models.text_pooling import RoiConfig
from textspot.recipe import Recipe, TrainConfig
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.export import export_onnx
from textspot.text.charset import TextConfig


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainingResult, Path]:
    """A run on two images, by the very code users call, and the two images."""
    folder = tmp_path_factory.mktemp("overfit")
    images = SourceConfig(str(folder / "images"), draw=drawing(2, seed=5))
    recipe = Recipe(
        run=str(folder / "run"),
        text=TextConfig(CHARACTERS),
        model=ModelConfig(
            BackboneConfig(widths=(16, 32, 48, 64), blocks=(1, 1, 1, 1)),
            NeckConfig(32),
            RoiConfig(width=32),
            RecognizerConfig(widths=(32, 48, 64, 96), context_layers=1),
        ),
        data=DataConfig(train=(images,), validation=replace(images, draw=None), image_size=(128, 160), num_workers=0),
        train=TrainConfig(
            steps=200, batch_size=2, learning_rate=4e-3, warmup_steps=20, evaluate_every=200, ema_decay=0.9
        ),
    )
    return train(recipe), folder / "images"


def test_two_images_are_detected_and_read_exactly(overfitted: tuple[TrainingResult, Path]) -> None:
    result, images = overfitted
    spotter, reader = load(result.weights), Reader(images)
    for index in range(2):
        sample = reader.sample(index)
        found = sorted(instance.text for instance in spotter(sample.image))
        assert found == sorted(sample.transcripts)
    assert result.figures["icdar2015/end_to_end/hmean"] == 1.0
    assert result.figures["icdar2015/detection_iou/hmean"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_the_exported_network_reads_them_too(
    overfitted: tuple[TrainingResult, Path], tmp_path: Path, runtime: RuntimeName
) -> None:
    result, images = overfitted
    export_onnx(*load_model(result.weights), tmp_path / "spotter.onnx")
    eager, exported = load(result.weights), load(tmp_path / "spotter.onnx", RuntimeConfig(runtime))
    pictures = [Reader(images).sample(index).image for index in range(2)]
    for ours, theirs in zip(exported(pictures, 2), eager(pictures, 2), strict=True):
        assert [one.text for one in ours] == [one.text for one in theirs] != []
        for one, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(one.polygon, other.polygon, atol=0.5)
