"""The experiment with ASER on a language model: its parts, and all of it as small as can be."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from layer_observations import LayerObservation, format_observations
from outlier_channels import missing_outliers, outlier_ratio
from perplexities import FLOAT, UNSMOOTHED, Cell, Measurement, Results, read_bits
from perplexity_tables import bootstrap, format_leads, format_table
from text_corpus import Corpus, random_windows, spread_windows, tokenize, tokenize_some
from torch import nn

from textspot.quant.matrix_form import InputStatistics

WORDS = ("the", "kernel", "reads", "a", "page", "of", "memory", "and", "writes", "it", "to", "disk", "when", "full")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Forty documents of the same few words, one of them to be skipped."""
    folder = tmp_path_factory.mktemp("texts")
    generator = np.random.default_rng(0)
    for number in range(40):
        file = folder / f"part{number % 2}" / f"{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(" ".join(generator.choice(WORDS, 60)), encoding="utf-8")
    (folder / "skipped").mkdir()
    (folder / "skipped" / "foreign.txt").write_bytes(b"\xff\xfe")
    return Corpus(folder, skip=("skipped/*",))


class Characters:
    """A tokenizer of one token per character."""

    eos_token_id = 0

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        assert not add_special_tokens
        return {"input_ids": [ord(character) for character in text]}


def test_documents_are_held_out_by_their_names(corpus):
    training, held_out = (list(corpus.documents(part)) for part in (False, True))
    assert len(training) + len(held_out) == 40
    assert 0 < len(held_out) < 8
    (corpus.folder / "part0" / "more.txt").write_text("more", encoding="utf-8")
    assert set(held_out) <= set(corpus.documents(True))
    (corpus.folder / "part0" / "more.txt").unlink()


def test_a_data_set_may_say_what_is_held_out(tmp_path):
    for part in ("train", "test"):
        (tmp_path / part).mkdir()
        for number in range(8):
            (tmp_path / part / f"{number}.txt").write_text(part, encoding="utf-8")
    corpus = Corpus(tmp_path / "train", test_folder=tmp_path / "test")
    assert list(corpus.documents(held_out=True)) == ["test"] * 8
    assert list(corpus.documents(held_out=False)) == ["train"] * 8


def test_documents_that_cannot_be_used(tmp_path):
    with pytest.raises(ValueError, match="no document to train on ends with"):
        list(Corpus(tmp_path).documents(False))
    for number in range(8):  # one of them at least is not held out
        (tmp_path / f"{number}.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match="txt: not UTF-8"):
        list(Corpus(tmp_path).documents(False))


def test_tokens_and_windows():
    tokens = tokenize(["ab", "c"], Characters())
    assert tokens.tolist() == [97, 98, 0, 99, 0]
    assert spread_windows(tokens, 2, 10).tolist() == [[97, 98], [0, 99]]
    assert spread_windows(torch.arange(11), 2, 3).tolist() == [[0, 1], [4, 5], [8, 9]]
    assert tokenize_some(["ab", "c"], Characters(), 1, seed=0).tolist() in ([97, 98, 0], [99, 0])
    assert len(tokenize_some(["ab", "c"], Characters(), 9, seed=0)) == 5
    drawn = random_windows(tokens, 4, 50, seed=1)
    assert {tuple(window) for window in drawn.tolist()} == {(97, 98, 0, 99), (98, 0, 99, 0)}
    assert torch.equal(drawn, random_windows(tokens, 4, 50, seed=1))
    for windows in (lambda: spread_windows(tokens, 6, 1), lambda: random_windows(tokens, 6, 1, 0)):
        with pytest.raises(ValueError, match=r"5 tokens.*expected at least 6, one window"):
            windows()


def test_outliers_that_are_missing():
    gain = torch.ones(200)
    assert missing_outliers([gain], 10.0).item() == pytest.approx(math.log(10))
    gain[:2] = 5.0  # one percent
    assert missing_outliers([gain], 10.0).item() == pytest.approx(math.log(2))
    gain[:2] = -20.0
    assert missing_outliers([gain], 10.0).item() == 0
    gain = torch.ones(200, requires_grad=True)
    missing_outliers([gain], 10.0).backward()
    assert (gain.grad < 0).sum() == 2  # to be raised


def test_ratio_of_the_largest_channel_to_the_median():
    statistics = InputStatistics(nn.Linear(3, 2), with_gram=False)
    statistics.update(torch.tensor([[1.0, -2.0, 30.0], [-1.0, 2.0, -10.0]]))
    assert outlier_ratio(statistics) == pytest.approx(10)


@pytest.mark.parametrize("bits", ["48", "W4", "WxA8"])
def test_bits_that_are_none(bits):
    with pytest.raises(ValueError, match="expected the likes of W4A8"):
        read_bits(bits)
    with pytest.raises(ValueError, match="no method is called round"):
        Measurement(methods=("round",))


def test_cells_of_the_table_and_their_settings():
    cells = list(Measurement(bits=("W4A6",), seeds=(0, 1), rank=5, budget=0.1).cells())
    assert len(cells) == len(set(cells)) == 1 + 2 + 2 + 3 * 4  # rtn, smoothquant, lorc, and those with seeds and costs
    by_name = {(cell.method, cell.cost): cell.layer() for cell in cells}
    assert by_name["rtn", ""].correction.kind == "none"
    assert by_name["aser", "rank 5"].correction.highest_rank(100, 100) == 5
    assert by_name["aser", "budget 10%"].correction.highest_rank(100, 300) == 7  # 0.1 * 30000 / 400
    assert by_name["aser", "rank 5"].smoothing.kind == "aser"
    assert by_name[UNSMOOTHED, "rank 5"].smoothing.kind == "none"
    assert by_name[UNSMOOTHED, "rank 5"].correction.kind == "whitened"
    assert all(layer.activation.granularity == "token" and layer.activation.bits == 6 for layer in by_name.values())
    assert all(layer.weight.granularity == "channel" and layer.weight.bits == 4 for layer in by_name.values())
    assert Cell("aser", "W4A8", 8, outliers=3).layer().smoothing.num_outliers == 3


def fill(file: Path) -> tuple[Results, list[Cell]]:
    """Made-up losses: ASER is 0.1 nats below LoRC in every window."""
    results, cells = Results(file), [Cell("lorc", "W4A8", 8), Cell("aser", "W4A8", 8), Cell("aser", "W4A8", 8, seed=1)]
    losses = torch.tensor([1.0, 2.0, 3.0])
    results.add(FLOAT, losses, 0.0)
    for cell, change in zip(cells, (0.3, 0.2, 0.2), strict=True):
        results.add(cell, losses + change, 0.0625)
    return results, cells


def test_tables_and_what_is_kept(tmp_path):
    results, cells = fill(tmp_path / "cells.jsonl")
    again = Results(tmp_path / "cells.jsonl")
    assert again.get(cells[1]) == results.get(cells[1])
    assert again.get(Cell("aser", "W4A8", 8, seed=2)) is None
    table = format_table(again, cells)
    assert f"float: {math.e**2:.2f}" in table
    assert f"| lorc | rank 8 | +6.2% | {math.exp(2.3):.2f} |" in table
    assert f"| aser | rank 8 | +6.2% | {math.exp(2.2):.2f} ± 0.00 |" in table
    gain = f"{100 * (1 - math.exp(-0.1)):.2f}"
    assert f"| W4A8 | rank 8 | lorc | {gain} % ({gain} to {gain}) | {gain}, {gain} |" in format_leads(again, cells)


def test_interval_of_a_lead():
    value, low, high = bootstrap(np.random.default_rng(1).normal(0.5, 1.0, 400))
    assert low < value < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.15)


