"""The wheel: what it holds, and that its commands run outside the checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from tiny_spotter import write_noise

ROOT = Path(__file__).parents[1]
SOURCES = ("textspot", "configs", "datasets", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE")
TINY = """
run: run
data:
  image_size: [64, 96]
  num_workers: 0
  train: [{path: drawn, draw: {num_images: 4, num_processes: 1, renderer: {height: 64, width: 96, layout: sheet}}}]
  validation: {path: held_out, draw: {num_images: 2, num_processes: 1, renderer: {height: 64, width: 96}}}
text: {unknown: skip}
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy: a build leaves things in its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    (folder / "source").mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile
        copy(ROOT / name, folder / "source" / name)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--wheel-dir", folder, folder / "source"], check=True)
    (built,) = folder.glob("textspot-*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path) -> Path:
    """The folder into which the wheel was installed."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", wheel.parent / "site", wheel], check=True)
    return wheel.parent / "site"


def test_the_wheel_brings_what_the_commands_need(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        entries = archive.read(next(name for name in names if name.endswith("entry_points.txt"))).decode()
    for folder, pattern in (("configs", "*.yaml"), ("datasets", "*/**/*")):
        ours = {f"textspot/{file.relative_to(ROOT)}" for file in ROOT.glob(f"{folder}/{pattern}") if file.is_file()}
        assert {name for name in ours if "__pycache__" not in name} <= names
    assert {f"textspot/{file.relative_to(ROOT / 'textspot')}" for file in ROOT.glob("textspot/weights/*")} <= names
    assert "textspot = textspot.cli.main:main" in entries
    assert not [name for name in names if name.startswith(("tests/", "tools/", "datasets/", "configs/"))]


def run(site: Path, folder: Path, *arguments: object) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(site)}
    command = [sys.executable, "-m", "textspot", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


def test_infer(site: Path, tmp_path: Path) -> None:
    write_noise(tmp_path / "photo.png", 64, 96)
    done = run(site, tmp_path, "infer", "photo.png")
    assert done.returncode == 0, done.stderr
    assert "1 of 1 images read" in done.stdout
    assert (tmp_path / "predictions" / "photo.json").is_file()


def test_train(site: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(TINY)
    few = ("--train.steps", 2, "--train.warmup_steps", 1, "--train.batch_size", 2)
    done = run(site, tmp_path, "train", "--config", "quickstart", "--config", "tiny.yaml", *few)
    assert done.returncode == 0, done.stderr
    assert "textspot infer --weights run/last/model.safetensors" in done.stdout


def test_prepare(site: Path, tmp_path: Path) -> None:
    sample = site / "textspot" / "datasets" / "own_data" / "sample"
    done = run(site, tmp_path, "prepare", "build", "--card", "own_data", "--source", sample, "--out", "built")
    assert done.returncode == 0, done.stderr
    assert "built/train: 2 images" in done.stdout
