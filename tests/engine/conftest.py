"""Runs of a tiny network. Images are drawn once, and one finished run serves all tests that look at one."""

import shutil
from pathlib import Path

import pytest
import tiny_runs

from textspot.data.synthetic.draw import draw_dataset
from textspot.engine.train import TrainingResult, train
from textspot.recipe import Recipe


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the images of a `tiny_recipe`."""
    folder = tmp_path_factory.mktemp("drawn")
    data = tiny_runs.tiny_recipe(folder).data
    for source in (*data.train, data.validation):
        draw_dataset(source.path, source.draw)
    return folder


@pytest.fixture
def tiny_recipe(drawn: Path, tmp_path: Path) -> Recipe:
    """The recipe of a run in the test's own folder, where its images lie already."""
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    return tiny_runs.tiny_recipe(tmp_path)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Recipe, TrainingResult]:
    """A `tiny_recipe` and what its training gave, to look at only."""
    recipe = tiny_runs.tiny_recipe(tmp_path_factory.mktemp("tiny"))
    return recipe, train(recipe)


@pytest.fixture
def finished(tiny_recipe: Recipe, tiny_run: tuple[Recipe, TrainingResult]) -> Recipe:
    """`tiny_recipe` after its training: a copy of that run lies in the test's own folder."""
    shutil.copytree(tiny_run[0].run, tiny_recipe.run)
    return tiny_recipe
