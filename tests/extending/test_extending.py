"""The page about extending: its code, from outside the package, trains, exports and quantises."""

import dataclasses
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from tiny_runs import tiny_recipe

from textspot.checkpoint import load_model
from textspot.compression.spotter import SpotterQuantConfig, float_layers
from textspot.compression.sweep import EvaluationSetup, Sweep, read_variants
from textspot.compression.synthesis import SpotterObjective, SpotterObjectiveConfig
from textspot.compression.synthesis.objective import SPOTTER_SYNTHESIS
from textspot.data import formats
from textspot.data.build import build_dataset
from textspot.data.card import load_card
from textspot.data.lmdb_records import Reader
from textspot.engine.train import train
from textspot.inference.spotter import load
from textspot.models.spotting_network import PARTS
from textspot.preprocess import preprocess
from textspot.quant import methods, smoothing
from textspot.recipe import Recipe, network_recipe_from_dict, read_command_line

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
MODULES = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE, flags=re.DOTALL))
MODEL = {
    "backbone": {"kind": "staircase", "staircase": {"width": 8}},
    "neck": {"channels": 8},
    "roi": {"kind": "roomy", "roomy": {"width": 32, "taps": [2], "ends": 0.1}},
    "recognizer": {"kind": "plain", "plain": {"widths": [8, 8, 8, 16], "blocks": [0, 0, 0]}},
    "detector": {"kind": "dot", "dot": {"radius": 2}},
}


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The files of the page, imported from a folder that is no package of ours; afterwards they are gone."""
    folder = tmp_path_factory.mktemp("extensions")
    for name, code in MODULES.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    dicts = (*PARTS.values(), formats.PER_IMAGE, methods.METHODS, smoothing.SMOOTHINGS)
    before = [dict(kinds) for kinds in dicts]
    sys.path.insert(0, str(folder))
    for name in MODULES:
        importlib.import_module(name)
    yield
    sys.path.remove(str(folder))
    for name in MODULES:
        del sys.modules[name]
    for kinds, kept in zip(dicts, before, strict=True):
        for added in kinds.keys() - kept.keys():
            del kinds[added]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """Read from a file, as a user's is; images are made in worker processes, which have to know the labeler."""
    folder = tmp_path_factory.mktemp("run")
    tiny = tiny_recipe(folder)
    values = tiny.to_dict() | {"model": MODEL, "loss": {"det/sides": 0.2}}
    values["train"] |= {"steps": 2, "evaluate_every": 2}
    values["data"]["num_workers"] = 1
    file = folder / "recipe.yaml"
    file.write_text(yaml.safe_dump(values))
    return read_command_line(["--config", str(file), "--model.detector.dot.radius", "1"])


@pytest.fixture(scope="module")
def weights(recipe: Recipe) -> Path:
    return train(recipe).weights


def test_the_page_has_one_of_each_and_each_fits_on_a_screen() -> None:
    assert len(MODULES) == 6
    assert sum(len(code.splitlines()) > 60 for code in MODULES.values()) <= 1  # a detector is a little longer


def test_settings_of_a_new_kind_are_checked_and_explained(recipe: Recipe, capsys: pytest.CaptureFixture) -> None:
    assert recipe.model.detector.settings.radius == 1
    assert recipe.loss == {"det/dot": 1.0, "det/sides": 0.2, "rec/ctc": 1.0}
    for options, words in (
        (["--help"], "cells around the centre of a word"),
        (["--model.detector.dot.radius=x"], "model.detector.dot.radius"),
        (["--model.detector.dot.radius=2"], "radius is a setting of dot, and model.detector.kind is ribbon"),
        (["--loss.det/dot=2"], "loss.det/dot weighs a term that there is not with model.detector.kind: ribbon"),
    ):
        with pytest.raises(SystemExit):
            read_command_line(["--data.train=[{path: a}]", "--data.validation.path=b", *options])
        captured = capsys.readouterr()
        assert words in " ".join((captured.out + captured.err).split())


@pytest.mark.slow
def test_two_steps_are_taken_and_the_weights_load(weights: Path) -> None:
    network, card = load_model(weights)
    assert card.step == 2
    assert type(network.detector).__name__ == "DotHead"
    assert float_layers(network) == ("detector.maps", "recognizer.classifier")


@pytest.mark.slow
def test_an_image_that_trains_the_recogniser_only_gives_no_detection_loss(weights: Path) -> None:
    detector = load_model(weights)[0].detector
    labeler = detector.build_labeler(detector.Config())
    targets = [torch.from_numpy(array)[None] for array in labeler.draw_nothing((64, 96))]
    maps = detector(torch.rand(1, detector.maps.in_channels, 16, 24))
    terms = detector.loss_terms(maps, type(labeler.draw_nothing((64, 96)))(*targets))
    assert [value.item() for pair in terms.values() for value in pair] == [0, 0, 0, 0]


@pytest.mark.slow
def test_it_is_quantised_by_the_new_method_and_exported(weights: Path, tmp_path: Path) -> None:
    network, card = load_model(weights)
    reader = Reader(weights.parents[2] / "validation")
    images = [preprocess(reader.sample(number).image, card.preprocess)[0] for number in range(2)]
    sweep = Sweep(
        network,
        card,
        SpotterQuantConfig(few_weights=0),
        images,
        EvaluationSetup({"drawn": reader}),
        tmp_path,
        say=lambda _: None,
    )
    results = sweep.run(read_variants(["even"], ["w8a8"]))
    assert [result.name for result in results] == ["float", "even-w8a8"]
    quantized, _ = load_model(sweep.file("even-w8a8", ".safetensors"))
    assert any(getattr(module, "smoothing", None) is not None for module in quantized.modules())
    eager, exported = load(weights), load(sweep.file("float", ".onnx"))
    for ours, theirs in zip(*(one.runtime.spot(images[0][None], 0.0, 20) for one in (eager, exported)), strict=True):
        for found, expected in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(found, expected, atol=1e-2)


@pytest.mark.slow
def test_calibration_images_are_made_for_it(weights: Path) -> None:
    network, card = load_model(weights)
    steps = network_recipe_from_dict(card.recipe, "recipe").model.count_time_steps
    config = dataclasses.replace(SPOTTER_SYNTHESIS, num_images=1, precision="float32")
    objective = SpotterObjective(network, (64, 96), config, steps, SpotterObjectiveConfig())
    assert objective.targets[0].score.sum() > 0


def test_files_of_the_new_format_become_a_data_set(tmp_path: Path) -> None:
    photo = next((Path(__file__).parents[2] / "datasets/own_data/sample/photos").glob("*.jpg"))
    (tmp_path / "photo.jpg").write_bytes(photo.read_bytes())
    (tmp_path / "photo.tsv").write_text("3\t4\t40\t20\tEXIT\n")
    card = {"name": "mine", "licence": "mine", "access": "here", "geometry": "box", "format": "tsv"}
    card["splits"] = {"train": {"annotations": "{stem}.tsv", "images": "*.jpg"}}
    (tmp_path / "card.yaml").write_text(yaml.safe_dump(card))
    build_dataset(load_card(tmp_path / "card.yaml"), tmp_path, tmp_path / "out")
    (transcript,) = Reader(tmp_path / "out" / "train").sample(0).transcripts
    assert transcript == "EXIT"
    (tmp_path / "photo.tsv").write_text("3\t4\t40\n")
    with pytest.raises(ValueError, match=r"photo\.tsv: line 1: expected 4 numbers and a transcript, found 3 fields"):
        build_dataset(load_card(tmp_path / "card.yaml"), tmp_path, tmp_path / "again")
