"""What `pip install -r requirements.txt` installs is what the package says it needs."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import textspot
from textspot.extras import EXTRAS as MODULE_EXTRAS

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
LINES = [line.split("#")[0].strip() for line in (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()]
REQUIREMENTS = {requirement.name: requirement for requirement in map(Requirement, filter(None, LINES[:-1]))}
EXTRAS = [Requirement(text) for texts in PROJECT["optional-dependencies"].values() for text in texts]
TOO_LARGE_TO_LOAD = {"torch", "torchvision", "albumentations", "lmdb", "tensorboard", "safetensors", "onnx"}
PACKAGE_OF = {"fpdf": "fpdf2", "fontTools": "fonttools"}  # modules that bear another name
PACKAGE_OF |= {
    "fastapi_offline": "fastapi-offline",
    "prometheus_client": "prometheus-client",
    "huggingface_hub": "huggingface-hub",
}


def test_the_last_line_installs_the_package_itself():
    assert LINES[-1] == "-e ."


def test_everything_the_package_needs_is_installed():
    needed = [Requirement(text) for text in PROJECT["dependencies"]]
    assert {requirement.name for requirement in needed} >= {"numpy", "opencv-python-headless", "onnxruntime"}
    for requirement in needed:
        assert REQUIREMENTS.get(requirement.name) == requirement


def test_reading_with_a_graph_needs_no_large_package():
    assert not {Requirement(text).name for text in PROJECT["dependencies"]} & TOO_LARGE_TO_LOAD
    assert {Requirement(text).name for text in PROJECT["optional-dependencies"]["train"]} >= {"textspot", "tensorboard"}


def test_every_missing_module_is_in_an_extra():
    """So that the line which an error gives installs it."""
    extras = PROJECT["optional-dependencies"]

    def packages(extra):
        for requirement in map(Requirement, extras[extra]):
            yield requirement.name
            for inner in requirement.extras:
                yield from packages(inner)

    named = {module: PACKAGE_OF.get(module, module) for module in MODULE_EXTRAS}
    assert {module: extra for module, extra in MODULE_EXTRAS.items() if named[module] not in packages(extra)} == {}


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
