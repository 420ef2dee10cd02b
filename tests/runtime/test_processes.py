"""Threads, forked processes and pickles give what one process gives, in every runtime."""

import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_spotter import noise, save_tiny_spotter

import textspot
from textspot.inference.spotter import Spotter
from textspot.runtime import processes
from textspot.structures import Prediction

RUNTIMES = ("pytorch", "onnxruntime", "openvino")
IMAGES = [noise(40 + 24 * (number % 3), 60 + 40 * (number % 4), number) for number in range(6)]


@pytest.fixture(params=RUNTIMES)
def spotter(request: pytest.FixtureRequest, exported: Path):
    before = torch.get_num_threads()
    file = exported / ("model.safetensors" if request.param == "pytorch" else "spotter.onnx")
    yield textspot.load(file, runtime=request.param, num_threads=2)
    torch.set_num_threads(before)


def facts(prediction: Prediction) -> list[tuple]:
    """All that a prediction holds, to be compared bit by bit."""
    return [(one.text, one.score, one.text_score, one.polygon.tobytes()) for one in prediction]


_shared: Spotter | None = None  # what forked processes inherit


def read_inherited(number: int) -> list[tuple]:
    assert _shared
    return facts(_shared(IMAGES[number % len(IMAGES)]))


def read_pickled(pickled: bytes) -> list[list[tuple]]:
    return [facts(prediction) for prediction in pickle.loads(pickled)(IMAGES)]


def serial(spotter: Spotter) -> list[list[tuple]]:
    expected = [facts(spotter(image)) for image in IMAGES]
    assert min(map(len, expected)) > 3
    return expected


@pytest.mark.parametrize("num_calls", [10, pytest.param(100, marks=pytest.mark.slow)])
def test_eight_threads(spotter: Spotter, num_calls: int) -> None:
    expected = serial(spotter)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: facts(spotter(IMAGES[number % len(IMAGES)])), range(8 * num_calls)))
    assert found == [expected[number % len(IMAGES)] for number in range(8 * num_calls)]


@pytest.mark.parametrize("used_before", [True, False])
@pytest.mark.parametrize("num_calls", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_four_forked_processes(spotter: Spotter, num_calls: int, used_before: bool, monkeypatch) -> None:
    """A hang is the fault that is looked for, so the wait for each answer is bounded."""
    expected = serial(spotter) if used_before else None
    monkeypatch.setattr(f"{__name__}._shared", spotter)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.map_async(read_inherited, range(4 * num_calls)).get(timeout=max(300, 20 * num_calls))
    expected = expected or serial(spotter)
    assert found == [expected[number % len(IMAGES)] for number in range(4 * num_calls)]
    assert serial(spotter) == expected  # the process that forked computes on


def test_a_pickle_here_and_in_another_process(spotter: Spotter) -> None:
    expected = serial(spotter)
    pickled = pickle.dumps(spotter)
    assert read_pickled(pickled) == expected
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(read_pickled, pickled).result(timeout=300) == expected


def test_where_threads_cannot_be_ended_a_fork_is_told_what_to_do(tmp_path: Path, monkeypatch) -> None:
    spotter = textspot.load(save_tiny_spotter(tmp_path / "model.safetensors"))
    spotter.runtime._can_fork = False  # as of an OpenMP that cannot
    assert spotter(IMAGES[0])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with pytest.raises(RuntimeError, match=r'forked from .* load it here, or start processes with .*"spawn"'):
        spotter(IMAGES[0])


def test_an_openmp_that_is_not_there(monkeypatch, tmp_path: Path) -> None:
    for content in ("", "00400000-00452000 r-xp 00000000 08:02 173521 /nowhere/libgomp.so.1\n"):
        (tmp_path / "maps").write_text(content)
        monkeypatch.setattr(processes, "_MAPS", tmp_path / "maps")
        assert processes._loaded_openmp() == []
    monkeypatch.setattr(processes, "_MAPS", tmp_path / "absent")
    assert processes._loaded_openmp() == []


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_batch_gives_what_single_images_give(runtime: str, exported: Path) -> None:
    """The same texts; in PyTorch, whose convolutions sum in another order, scores within 1e-4."""
    file = exported / ("model.safetensors" if runtime == "pytorch" else "spotter.onnx")
    spotter = textspot.load(file, runtime=runtime)
    images = [noise(64, 96, number) for number in range(8)]
    for alone, together in zip(map(spotter, images), spotter.predict(images, batch_size=8), strict=True):
        assert [one.text for one in alone] == [one.text for one in together]
        for name in ("score", "text_score"):
            np.testing.assert_allclose(*([getattr(one, name) for one in p] for p in (alone, together)), atol=1e-4)
