"""datasets/prepare.py: what its commands print and write."""

import os
import re
import runpy
import shutil
import sys
from pathlib import Path

import cv2
import pytest

from textspot.data.build import build_dataset
from textspot.data.card import load_card
from textspot.data.lmdb_records import Reader
from textspot.recipe import read_command_line

DATASETS = Path("datasets")
RECIPE = """
data: {train: [{path: a}], validation: {path: b}}
text: {characters: ABCDEFGHIJKLMNOPQRSTUVWXYZ, case: upper}
"""


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """The sample of `mlt17`, built: three words that count and one to ignore in two splits."""
    build_dataset(load_card(DATASETS / "mlt17" / "card.yaml"), DATASETS / "mlt17" / "sample", tmp_path / "mlt")
    return tmp_path / "mlt"


def prepare(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str | None:
    """Run datasets/prepare.py; the words it exits with, None after success."""
    monkeypatch.setattr(sys, "argv", ["prepare.py", *map(str, arguments)])
    try:
        runpy.run_path("datasets/prepare.py", run_name="__main__")
    except SystemExit as stop:
        return str(stop.code)
    return None


def test_build_info_verify(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DATASETS / "icdar2013"
    shutil.copytree(folder / "sample" / "train_images", tmp_path / "source" / "train_images")
    shutil.copytree(folder / "sample" / "train_gts", tmp_path / "source" / "train_gts")
    build = ["build", "--card", folder / "card.yaml", "--source", tmp_path / "source", "--out", tmp_path / "out"]
    assert prepare(monkeypatch, *build) is None
    printed = capsys.readouterr()
    assert "out/train: 1 images, 3 instances: 3 readable" in printed.out
    assert f"test: left out, {tmp_path}/source has none of its files (test_images/img_*.jpg)" in printed.out
    assert "train: 1 of 1" in printed.err
    assert "exists already; give --overwrite true" in str(prepare(monkeypatch, *build))
    assert prepare(monkeypatch, *build, "--overwrite", "true") is None
    capsys.readouterr()

    assert prepare(monkeypatch, "info", tmp_path / "out" / "train") is None
    assert "1 images, 3 instances: 3 readable" in capsys.readouterr().out
    assert prepare(monkeypatch, "verify", tmp_path / "out" / "train") is None
    assert "all 1 records are as they were written" in capsys.readouterr().out

    file = tmp_path / "out" / "train" / "data.mdb"
    content = bytearray(file.read_bytes())
    content[content.index(b"Footpath")] ^= 1
    file.write_bytes(content)
    assert "1 of 1 records are damaged: build it again" in str(prepare(monkeypatch, "verify", file.parent))


def test_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("textspot.data.build.repair_polygons", interrupt)
    folder = DATASETS / "icdar2015"
    arguments = ["build", "--card", folder / "card.yaml", "--source", folder / "sample", "--out", tmp_path / "out"]
    assert prepare(monkeypatch, *arguments) == "interrupted: nothing unfinished was left behind"
    assert os.listdir(tmp_path / "out") == []


def test_info(monkeypatch: pytest.MonkeyPatch, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(monkeypatch, "info", built / "train", "--time_steps", "10") is None
    printed = capsys.readouterr().out
    assert "image sizes, width x height: 220 x 150: 1\n" in printed
    assert "words that CTC can represent in 10 time steps: 1 of 2 (50.0 %); the longest needs 14\n" in printed
    assert "languages: Latin: 2\n" in printed


def test_lint(monkeypatch: pytest.MonkeyPatch, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(monkeypatch, "lint", built / "train", built / "val") is None
    assert capsys.readouterr().out == "nothing looks wrong\n"
    (built / "recipe.yaml").write_text(RECIPE)
    assert prepare(monkeypatch, "lint", built / "train", built / "val", "--recipe", built / "recipe.yaml") is None
    assert capsys.readouterr().out.splitlines() == [
        "3: holds characters outside the charset",
        "    mlt/train: train_images/img_1.jpg: instance 1 'Bäckerei'",
        "    mlt/train: train_images/img_1.jpg: instance 2 'Kaffee, Tee'",
        "    mlt/val: val_images/img_1.jpg: instance 1 'Café'",
    ]


def test_lint_of_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any repair: the builder would turn the polygon round."""
    source = tmp_path / "source"
    shutil.copytree(DATASETS / "mlt17" / "sample", source)
    (source / "val_gts" / "gt_img_1.txt").write_text("20,20,22,50,122,44,120,14,Latin,Cafe\n")
    assert prepare(monkeypatch, "lint", source, "--card", DATASETS / "mlt17" / "card.yaml") is None
    assert capsys.readouterr().out.splitlines() == [
        "1: runs anticlockwise; expected clockwise from the start of reading",
        f"    {source}: val: val_images/img_1.jpg: instance 1 'Cafe'",
    ]


def test_preview(monkeypatch: pytest.MonkeyPatch, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["preview", built / "train", "--out", built / "sheet.png", "--columns", "2"]
    assert prepare(monkeypatch, *arguments) is None
    assert capsys.readouterr().out == f"{built}/sheet.png: 1 of 1 images\n"
    assert cv2.imread(str(built / "sheet.png")).shape[1] == 2 * 480
    assert "cannot be written" in str(prepare(monkeypatch, "preview", built / "train", "--out", built / "no" / "a.png"))


def test_charset(monkeypatch: pytest.MonkeyPatch, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it writes is a part of a recipe."""
    out = built / "charset.yaml"
    assert prepare(monkeypatch, "charset", built / "train", built / "val", "--out", out) is None
    printed = capsys.readouterr().out
    assert "         6  e  U+0065 LATIN SMALL LETTER E\n" in printed
    assert "         1  ä  U+00E4 LATIN SMALL LETTER A WITH DIAERESIS\n" in printed
    (built / "recipe.yaml").write_text(RECIPE)
    recipe = read_command_line(["--config", str(built / "recipe.yaml"), "--config", str(out)])
    assert recipe.text.characters == " ,BCKTacefikräé"
    assert recipe.text.case == "keep"

    assert prepare(monkeypatch, "charset", built / "train", "--out", out, "--case", "upper", "--min_count", "2") is None
    printed = capsys.readouterr().out
    assert "Ä  U+00C4 LATIN CAPITAL LETTER A WITH DIAERESIS  left out\n" in printed
    assert "3 characters kept, 9 left out as they occur less than 2 times" in printed
    assert "EFK" in out.read_text()


def test_crops(monkeypatch: pytest.MonkeyPatch, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare(monkeypatch, "export-crops", built / "train", built / "crops", "--min_height", "5") is None
    assert capsys.readouterr().out.splitlines() == [
        f"{built}/crops: 2 kept, 1 dropped",
        "  dropped, to be ignored: 1",
    ]
    assert prepare(monkeypatch, "import-crops", built / "crops", built / "words") is None
    assert f"{built}/words: 2 kept, 0 dropped" in capsys.readouterr().out
    assert "words: no LMDB of word crops" in str(prepare(monkeypatch, "import-crops", built / "words", built / "more"))
    assert "exists already; give --overwrite" in str(
        prepare(monkeypatch, "export-crops", built / "train", built / "crops")
    )


TEACHER = """
import json, sys
for line in sys.stdin:
    word = {"polygon": [[0, 0], [9, 0], [9, 9], [0, 9]], "text": "Tesco", "score": 0.97}
    print(json.dumps({"instances": [word]}), flush=True)
"""


def test_pseudo_label(monkeypatch: pytest.MonkeyPatch, built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (built / "teacher.py").write_text(TEACHER)
    build_dataset(
        load_card(DATASETS / "mlt17_boxes" / "card.yaml"), DATASETS / "mlt17_boxes" / "sample", built / "mute"
    )
    arguments = ["pseudo-label", "--path", built / "mute" / "train", "--out", built / "read", "--measured_on"]
    arguments += [built / "train", "--teacher", f"{sys.executable} {built}/teacher.py", "--sheet", built / "sheet.png"]
    assert prepare(monkeypatch, *arguments) is None
    printed = capsys.readouterr().out
    assert "2 words that were labelled by hand:" in printed
    assert "| 0.95 | 100.0% | 100.0% | 100.0% |" in printed
    assert f"{built}/read: 2 of 2 words labelled\n  without transcript: 2 of 2\n" in printed
    assert f"{built}/sheet.png: 2 words" in printed
    assert [(word.transcript, word.score) for word in Reader(built / "read")[0].instances] == [("Tesco", 0.97)] * 2
    assert cv2.imread(str(built / "sheet.png")).shape[1] == 8 * 180
    assert "exists already" in str(prepare(monkeypatch, *arguments))
    assert prepare(monkeypatch, *arguments, "--overwrite", "true", "--least_score", "0.98") is None
    assert "read: 0 of 2 words labelled" in capsys.readouterr().out


def test_the_page_on_own_data_is_true(tmp_path: Path) -> None:
    """Its recipe is one, its cards are there, and its commands are those of the program."""
    page = Path("docs/your_own_data.md").read_text(encoding="utf-8")
    (recipe,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text(recipe)
    assert read_command_line(["--config", str(tmp_path / "mine.yaml")]).data.validation.path == "data/mine/val"
    folders = set(re.findall(r"`(datasets/\w+)`", page))
    assert len(folders) == 5
    assert all((Path(folder) / "card.yaml").is_file() for folder in folders)
    commands = set(re.findall(r"datasets/prepare\.py ([\w-]+)", page))
    assert commands == set(
        re.findall(r'^        "([\w-]+)": ', Path("datasets/prepare.py").read_text(), flags=re.M)
    ) - {"verify", "pseudo-label"}
