"""What `pip install -r requirements.txt` installs is what the package says it needs."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import textspot

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
REQUIREMENTS = {requirement.name: requirement for requirement in map(Requirement, filter(None, LINES[:-1]))}
EXTRAS = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]


def test_the_last_line_installs_the_package_itself():
    assert LINES[-1] == "-e ."


def test_everything_the_package_needs_is_installed():
    needed = [Requirement(text) for text in PROJECT["dependencies"]]
    assert len(needed) >= 10
    for requirement in needed:
        assert REQUIREMENTS.get(requirement.name) == requirement


def test_everything_else_that_is_installed_is_an_extra():
    names = {Requirement(text).name for text in PROJECT["dependencies"]}
    others = [requirement for name, requirement in REQUIREMENTS.items() if name not in names]
    assert [str(requirement) for requirement in others if requirement not in EXTRAS] == []


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_has_a_floor_and_an_upper_major(name):
    operators = {specifier.operator for specifier in REQUIREMENTS[name].specifier}
    assert operators in ({">=", "<"}, {"=="})


def test_the_version_is_that_of_the_installed_package():
    assert importlib.metadata.version("textspot") == textspot.__version__


def test_an_installed_hugging_face_datasets_stays_importable():
    """With an `__init__.py` the folder would hide it from everything that runs in the repository root."""
    assert (ROOT / "datasets").is_dir()
    assert not (ROOT / "datasets" / "__init__.py").exists()
