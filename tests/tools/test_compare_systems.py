"""The systems side by side: each is trained once, and a second call only times them again."""

import json

import pytest
import yaml
from tiny_runs import tiny_recipe
from tool_modules import import_tool

from textspot.models.spotting_network import ModelConfig
from textspot.recipe import read_command_line

tool = import_tool("compare_systems")


@pytest.mark.slow
def test_systems_are_trained_once_and_stand_beside_each_other(tmp_path, capsys, monkeypatch):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(tiny_recipe(tmp_path).to_dict()), encoding="utf-8")
    arguments = ["--config", str(recipe), "--out", str(tmp_path / "out"), "--rounds", "1", "--side", "128"]
    arguments += ["--systems", "ribbon_fcr", "ribbon_separate_crnn@0.5", "--seeds", "0", "1", "--words", "1", "2"]
    arguments += ["--images", "1"]
    assert tool.main(arguments) == 0
    page = (tmp_path / "out" / "systems.md").read_text()
    assert page in capsys.readouterr().out
    rows = [line for line in page.splitlines() if line.startswith(("| ribbon_fcr", "| ribbon_separate_crnn@0.5"))]
    assert [row.split(" | ")[-1] for row in rows] == ["2 |", "2 |"]  # seeds
    assert page.count("| 1 | 2 |") == 3  # the network, the head, and its layers along the line
    assert "- ribbon_separate_crnn@0.5: " in page
    assert (tmp_path / "out" / "systems.png").stat().st_size > 0
    kept = json.loads((tmp_path / "out" / "ribbon_separate_crnn@0.5" / "1" / "recipe.json").read_text())
    assert (kept["seed"], kept["model"]["shared"], kept["model"]["recognizer"]["kind"]) == (1, False, "crnn")

    monkeypatch.setattr(tool, "train", lambda _: pytest.fail("trained again"))
    (tmp_path / "out" / "ribbon_fcr" / "1" / "last" / "model.safetensors").unlink()  # figures are enough
    assert tool.main([*arguments, "--data.num_workers", "1"]) == 0  # where it runs does not matter
    assert tool.main([*arguments, "--train.steps", "13"]) == 1
    assert "holds another recipe's run: choose another --out" in capsys.readouterr().err


def test_a_name_says_what_the_network_is():
    base = read_command_line(["--config", "configs/rfcn_fcr.yaml"]).model
    assert tool.Choice.of("rfcn_fcr").model(base) == base
    for name in ("crnn", "separate_fcr", "separate_crnn"):
        assert (
            tool.Choice.of(f"rfcn_{name}").model(base)
            == read_command_line([f"--config=configs/rfcn_{name}.yaml"]).model
        )
    assert tool.Choice.of("ribbon_fcr").model(base).backbone == ModelConfig().backbone
    assert tool.Choice.of("rfcn_crnn@0.5").model(base).recognizer.widths == (32, 48, 64, 96)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fcr", "no system is called 'fcr'; expected one of ribbon_fcr"),
        ("rfcn_lstm", "no system is called 'rfcn_lstm'; expected one of ribbon_fcr"),
        ("rfcn_fcr@half", "no reader is called 'fcr@half'"),
        ("rfcn_fcr@", "no reader is called 'fcr@'"),
    ],
)
def test_a_name_that_says_nothing(name, message, tmp_path, capsys):
    arguments = ["--config", "configs/rfcn_fcr.yaml", "--out", str(tmp_path / "out"), "--systems", name]
    assert tool.main(arguments) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--seeds 0 0", "seeds: 0 0 holds one twice"),
        ("--seeds 0 -1", "seeds of at least 0"),
        ("--rounds 0", "rounds of at least 1"),
        ("--words 0", "of at least 1"),
        ("--device cuda:99", "device is 'cuda:99', and torch sees"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_trained(option, message, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tool, "train", lambda _: pytest.fail("trained"))
    arguments = ["--config", "configs/rfcn_fcr.yaml", "--out", str(tmp_path / "out"), *option.split()]
    assert tool.main(arguments) == 1
    assert message in capsys.readouterr().err


def test_a_run_starts_from_its_namesake_of_an_earlier_call(tmp_path, capsys, monkeypatch):
    def train(recipe):
        raise ValueError(f"would start from {recipe.train.init_from}")

    monkeypatch.setattr(tool, "train", train)
    earlier = tmp_path / "earlier" / "ribbon_fcr" / "3"
    arguments = ["--config", "configs/rfcn_fcr.yaml", "--out", str(tmp_path / "out"), "--systems", "ribbon_fcr"]
    arguments += ["--start_from", str(tmp_path / "earlier"), "--seeds"]
    assert tool.main([*arguments, "3"]) == 1
    assert str(earlier) in capsys.readouterr().err
    (earlier / "last").mkdir(parents=True)
    (earlier / "last" / "model.safetensors").touch()
    assert tool.main([*arguments, "3"]) == 1
    assert f"would start from {earlier}" in capsys.readouterr().err
    assert tool.main([*arguments, "3", "--train.init_from", "spotter-s"]) == 1
    assert "leave train.init_from out" in capsys.readouterr().err
