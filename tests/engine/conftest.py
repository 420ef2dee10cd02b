from pathlib import Path

import pytest
import tiny_runs

from textspot.recipe import Recipe


@pytest.fixture
def tiny_recipe(tmp_path: Path) -> Recipe:
    return tiny_runs.tiny_recipe(tmp_path)
