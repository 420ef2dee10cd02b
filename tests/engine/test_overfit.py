"""The most telling test there is: two drawn images are learned until they are detected and read exactly."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_runs import EASY, overfit_recipe

from textspot.checkpoint import load_model
from textspot.data.lmdb_records import Reader
from textspot.engine.train import TrainingResult, train
from textspot.inference.spotter import load
from textspot.models.choice import Choice
from textspot.models.rfcn_head import RfcnConfig
from textspot.models.spotting_network import ModelConfig
from textspot.models.text_pooling import ProportionalRoiConfig
from textspot.recipe import recipe_from_dict
from textspot.runtime.build import RuntimeConfig
from textspot.runtime.export import export_onnx


def assert_learned(result: TrainingResult, images: Path) -> None:
    spotter, reader = load(result.weights), Reader(images)
    spotter.threshold = 0.5  # the chosen one may let through what is not read: end to end that costs nothing
    for index in range(2):
        sample = reader.sample(index)
        found = sorted(instance.text for instance in spotter(sample.image))
        assert found == sorted(sample.transcripts)
    assert result.figures["icdar2015/end_to_end/hmean"] == 1.0
    assert result.figures["icdar2015/detection_iou/hmean"] == 1.0


def test_two_images_are_detected_and_read_exactly(overfitted: tuple[TrainingResult, Path]) -> None:
    assert_learned(*overfitted)


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_so_they_are_by_the_system_of_the_paper(tmp_path: Path, shared: bool) -> None:
    """R-FCN and text pooling for horizontal boxes, joint and separate; the trunk is a slim one.

    With fewer steps half a word, which covers just less than half of the whole, is taken for a word.
    """
    roi = Choice("proportional", ProportionalRoiConfig(width=64, min_width=16))
    detector = Choice("rfcn", RfcnConfig(anchor_sizes=(16.0, 32.0), max_proposals=50))
    model = ModelConfig(EASY.backbone, EASY.neck, roi, EASY.recognizer, detector, shared=shared)
    recipe = overfit_recipe(tmp_path, model, steps=220, max_rotation=0.0, max_tilt=0.0, words_per_image=(2, 2))
    result = train(replace(recipe, train=replace(recipe.train, learning_rate=6e-3, doctor_every=0)))
    assert_learned(result, tmp_path / "images")


def test_the_exported_network_reads_them_too(overfitted: tuple[TrainingResult, Path], tmp_path: Path) -> None:
    result, images = overfitted
    export_onnx(*load_model(result.weights), tmp_path / "spotter.onnx")
    pictures = [Reader(images).sample(index).image for index in range(2)]
    expected = load(result.weights)(pictures, 2)
    for runtime in ("onnxruntime", "openvino"):
        found = load(tmp_path / "spotter.onnx", RuntimeConfig(runtime))(pictures, 2)
        for ours, theirs in zip(found, expected, strict=True):
            assert [one.text for one in ours] == [one.text for one in theirs] != []
            for one, other in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(one.polygon, other.polygon, atol=0.5)


def test_words_are_read_where_the_network_detects_them(overfitted: tuple[TrainingResult, Path], tmp_path: Path) -> None:
    """From its own weights it detects every word, so that from the wanted step on all regions are its own."""
    result, _ = overfitted
    recipe = recipe_from_dict(load(result.weights).card.recipe, "recipe")
    settings = replace(
        recipe.train, init_from=str(result.weights), steps=4, learning_rate=1e-4, log_every=1, predicted_regions=1.0
    )
    train(replace(recipe, run=str(tmp_path), train=replace(settings, predicted_regions_from=2)))
    events = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    shares = [event["rec/predicted"] for event in events if event["event"] == "train"]
    assert shares[:2] == [0, 0]
    assert min(shares[2:]) > 0.5
