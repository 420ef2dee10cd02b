"""Recipes and cards that come with the package, found by name: `quickstart` is `configs/quickstart.yaml`.

A wheel holds both folders inside the package; in a checkout they lie beside it.
"""

import os
from pathlib import Path

PACKAGE = Path(__file__).parent
RECIPES, CARDS = "configs", "datasets"


def find_folder(name: str, package: Path = PACKAGE) -> Path:
    """The folder `name` that ships: inside the package where that was installed, else beside it in the checkout."""
    inside = package / name
    return inside if inside.is_dir() else package.parent / name


def find_recipe(name: str | os.PathLike) -> str:
    """The recipe at this path; failing that, the shipped one of this name; `name` itself where there is neither."""
    return _find(os.fspath(name), shipped_recipes())


def find_card(name: str | os.PathLike) -> str:
    """The card at this path; failing that, the shipped one of this name; `name` itself where there is neither."""
    return _find(os.fspath(name), shipped_cards())


def shipped_recipes() -> dict[str, Path]:
    """The recipes that ship, by name."""
    return {file.stem: file for file in sorted(find_folder(RECIPES).glob("*.yaml"))}


def shipped_cards() -> dict[str, Path]:
    """The cards that ship, by name."""
    return {file.parent.name: file for file in sorted(find_folder(CARDS).glob("*/card.yaml"))}


def _find(name: str, shipped: dict[str, Path]) -> str:
    return name if Path(name).is_file() or name not in shipped else str(shipped[name])
