"""`textspot prepare`: what its commands print and write."""

import io
import os
import re
import shutil
import sys
from contextlib import redirect_stderr
from pathlib import Path

import cv2
import pytest
import yaml
from tiny_spotter import save_tiny_spotter

import textspot
from textspot.cli import prepare as prepare_verb
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


def prepare(*arguments: object) -> str | None:
    """Run the command; the words with which it failed, None after success."""
    said = io.StringIO()
    with redirect_stderr(said):
        status = prepare_verb.main([str(argument) for argument in arguments])
    print(said.getvalue(), end="", file=sys.stderr)
    return said.getvalue() if status else None


def test_build_info_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = DATASETS / "icdar2013"
    shutil.copytree(folder / "sample" / "train_images", tmp_path / "source" / "train_images")
    shutil.copytree(folder / "sample" / "train_gts", tmp_path / "source" / "train_gts")
    build = ["build", "--card", folder / "card.yaml", "--source", tmp_path / "source", "--out", tmp_path / "out"]
    assert prepare(*build) is None
    printed = capsys.readouterr()
    assert "out/train: 1 images, 3 instances: 3 readable" in printed.out
    assert f"test: left out, {tmp_path}/source has none of its files (test_images/img_*.jpg)" in printed.out
    assert "train: 1 of 1" in printed.err
    assert "exists already; give --overwrite true" in str(prepare(*build))
    assert prepare(*build, "--overwrite", "true") is None
    capsys.readouterr()

    assert prepare("info", tmp_path / "out" / "train") is None
    assert "1 images, 3 instances: 3 readable" in capsys.readouterr().out
    assert prepare("verify", tmp_path / "out" / "train") is None
    assert "all 1 records are as they were written" in capsys.readouterr().out

    assert prepare(*build, "--overwrite", "true", "--shards", tmp_path / "shards") is None
    assert f"{tmp_path}/shards/train: 1 shards" in capsys.readouterr().out
    assert prepare("info", tmp_path / "shards" / "train") is None
    assert "1 images, 3 instances: 3 readable" in capsys.readouterr().out
    assert prepare("verify", tmp_path / "shards" / "train") is None
    assert "all 1 records are as they were written" in capsys.readouterr().out
    (tmp_path / "shards" / "train" / "shard-000000.tar").unlink()
    assert "1 of 1 records are damaged: write the shards again" in str(prepare("verify", tmp_path / "shards" / "train"))

    file = tmp_path / "out" / "train" / "data.mdb"
    content = bytearray(file.read_bytes())
    content[content.index(b"Footpath")] ^= 1
    file.write_bytes(content)
    assert "1 of 1 records are damaged: build it again" in str(prepare("verify", file.parent))


def test_interrupted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("textspot.data.build.repair_polygons", interrupt)
    folder = DATASETS / "icdar2015"
    arguments = ["build", "--card", folder / "card.yaml", "--source", folder / "sample", "--out", tmp_path / "out"]
    assert prepare(*arguments) == "interrupted: nothing unfinished was left behind\n"
    assert os.listdir(tmp_path / "out") == []


