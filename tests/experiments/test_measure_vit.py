"""The experiment on data-free quantisation, from drawing to the table, as small as can be."""

import json
from pathlib import Path

import measure_vit as tool
import pytest
import torch
import vit_experiment
from vit_experiment import ALPHABET, Experiment, compare_maps, draw_words, format_table, train_classifier

CPU = torch.device("cpu")
TINY = Experiment(4, 12, 10, 24, 2, 2, 2, 1e-3, 2, 2, seeds=(0,), sources=("noise", "sardfq", "real"), bits=("W8A8",))
NAMES = (
    "num_classes",
    "num_train",
    "num_test",
    "width",
    "depth",
    "heads",
    "train_steps",
    "synthesis_steps",
    "num_images",
)


def command(folder: Path, **lists: list) -> list[str]:
    chosen = {"seeds": [0], "sources": ["noise", "sardfq", "real"], "bits": ["W8A8"]} | lists
    options = [f"--experiment.{name}={getattr(TINY, name)}" for name in NAMES]
    options += [f"--experiment.{name}={json.dumps(value)}" for name, value in chosen.items()]
    return ["--out", str(folder), "--num_threads", "1", *options]


@pytest.mark.slow
def test_the_whole_experiment_and_its_continuation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert tool.main(command(tmp_path)) == 0
    first = capsys.readouterr().out
    cells = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    assert [(cell["source"], cell["bits"]) for cell in cells] == [
        *[("float", ""), ("noise", "W8A8"), ("sardfq", "W8A8"), ("real", "W8A8")]
    ]
    assert "| sardfq |" in first
    assert "62.29" in first
    classes = (tmp_path / "classes.txt").read_text().split()
    assert len(classes) == 4
    assert all(len(word) == 2 and set(word) <= set(ALPHABET) for word in classes)
    assert (tmp_path / "images" / "sardfq_0.png").stat().st_size > 1000
    made = torch.load(tmp_path / "images" / "sardfq_0.pt", weights_only=True)
    assert made["step"] == 4

    assert tool.main(command(tmp_path, bits=["W8A8", "W4A4"], sources=["noise", "sardfq"])) == 0
    again = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    assert again[:4] == cells  # nothing is measured twice
    assert [(cell["source"], cell["bits"]) for cell in again[4:]] == [("noise", "W4A4"), ("sardfq", "W4A4")]
    unchanged = torch.load(tmp_path / "images" / "sardfq_0.pt", weights_only=True)
    assert torch.equal(made["images"], unchanged["images"])

    assert tool.main([*command(tmp_path), "--experiment.width=32"]) == 1
    assert "holds another experiment: width 24, not 32" in capsys.readouterr().err

    settings = json.loads((tmp_path / "experiment.json").read_text())
    del settings["end_bits"]  # a folder from before there was this setting
    (tmp_path / "experiment.json").write_text(json.dumps(settings))
    assert tool.main(command(tmp_path)) == 1
    assert "holds another experiment: end_bits unknown, not None" in capsys.readouterr().err


@pytest.mark.slow
def test_training_continues_where_it_was_broken_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vit_experiment, "SAVE_EVERY", 1)
    monkeypatch.setattr(vit_experiment, "BATCH", 4)
    for folder in (tmp_path / "whole", tmp_path / "broken"):
        folder.mkdir()
        words = draw_words(TINY, folder, lambda items, _: items)
        assert words["train_images"].shape == (12, 64, 64, 3)
    whole = train_classifier(TINY, tmp_path / "whole", words, lambda items, _: items, CPU)

    def stop(items, _):
        yield items[0]

    train_classifier(TINY, tmp_path / "broken", words, stop, CPU)
    again = train_classifier(TINY, tmp_path / "broken", words, lambda items, _: items, CPU)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_mean_and_spread_beside_the_paper() -> None:
    cells = [{"source": "float", "bits": "", "accuracy": 98.0}]
    cells += [{"source": "psaq", "bits": "W4A4", "accuracy": value} for value in (40.0, 44.0, 42.0)]
    table = format_table(cells, ("W8A8", "W4A4"))
    assert "float: 98.00 %" in table
    assert "| psaq |  | 42.00 ± 2.00 | 58.28 |" in table
    assert "noise" not in table


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="no source is called nosie; there are noise, psaq"):
        Experiment(sources=("nosie",))


def test_maps_are_compared_with_their_priors_and_with_uniform_attention() -> None:
    prior = torch.rand(3, 2, 1, 16).softmax(dim=-1)
    uniform = torch.full_like(prior, 1 / 16)
    (same, between) = compare_maps([(prior, prior), (prior, (prior + uniform) / 2)])
    assert same == pytest.approx((1.0, 0.0))
    assert between == pytest.approx((1.0, 0.25), rel=1e-3)
