"""On a GPU: the figures of the CPU, and a run that goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import drawing

import textspot
from textspot.data.synthetic.renderer import Renderer
from textspot.engine.train import train
from textspot.recipe import Recipe

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def images() -> list[np.ndarray]:
    renderer = Renderer(replace(drawing(4, seed=3).renderer, height=256, width=320))
    return [renderer.render(3, index).image for index in range(4)]


@pytest.mark.parametrize(("precision", "pixels"), [("float32", 0.5), ("float16", 3), ("bf16", 6)])
def test_a_gpu_finds_and_reads_what_the_cpu_does(images, precision, pixels):
    expected = textspot.load("spotter-s", "cpu", runtime="pytorch").predict(images)
    found = textspot.load("spotter-s", "cuda", precision=precision).predict(images, batch_size=4)
    assert sum(map(len, expected)) >= 10
    for ours, theirs in zip(expected, found, strict=True):
        for instance in ours:
            if instance.score > 0.6:  # those near the threshold may go
                nearest = min(theirs, key=lambda other: np.abs(other.polygon - instance.polygon).max())
                assert np.abs(nearest.polygon - instance.polygon).max() < pixels
                assert nearest.text == instance.text or instance.text_score < 0.8


def test_the_first_steps_on_a_gpu_are_those_on_the_cpu(tiny_recipe: Recipe, tmp_path: Path):
    losses = []
    for device in ("cpu", "cuda"):
        config = replace(tiny_recipe.train, device=device, precision="float32", steps=4, log_every=1)
        train(replace(tiny_recipe, run=str(tmp_path / device), train=config))
        events = map(json.loads, (tmp_path / device / "log.jsonl").read_text().splitlines())
        names = ("det/score", "det/geometry", "rec/ctc", "gradient_norm")
        losses.append([[event[name] for name in names] for event in events if event["event"] == "train"])
    assert len(losses[0]) == 4
    assert losses[1] == pytest.approx(np.array(losses[0]), rel=0.05)


def test_a_run_on_a_gpu_goes_on_where_it_stopped(tiny_recipe: Recipe):
    half = replace(tiny_recipe, train=replace(tiny_recipe.train, device="cuda", steps=6))
    assert train(half).finished
    whole = train(replace(half, train=replace(half.train, steps=12)))
    assert whole.finished
    events = map(json.loads, (Path(half.run) / "log.jsonl").read_text().splitlines())
    assert [event["step"] for event in events if event["event"] == "train"] == [3, 6, 9, 12]
    assert all(np.isfinite(list(whole.figures.values())))