def test_info(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("info", built / "train", "--time_steps", "10") is None
    printed = capsys.readouterr().out
    assert "image sizes, width x height: 220 x 150: 1\n" in printed
    assert "words that CTC can represent in 10 time steps: 1 of 2 (50.0 %); the longest needs 14\n" in printed
    assert "languages: Latin: 2\n" in printed


def test_lint(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("lint", built / "train", built / "val") is None
    assert capsys.readouterr().out == "nothing looks wrong\n"
    (built / "recipe.yaml").write_text(RECIPE)
    assert prepare("lint", built / "train", built / "val", "--recipe", built / "recipe.yaml") is None
    assert capsys.readouterr().out.splitlines() == [
        "3: holds characters outside the charset",
        "    mlt/train: train_images/img_1.jpg: instance 1 'Bäckerei'",
        "    mlt/train: train_images/img_1.jpg: instance 2 'Kaffee, Tee'",
        "    mlt/val: val_images/img_1.jpg: instance 1 'Café'",
    ]


def test_cards_that_ship_are_found_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("cards") is None
    folders = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert {"icdar2015", "own_data", "labelme"} <= folders.keys()
    sample = Path(folders["own_data"]) / "sample"
    assert prepare("build", "--card", "own_data", "--source", sample, "--out", tmp_path / "out") is None
    assert "out/train: 2 images" in capsys.readouterr().out
    assert "my_own: no such card" in str(prepare("build", "--card", "my_own", "--out", tmp_path / "out"))


def test_commands_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare_verb.main(["tidy"]) == 2
    assert "textspot prepare has no 'tidy', expected one of build, info" in capsys.readouterr().err
    assert prepare_verb.main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in prepare_verb.COMMANDS)


def test_lint_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before any repair: the builder would turn the polygon round."""
    source = tmp_path / "source"
    shutil.copytree(DATASETS / "mlt17" / "sample", source)
    (source / "val_gts" / "gt_img_1.txt").write_text("20,20,22,50,122,44,120,14,Latin,Cafe\n")
    assert prepare("lint", source, "--card", DATASETS / "mlt17" / "card.yaml") is None
    assert capsys.readouterr().out.splitlines() == [
        "1: runs anticlockwise; expected clockwise from the start of reading",
        f"    {source}: val: val_images/img_1.jpg: instance 1 'Cafe'",
    ]


def test_preview(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["preview", built / "train", "--out", built / "sheet.png", "--columns", "2"]
    assert prepare(*arguments) is None
    assert capsys.readouterr().out == f"{built}/sheet.png: 1 of 1 images\n"
    assert cv2.imread(str(built / "sheet.png")).shape[1] == 2 * 480
    assert "cannot be written" in str(prepare("preview", built / "train", "--out", built / "no" / "a.png"))


def test_charset(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What it writes is a part of a recipe."""
    out = built / "charset.yaml"
    assert prepare("charset", built / "train", built / "val", "--out", out) is None
    printed = capsys.readouterr().out
    assert "         6  e  U+0065 LATIN SMALL LETTER E\n" in printed
    assert "         1  ä  U+00E4 LATIN SMALL LETTER A WITH DIAERESIS\n" in printed
    (built / "recipe.yaml").write_text(RECIPE)
    recipe = read_command_line(["--config", str(built / "recipe.yaml"), "--config", str(out)])
    assert recipe.text.characters == " ,BCKTacefikräé"
    assert recipe.text.case == "keep"

    assert prepare("charset", built / "train", "--out", out, "--case", "upper", "--min_count", "2") is None
    printed = capsys.readouterr().out
    assert "Ä  U+00C4 LATIN CAPITAL LETTER A WITH DIAERESIS  left out\n" in printed
    assert "3 characters kept, 9 left out as they occur less than 2 times" in printed
    assert "EFK" in out.read_text()


def test_charset_keeps_the_characters_of_given_weights(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Else fine-tuning would forget what the photographs of one's own do not happen to show."""
    out = built / "charset.yaml"
    weights = save_tiny_spotter(built / "model.safetensors")
    assert prepare("charset", built / "train", built / "val", "--out", out, "--weights", weights) is None
    assert "that it does not know" in capsys.readouterr().out
    written = set(yaml.safe_load(out.read_text())["text"]["characters"])
    assert written == set(textspot.load(weights, "cpu").card.charset.characters) | set(" ,BCKTacefikräé")


def test_few_validation_images_are_warned_of(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    warning = "warning: val: 1 images choose the score threshold and the best weights, at least 20 are advised: widen"
    assert prepare("lint", built / "train", built / "val") is None
    assert warning in capsys.readouterr().err
    sample = DATASETS / "mlt17" / "sample"
    assert prepare("build", "--card", "mlt17", "--source", sample, "--out", built / "again") is None
    assert warning in capsys.readouterr().err
    assert prepare_verb.warn_of_few({"train": 1, "val": 20, "test": 1}) == []


def test_crops(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert prepare("export-crops", built / "train", built / "crops", "--min_height", "5") is None
    assert capsys.readouterr().out.splitlines() == [
        f"{built}/crops: 2 kept, 1 dropped",
        "  dropped, to be ignored: 1",
    ]
    assert prepare("import-crops", built / "crops", built / "words") is None
    assert f"{built}/words: 2 kept, 0 dropped" in capsys.readouterr().out
    assert "words: no LMDB of word crops" in str(prepare("import-crops", built / "words", built / "more"))
    assert "exists already; give --overwrite" in str(prepare("export-crops", built / "train", built / "crops"))


TEACHER = """
import json, sys
for line in sys.stdin:
    word = {"polygon": [[0, 0], [9, 0], [9, 9], [0, 9]], "text": "Tesco", "score": 0.97}
    print(json.dumps({"instances": [word]}), flush=True)
"""


def test_pseudo_label(built: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (built / "teacher.py").write_text(TEACHER)
    build_dataset(
        load_card(DATASETS / "mlt17_boxes" / "card.yaml"), DATASETS / "mlt17_boxes" / "sample", built / "mute"
    )
    arguments = ["pseudo-label", "--path", built / "mute" / "train", "--out", built / "read", "--measured_on"]
    arguments += [built / "train", "--teacher", f"{sys.executable} {built}/teacher.py", "--sheet", built / "sheet.png"]
    assert prepare(*arguments) is None
    printed = capsys.readouterr().out
    assert "2 words that were labelled by hand:" in printed
    assert "| 0.95 | 100.0% | 100.0% | 100.0% |" in printed
    assert f"{built}/read: 2 of 2 words labelled\n  without transcript: 2 of 2\n" in printed
    assert f"{built}/sheet.png: 2 words" in printed
    assert [(word.transcript, word.score) for word in Reader(built / "read")[0].instances] == [("Tesco", 0.97)] * 2
    assert cv2.imread(str(built / "sheet.png")).shape[1] == 8 * 180
    assert "exists already" in str(prepare(*arguments))
    assert prepare(*arguments, "--overwrite", "true", "--least_score", "0.98") is None
    assert "read: 0 of 2 words labelled" in capsys.readouterr().out


def test_the_page_on_own_data_is_true(tmp_path: Path) -> None:
    """Its recipe is one, its cards are there, and its commands are those of the program."""
    page = Path("docs/your_own_data.md").read_text(encoding="utf-8")
    recipe, panel = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    (tmp_path / "mine.yaml").write_text(recipe.replace("data:\n", panel, 1))
    assert read_command_line(["--config", str(tmp_path / "mine.yaml")]).data.validation.path == "data/mine/val"
    folders = set(re.findall(r"`(datasets/\w+)`", page))
    assert len(folders) == 5
    assert all((Path(folder) / "card.yaml").is_file() for folder in folders)
    commands = set(re.findall(r"textspot prepare ([\w-]+)", page))
    assert commands == set(prepare_verb.COMMANDS) - {"verify", "pseudo-label"}
