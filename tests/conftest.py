"""Settings of all tests."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small tensors gain nothing from threads and suffer on busy cores

import pytest
from hypothesis import settings
from web_server import web_server as web_server

if TYPE_CHECKING:
    from textspot.engine.train import TrainingResult

# How long an example takes says how busy the machine is. The same examples every time: a failure can be repeated.
settings.register_profile("textspot", deadline=None, derandomize=True)
settings.load_profile("textspot")

DEAR = {"overfitted", "tiny_run", "exported"}  # fixtures that take seconds: what wants one of them is slow


@pytest.fixture(scope="session")
def overfitted(tmp_path_factory: pytest.TempPathFactory) -> "tuple[TrainingResult, Path]":
    """A run on two images that learned them by heart, by the very code users call, and the two images."""
    from tiny_runs import overfit_recipe

    from textspot.engine.train import train

    folder = tmp_path_factory.mktemp("overfitted")
    return train(overfit_recipe(folder)), folder / "images"


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of the tiny spotter, in the folder of a run, to look at only."""
    from tiny_spotter import save_tiny_spotter

    return save_tiny_spotter(tmp_path_factory.mktemp("run") / "last" / "model.safetensors")


@pytest.fixture(scope="session")
def exported(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with these weights and what is exported from them, to look at only."""
    from textspot.cli import export

    folder = tmp_path_factory.mktemp("exported")
    shutil.copy(weights, folder)
    for name in ("spotter.onnx", "spotter.pt2"):
        assert export.main(["--weights", str(weights), "--out", str(folder / name)]) == 0
    return folder


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their markers
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if DEAR.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Each worker takes tests that stand beside each other, so that few fixtures are made twice, and in the end what
    another has left."""
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)
