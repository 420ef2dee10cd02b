"""The systems side by side: each is trained once, and a second call only times them again."""

import json
from dataclasses import replace

import compare_systems as tool
import numpy as np
import pytest
import torch
import trained_systems
import yaml
from tiny_runs import tiny_recipe
from trained_systems import System, build_runtimes

from textspot.models.spotting_network import RECOGNIZERS, ModelConfig
from textspot.recipe import read_command_line


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

    monkeypatch.setattr(trained_systems, "train", lambda _: pytest.fail("trained again"))
    (tmp_path / "out" / "ribbon_fcr" / "1" / "last" / "model.safetensors").unlink()  # figures are enough
    assert tool.main([*arguments, "--data.num_workers", "1"]) == 0  # where it runs does not matter
    assert tool.main([*arguments, "--train.steps", "13"]) == 1
    assert "holds another recipe's run (train.steps): choose another --out" in capsys.readouterr().err


@pytest.mark.slow
def test_a_name_says_what_the_network_is():
    recipe = read_command_line(["--config", "configs/rfcn_fcr.yaml"])
    base = recipe.model
    for name in ("rfcn_fcr", "rfcn_crnn", "rfcn_separate_fcr", "rfcn_separate_crnn"):
        its_own = read_command_line(["--config=rfcn_fcr", f"--config={name}"])
        assert replace(recipe, run=its_own.run, model=System.parse(name).model(base)) == its_own
    assert System.parse("ribbon_fcr").model(base).backbone == ModelConfig().backbone
    assert System.parse("rfcn_crnn@0.5").model(base).recognizer.settings.widths == (32, 48, 64, 96)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fcr", "no system is called 'fcr'; expected one of rfcn_fcr"),
        ("rfcn_lstm", "no system is called 'rfcn_lstm'; expected one of rfcn_fcr"),
        ("rfcn_fcr@half", "no recogniser is called 'fcr@half'"),
        ("rfcn_fcr@", "no recogniser is called 'fcr@'"),
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
    monkeypatch.setattr(trained_systems, "train", lambda _: pytest.fail("trained"))
    arguments = ["--config", "configs/rfcn_fcr.yaml", "--out", str(tmp_path / "out"), *option.split()]
    assert tool.main(arguments) == 1
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_starts_from_its_namesake_of_an_earlier_call(tmp_path, capsys, monkeypatch):
    def train(recipe):
        raise ValueError(f"would start from {recipe.train.init_from}")

    monkeypatch.setattr(trained_systems, "train", train)
    earlier, out = tmp_path / "earlier" / "ribbon_fcr" / "3", tmp_path / "out"
    arguments = ["--config", "configs/rfcn_fcr.yaml", "--out", str(out), "--systems", "ribbon_fcr"]
    arguments += ["--start_from", str(tmp_path / "earlier"), "--seeds"]
    assert tool.main([*arguments, "3"]) == 1
    assert f"{earlier}: no run came to its end there" in capsys.readouterr().err
    assert not out.exists()
    earlier.mkdir(parents=True)
    (earlier / "figures.json").touch()
    assert tool.main([*arguments, "3"]) == 1
    assert f"would start from {earlier}" in capsys.readouterr().err
    assert tool.main([*arguments, "3", "--train.steps", "7"]) == 1  # nothing came of the other recipe
    assert f"would start from {earlier}" in capsys.readouterr().err
    assert tool.main([*arguments, "3", "--train.init_from", "spotter-s"]) == 1
    assert "leave train.init_from out" in capsys.readouterr().err
    assert tool.main([*arguments[:-3], "--train.init_from", "spotter-s"]) == 1  # all from the same weights
    assert "would start from spotter-s" in capsys.readouterr().err


def test_networks_are_those_of_their_names_and_alike_in_every_call(tmp_path):
    names = ["ribbon_fcr", "ribbon_separate_crnn"]
    first, second = (build_runtimes(tiny_recipe(tmp_path), names, torch.device("cpu")) for _ in range(2))
    for name in names:
        network = first[name].network
        assert isinstance(network.recognizer, RECOGNIZERS[name.rpartition("_")[2]])
        assert (network.reading_trunk is None) == ("separate" not in name)
        assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.recognizer.modules())
        for one, other in zip(network.parameters(), second[name].network.parameters(), strict=True):
            assert torch.equal(one, other)


def test_fewer_words_than_are_to_be_read(tmp_path):
    runtimes = build_runtimes(tiny_recipe(tmp_path), ["ribbon_fcr"], torch.device("cpu"))
    pixels = np.zeros((64, 64, 3), np.uint8)
    tool.check_words(runtimes, pixels, 1)
    with pytest.raises(ValueError, match=r"ribbon_fcr reads \d+ words where 300 are asked for"):
        tool.check_words(runtimes, pixels, 300)


def test_differences_are_those_of_the_same_seed():
    def cell(system, seed, value):
        return {"system": system, "seed": seed, **dict.fromkeys(trained_systems.FIGURES, value)}

    cells = [cell("rfcn_fcr", 0, 0.5), cell("rfcn_fcr", 1, 0.75), cell("rfcn_separate_fcr", 1, 0.5)]
    cells += [cell("rfcn_crnn", 0, 0.75), cell("rfcn_crnn", 1, 0.75), cell("ribbon_crnn", 0, 0.1)]
    lines = trained_systems.format_differences(cells).splitlines()[2:]
    assert [line.split(" | ")[:2] for line in lines] == [
        ["| rfcn_fcr - rfcn_separate_fcr", "+0.250 (+0.250 to +0.250)"],
        ["| rfcn_fcr - rfcn_crnn", "-0.125 (-0.250 to +0.000)"],
    ]
    assert trained_systems.format_differences(cells[:2]) == ""
