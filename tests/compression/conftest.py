"""Spotters to quantise: one has learned two images by heart and so has something to lose, one has not."""

from pathlib import Path

import numpy as np
import pytest
from tiny_runs import overfit_recipe
from tiny_spotter import build_tiny_card, build_tiny_network, save_tiny_spotter

from textspot.checkpoint import load_model
from textspot.compression.spotter import read_calibration_images
from textspot.data.lmdb_records import Reader
from textspot.data.synthetic.draw import draw_dataset
from textspot.engine.train import TrainingResult
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork

Spotter = tuple[SpottingNetwork, ModelCard, Path, Path]


@pytest.fixture(scope="session")
def learned(overfitted: tuple[TrainingResult, Path]) -> Spotter:
    """The network, its card, its file, and the LMDB of the two images."""
    result, images = overfitted
    return *load_model(result.weights), result.weights, images


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Spotter:
    """The same of random weights, for what does not depend on them."""
    folder = tmp_path_factory.mktemp("untrained")
    (source,) = overfit_recipe(folder).data.train
    draw_dataset(source.path, source.draw)
    file = save_tiny_spotter(folder / "model.safetensors")
    return build_tiny_network(), build_tiny_card(), file, Path(source.path)


@pytest.fixture(scope="session")
def images(untrained: Spotter) -> list[np.ndarray]:
    """Both images as either network sees them."""
    return read_calibration_images(Reader(untrained[3]), 2, untrained[1])
