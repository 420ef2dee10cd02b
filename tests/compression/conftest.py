"""A spotter that has learned two images by heart: it has something to lose."""

from pathlib import Path

import pytest
from tiny_runs import overfit_recipe

from textspot.checkpoint import load_model
from textspot.compression.spotter import read_calibration_images
from textspot.data.lmdb_records import Reader
from textspot.engine.train import train
from textspot.model_card import ModelCard
from textspot.models.spotting_network import SpottingNetwork


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory) -> tuple[SpottingNetwork, ModelCard, Path, Path]:
    """The network, its card, its file, and the LMDB of the two images."""
    folder = tmp_path_factory.mktemp("learned")
    result = train(overfit_recipe(folder))
    return *load_model(result.weights), result.weights, folder / "images"


@pytest.fixture(scope="session")
def images(learned):
    """Both images as the network sees them."""
    return read_calibration_images(Reader(learned[3]), 2, learned[1])
