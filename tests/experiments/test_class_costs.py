"""The recipes whose costs are measured are ones that train, each with as many characters as it says."""

import json
from pathlib import Path

import pytest
from class_costs import NUM_CLASSES, build_recipe

from textspot.recipe import read_command_line


@pytest.mark.parametrize("num_classes", NUM_CLASSES)
def test_recipes(num_classes: int, tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(json.dumps(build_recipe(tmp_path, num_classes, 3)), encoding="utf-8")
    recipe = read_command_line(["--config", str(file)])
    assert len(set(recipe.text.characters)) == len(recipe.text.characters) == num_classes
    assert recipe.train.steps == recipe.train.evaluate_every == 3
