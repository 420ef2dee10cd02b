"""The doctor sees what is wrong, says it in words, and leaves the training as it is."""

import json
import math
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_distributed import example, seeded_network
from tiny_runs import drawing
from torch import Tensor

from textspot.batch import Batch, collate
from textspot.data.dataset import SourceConfig
from textspot.engine.doctor import diagnose, measure_gradients, read_lengths
from textspot.engine.train import train
from textspot.losses import SpottingLoss
from textspot.models.boxes import BoxTargets
from textspot.models.choice import Choice
from textspot.models.rfcn_head import RfcnConfig
from textspot.models.spotting_network import SpottingNetwork
from textspot.recipe import Recipe
from textspot.text.charset import Charset
from textspot.text.ctc import decode_best_path

WELL = {
    "rec/ctc": 1.0,
    "rec/regions": 80.0,
    "rec/blank_rate": 0.8,
    "rec/infeasible": 0.005,
    "doctor/det_gradient": 1.0,
    "doctor/rec_gradient": 2.0,
    "doctor/cosine": 0.1,
}


def loss_of(network: SpottingNetwork, **weights: float) -> SpottingLoss:
    """Weights by the part of a term's name behind the slash; 1 unless given."""
    terms = (*network.detector.loss_weights, "rec/ctc")
    by_term = {term: weights.get(term, weights.get(term.split("/")[1], 1.0)) for term in terms}
    return SpottingLoss(by_term, network.loss_terms, lambda denominators: denominators)


def pull(network: SpottingNetwork, batch: Batch, **weights: float) -> Tensor:
    """The gradient of a loss on backbone and neck, by an ordinary backward pass."""
    network = deepcopy(network)
    output = network(batch.image, batch.ribbons, batch.region_slot)
    loss_of(network, **weights)(output, batch)[0].backward()
    return torch.cat([p.grad.flatten() for part in (network.backbone, network.neck) for p in part.parameters()])


@pytest.fixture
def batch() -> Batch:
    return collate([example(0, words=2), example(1, words=1)])


def test_gradients_are_those_of_one_head_each(batch: Batch) -> None:
    network = seeded_network()
    before = deepcopy(network.state_dict())
    values = measure_gradients(network, loss_of(network, score=2.0, geometry=0.5, ctc=3.0), batch, "float32")
    detection, reading = (
        pull(network, batch, **weights)
        for weights in ({"score": 2.0, "geometry": 0.5, "ctc": 0.0}, {"score": 0.0, "geometry": 0.0, "ctc": 3.0})
    )
    expected = {
        "doctor/det_gradient": float(detection.norm()),
        "doctor/rec_gradient": float(reading.norm()),
        "doctor/cosine": float(detection @ reading / detection.norm() / reading.norm()),
    }
    assert values == pytest.approx(expected, rel=1e-4)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_a_head_with_nothing_to_learn_has_no_entry(batch: Batch) -> None:
    network = seeded_network()
    silent = measure_gradients(network, loss_of(network, ctc=0.0), batch, "float32")
    assert silent.keys() == {"doctor/det_gradient"}
    nothing = measure_gradients(network, loss_of(network), collate([example(0, words=0)]), "bf16")
    assert nothing.keys() == {"doctor/det_gradient"}


def test_heads_that_share_nothing_do_not_pull_at_the_same_layers(batch: Batch) -> None:
    network = seeded_network(shared=False)
    values = measure_gradients(network, loss_of(network), batch, "float32")
    assert values.keys() == {"doctor/det_gradient"}


def test_all_terms_of_a_detector_in_two_stages_are_its_own(batch: Batch) -> None:
    network = seeded_network(detector=Choice("rfcn", RfcnConfig()))
    targets = BoxTargets(torch.tensor([[[8.0, 8, 40, 20]], [[8.0, 20, 50, 30]]]), torch.ones(2, 1, dtype=torch.int64))
    boxes = replace(batch, targets=targets)
    values = measure_gradients(network, loss_of(network), boxes, "float32")
    detection = pull(network, boxes, ctc=0.0)
    assert values["doctor/det_gradient"] == pytest.approx(float(detection.norm()), rel=1e-4)
    proposals = measure_gradients(
        network, loss_of(network, **{"det/score": 0.0, "det/geometry": 0.0}), boxes, "float32"
    )
    assert proposals["doctor/det_gradient"] > 0


def test_lengths_are_those_of_the_decoded_texts() -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 9, 3)))
    texts = [text for text, _ in decode_best_path(logits.numpy(), Charset("ab"))]
    assert read_lengths(logits).tolist() == [len(text) for text in texts]
    assert len(set(map(len, texts))) > 3
    assert read_lengths(logits[:0]).tolist() == []