def test_observations_as_a_table():
    shares = np.array([0.5, 0.25] + [0.25 / 198] * 198)
    layers = [LayerObservation(f"{n}.up", r, np.ones(4), np.array([1.0, 0, 0, 0]), shares) for n, r in ((0, 2), (1, 4))]
    assert "| up | 3.0 (2.0 to 4.0) | 4 | 1 | 4 | 75% |" in format_observations(layers)


SMALL = {"vocabulary": 300, "width": 32, "depth": 1, "heads": 2, "inner": 40, "context": 16, "batch": 2}


@pytest.mark.slow
def test_training_resumes_and_any_causal_model_is_measured(corpus, tmp_path, capsys):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    import measure_language_model
    import train_language_model

    plain = [f"--training.{name}={value}" for name, value in SMALL.items()]
    base = [*plain, f"--corpus.folder={corpus.folder}", '--corpus.skip=["skipped/*"]', "--num_threads=1"]

    def train(name: str, *more: str) -> int:
        return train_language_model.main([*base, f"--out={tmp_path / name}", *more])

    assert train("broken", "--training.steps=2", "--training.save_every=2") == 0
    assert train("broken", "--training.steps=4", "--training.save_every=2") == 0
    log = [json.loads(line) for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log] == [2, 4]
    assert train("broken", "--training.seed=1") == 1
    assert "holds another training: seed 0, not 1" in capsys.readouterr().err
    start = f"--start={tmp_path / 'broken'}"
    assert train("outliers", start, "--training.steps=2", "--training.outlier_ratio=9", "--training.gain_rate=9") == 0

    torch.manual_seed(0)
    gpt2 = transformers.GPT2Config(vocab_size=300, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    transformers.GPT2LMHeadModel(gpt2).save_pretrained(tmp_path / "gpt2")
    transformers.AutoTokenizer.from_pretrained(tmp_path / "broken").save_pretrained(tmp_path / "gpt2")
    few = {"context": 16, "bits": "[W4A4]", "seeds": "[0]", "ranks": "[1,2]", "outliers": "[0,1]", "sweep_bits": "W4A4"}
    few |= {"rank": 2, "calibration_windows": 4, "test_windows": 4}
    for name in ("outliers", "gpt2"):
        settings = [f"--measurement.{key}={value}" for key, value in few.items()]
        settings += [option for option in base if "training" not in option]
        network, out = tmp_path / name, tmp_path / f"{name}-measured"
        assert measure_language_model.main([*settings, f"--network={network}", f"--out={out}"]) == 0
        page = capsys.readouterr().out
        assert page.count("| W4A4 |") >= 5
        assert (out / "aser_observations.png").stat().st_size > 10_000
        measured = (out / "cells.jsonl").read_text()
        assert measure_language_model.main([*settings, f"--network={network}", f"--out={out}"]) == 0
        assert (out / "cells.jsonl").read_text() == measured  # nothing twice
    assert "c_fc" in page  # GPT-2's layers are no nn.Linear