@pytest.mark.parametrize(
    ("changes", "words", "expected"),
    [
        ({}, 500_000, []),
        ({"rec/blank_rate": 0.999}, 50_000, []),
        ({"rec/blank_rate": 0.999, "rec/ctc": 4.0}, 200_000, ["after 200000 words .* blanks: 99.9% .* CTC 4.00"]),
        ({"rec/infeasible": 0.03}, 10, ["3.0% of the words are too long for the time steps.*the width of model.roi"]),
        ({"rec/regions": 0.0, "dropped/no transcript": 7.0}, 10, ["no word to read .*dropped: no transcript: 7. "]),
        ({"rec/regions": 0.0}, 10, ["no word to read .*dropped: none. "]),
        ({"doctor/det_gradient": 80.0}, 10, ["the detector pulls .* 40 times .* the recogniser.*raise loss.rec/ctc"]),
        ({"doctor/rec_gradient": 35.0}, 10, ["the recogniser pulls .* 35 times .* the detector.*lower loss.rec/ctc"]),
        (
            {"rec/infeasible": 0.03, "doctor/rec_gradient": 35.0, "rec/blank_rate": 1.0},
            200_000,
            ["too long for the time steps", "blanks: 100.0%", "35 times"],
        ),
    ],
)
def test_findings(changes: dict, words: int, expected: list[str]) -> None:
    found = diagnose(WELL | changes, words)
    assert len(found) == len(expected)
    for finding, words_of_it in zip(found, expected, strict=True):
        assert re.search(words_of_it, finding), finding


def test_a_run_that_does_not_read_gets_no_advice_on_reading() -> None:
    assert diagnose({"det/score": 1.0, "rec/regions": 0.0}, 10**6) == []


def events(recipe: Recipe) -> list[dict]:
    return [json.loads(line) for line in (Path(recipe.run) / "log.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_training_is_the_same_with_and_without(tiny_recipe: Recipe, tmp_path: Path) -> None:
    brief = replace(tiny_recipe.train, steps=6)
    watched = replace(tiny_recipe, train=replace(brief, doctor_every=2))
    alone = replace(tiny_recipe, run=str(tmp_path / "alone"), train=replace(brief, doctor_every=0))
    states = []
    for recipe in (watched, alone):
        train(recipe)
        states.append(torch.load(Path(recipe.run) / "last" / "trainer.pt", weights_only=True))
    for name in ("network", "average", "optimizer", "random", "progress"):
        left, right = (torch.utils._pytree.tree_leaves(state[name]) for state in states)
        for a, b in zip(left, right, strict=True):
            assert torch.equal(a, b) if isinstance(a, Tensor) else a == b
    seen, unseen = ([event for event in events(recipe) if event["event"] == "train"] for recipe in (watched, alone))
    assert all(math.isfinite(event["doctor/cosine"]) for event in seen)
    for event, other in zip(seen, unseen, strict=True):
        kept = {k: v for k, v in event.items() if not k.startswith(("doctor/", "time/"))}
        assert kept == {k: v for k, v in other.items() if not k.startswith("time/")}


@pytest.mark.slow
def test_a_run_without_words_hears_of_it(
    tiny_recipe: Recipe, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty = SourceConfig(str(tmp_path / "empty"), draw=drawing(3, seed=3, empty_share=1.0))
    data = replace(tiny_recipe.data, train=(empty,))
    train(replace(tiny_recipe, data=data, train=replace(tiny_recipe.train, steps=6, doctor_every=3)))
    told = [event for event in events(tiny_recipe) if event["event"] == "doctor"]
    assert [event["step"] for event in told] == [3, 6]
    assert "step 3: no word to read since the last line of the log" in capsys.readouterr().out


@pytest.mark.slow
def test_a_plateau_is_noticed_and_words_are_counted(tiny_recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("textspot.engine.doctor.PLATEAU_WORDS", 20)
    monkeypatch.setattr("textspot.engine.doctor.ALL_BLANK", 0.5)
    train(replace(tiny_recipe, train=replace(tiny_recipe.train, doctor_every=3)))
    logged = events(tiny_recipe)
    shown = 0
    for event in logged:
        if event["event"] == "train":
            shown += round(3 * event["rec/regions"])
        elif event["event"] == "doctor" and "blanks" in event["findings"][0]:
            assert event["findings"][0].startswith(f"after {shown} words the recogniser still answers with blanks")
            break
    else:
        pytest.fail("nobody noticed")


@pytest.mark.slow
def test_infeasible_targets_are_a_share_of_all_words(tiny_recipe: Recipe) -> None:
    """Three time steps hold the words of three letters alone."""
    roi = Choice("stretched", replace(tiny_recipe.model.roi.settings, width=6))
    narrow = replace(tiny_recipe.model, roi=roi)
    train(replace(tiny_recipe, model=narrow, train=replace(tiny_recipe.train, steps=3, doctor_every=3)))
    logged = events(tiny_recipe)
    first = logged[0]
    read, dropped = 3 * first["rec/regions"], first["dropped/too long for the time steps"]
    assert dropped > 0
    assert first["rec/infeasible"] == pytest.approx(dropped / (read + dropped))
    assert any("too long for the time steps" in str(event.get("findings")) for event in logged)
