"""A whole benchmark of small images: what is measured belongs together, however long it took."""

import json
import shlex
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from textspot.benchmark.cells import CellConfig, resize
from textspot.benchmark.cold_start import FIRST, measure_cold_start, start_cold
from textspot.benchmark.images import find_images
from textspot.benchmark.measure import BenchmarkConfig, run_benchmark
from textspot.benchmark.peer import Peer
from textspot.benchmark.plot import draw_stages
from textspot.benchmark.report import compare, to_markdown
from textspot.benchmark.stages import STAGES
from textspot.benchmark.systems import load_systems
from textspot.benchmark.timing import Timing
from textspot.model_card import CheckpointError
from textspot.runtime.build import RuntimeConfig

SLEEPER = """
import json, sys, time
for line in sys.stdin:
    time.sleep(0.05)
    print(json.dumps({"instances": []}), flush=True)
"""
NAME = "pytorch float32"


@pytest.fixture(scope="module")
def report(weights, photographs, tmp_path_factory):
    """Two rounds; a peer that takes a twentieth of a second."""
    folder = tmp_path_factory.mktemp("benchmark")
    for number in (1, 2, 3):
        (folder / f"gt_img_{number}.txt").write_text("")
    (folder / "sleeper.py").write_text(SLEEPER)
    config = BenchmarkConfig(rounds=2, batch_sizes=(1, 2), starts=0)
    cells = CellConfig(sides=(96,), num_regions=(1, 20), num_images=(2,))
    images = find_images([photographs], folder)
    systems, _ = load_systems([weights], ["pytorch"], ["float32"], RuntimeConfig(num_threads=1))
    with Peer(shlex.join([sys.executable, str(folder / "sleeper.py")])) as peer:
        return run_benchmark(systems, {"sleeper": peer}, images, config, cells)


def test_a_report_comes_back_from_json(report):
    assert json.loads(json.dumps(report)) == report
    assert report["left_out"] == []
    assert report["images"] == {"count": 3, "sizes": {"64 x 96": 2, "96 x 128": 1}}


def test_every_stage_of_every_image_and_round(report):
    times = report["systems"][NAME]["times"]
    assert set(times) == {"total", *STAGES} - {"network"}
    assert all(Timing.from_dict(timing).count == 6 and len(timing["rounds_ms"]) == 2 for timing in times.values())


@pytest.mark.parametrize(("until", "kept"), [("timing numbers of regions", True), ("timing all images in turn", False)])
def test_an_interrupted_benchmark_reports_what_was_measured(weights, photographs, until, kept):
    def interrupt(words):
        if words == until:
            raise KeyboardInterrupt

    systems, _ = load_systems([weights], ["pytorch"], ["float32"], RuntimeConfig(num_threads=1))
    config = BenchmarkConfig(rounds=1, batch_sizes=(1,), starts=0)

    def run():
        return run_benchmark(systems, {}, find_images([photographs]), config, CellConfig(), interrupt)

    if not kept:
        with pytest.raises(KeyboardInterrupt):
            run()
        return
    report = run()
    page = to_markdown(json.loads(json.dumps(report)))
    assert "## Throughput" in page
    assert "## The network alone" not in page
    assert "- timing numbers of regions: interrupted" in page
    assert compare(report, report)


def test_stages_cover_the_total(report):
    times = report["systems"][NAME]["times"]
    together = sum(timing["mean_ms"] for name, timing in times.items() if name != "total")
    assert 0.05 < together / times["total"]["mean_ms"] < 20  # a stage that is missed, or counted in other units


def test_throughput_by_batch_size(report):
    throughput = report["systems"][NAME]["throughput"]
    assert list(throughput) == ["1", "2"]
    assert all(timing["count"] == 2 for timing in throughput.values())


def test_cells_hold_the_number_of_regions_that_was_asked_for(report, system):
    cells = report["systems"][NAME]["cells"]
    assert [(cell["size"], cell["num_images"], cell["num_regions"]) for cell in cells] == [
        ([64, 96], 2, 1),
        ([64, 96], 2, 20),
    ]
    assert [cell["num_found"] for cell in cells] == [1, 20]
    few, many = (cell["multiplications"] for cell in cells)
    assert many["recogniser"] == 20 * few["recogniser"] > 0
    assert many["backbone and neck"] == few["backbone and neck"] > 0
    head = system.spotter.runtime.network.detector
    channels = head.tower[0].in_channels
    per_cell = channels * channels * 9 + channels * 17  # the tower, and its score and geometry
    assert few["detector"] == 2 * (64 // 4) * (96 // 4) * per_cell
    assert report["systems"][NAME]["parameters"] == sum(p.numel() for p in system.spotter.runtime.network.parameters())


def test_an_image_with_fewer_regions_than_asked_for_says_so(report):
    cells = report["systems"][NAME]["cells"]
    short = {**report, "systems": {NAME: {**report["systems"][NAME], "cells": [{**cells[1], "num_found": 7}]}}}
    assert "20, 7 found" in to_markdown(short)


def test_a_peer_has_a_ratio_to_each_system(report):
    peer = report["peers"]["sleeper"]
    assert peer["times"]["total"]["p50_ms"] >= 50
    value, low, high = peer["ratios"][NAME]
    assert low <= value <= high
    assert peer["hmean"] == {"icdar2015/detection_iou": 0, "icdar2015/end_to_end": 0}
    assert peer["words"] == 0
    assert report["systems"][NAME]["words"] > 0


def test_the_report_as_a_page(report):
    page = to_markdown(report | {"left_out": ["x.onnx in pytorch: it does not run there"]})
    titles = ("From file to text", "Other programs", "Stage by stage", "Throughput", "The network alone", "Left out")
    for title in titles:
        assert f"## {title}" in page
    assert "- x.onnx in pytorch: it does not run there" in page
    assert "## Left out" not in to_markdown(report)
    tables = [line for line in page.splitlines() if line.startswith("|")]
    heads = [number for number, line in enumerate(tables) if set(line) <= set("|- ")]
    assert len(heads) == 5
    for start, end in zip(heads, [*(head - 1 for head in heads[1:]), len(tables)], strict=True):
        assert len({line.count("|") for line in tables[start - 1 : end]}) == 1


def test_compared_with_itself_nothing_differs(report):
    page = compare(report, report)
    assert page.startswith("| ")
    for what in ("total", "RoI", "an image in batches of 2", "network alone: pixels 64 x 96, images 2, regions 20"):
        assert f"| {NAME} | {what} | " in page
    assert "| sleeper | total | " in page
    assert page.count("no difference beyond the noise") == page.count("1.00 (")


def test_what_is_slower_is_seen_and_what_else_differs_is_said(report):
    slower = json.loads(json.dumps(report))
    total = slower["systems"][NAME]["times"]["total"]
    slower["systems"][NAME]["times"]["total"] = {
        key: [1000 * one for one in value] if isinstance(value, list) else 1000 * value for key, value in total.items()
    }
    slower["machine"]["cpu"] = "another CPU"
    page = compare(report, slower)
    assert f"- cpu: {report['machine']['cpu']} / another CPU\n" in page
    (line,) = (line for line in page.splitlines() if line.startswith(f"| {NAME} | total"))
    assert "1000.00 (" in line
    assert "no difference" not in line
    slower["images"]["count"] = 4
    assert "other images" in compare(report, slower)


def test_systems_of_other_names_are_compared_in_their_order(report):
    other = report | {"systems": {"another": report["systems"][NAME]}, "peers": {}}
    only = report | {"peers": {}}
    assert f"| {NAME} / another | total |" in compare(only, other)
    with pytest.raises(ValueError, match="nothing to compare"):
        compare(report, other)


def test_the_plot_shows_the_stages_in_proportion():
    times = {"decode": 25.0, "network": 75.0}
    one = {"times": {name: {"mean_ms": ms} for name, ms in times.items()}}
    picture = draw_stages({"systems": {"a": one, "b": one}})
    decode, network = ((picture == colour).all(axis=2) for colour in ((0x44, 0x77, 0xAA), (0x22, 0x88, 0x33)))
    row = picture.shape[0] // 4
    rows = [y for y in range(picture.shape[0]) if network[y].sum() > 100]
    assert row in range(min(rows), max(rows))
    shares = network[rows].sum(axis=1) / (network[rows].sum(axis=1) + decode[rows].sum(axis=1))
    np.testing.assert_allclose(shares, 0.75, atol=0.01)


def test_resizing_keeps_the_shape():
    assert resize(np.zeros((720, 1280, 3), np.uint8), 640).shape == (384, 640, 3)  # 360 rows, padded
    assert resize(np.zeros((30, 60, 3), np.uint8), 640).shape == (320, 640, 3)
    assert resize(np.zeros((1, 3000, 3), np.uint8), 320).shape == (32, 320, 3)


@pytest.mark.parametrize("config", [{"rounds": 0}, {"batch_sizes": (0,)}, {"starts": -1}])
def test_amounts_that_make_no_sense(config):
    with pytest.raises(ValueError, match="at least one round"):
        BenchmarkConfig(**config)


@pytest.mark.parametrize("config", [{"sides": (0,)}, {"num_regions": (0,)}, {"num_images": (0, 1)}])
def test_cells_that_make_no_sense(config):
    with pytest.raises(ValueError, match="at least 1"):
        CellConfig(**config)


def test_systems_are_all_that_can_be_run(weights):
    systems, left_out = load_systems([weights], ["auto", "openvino"], ["float32", "bf16"], RuntimeConfig(num_threads=1))
    assert list(systems) == ["pytorch float32", "pytorch bf16"]
    assert [config.runtime for config in (one.config for one in systems.values())] == ["pytorch", "pytorch"]
    assert len(left_out) == 2
    assert "runtime openvino runs an .onnx file" in left_out[0]
    described = systems["pytorch bf16"].describe()
    assert described["file_bytes"] == weights.stat().st_size
    assert described["num_threads"] == 1


def test_no_system_and_no_file(weights, tmp_path):
    with pytest.raises(ValueError, match=r"nothing to measure:\n.*runs an \.onnx file"):
        load_systems([weights], ["openvino"], ["float32"], RuntimeConfig())
    with pytest.raises(CheckpointError, match="no such file"):
        load_systems([tmp_path / "absent.safetensors"], ["auto"], ["float32"], RuntimeConfig())


def test_the_parts_of_a_start(weights, files, system):
    task = {"weights": str(weights), "options": asdict(system.config), "images": list(map(str, files))}
    start = start_cold(task | {"batch_sizes": [1, 2], "started": 0.0})
    assert list(start.peak_bytes) == [FIRST, "1", "2"]
    assert start.total_s > start.load_s + start.first_image_s > 0
    assert set(start.peak_gpu_bytes.values()) == {None} or torch.cuda.is_available()


@pytest.mark.slow
def test_a_fresh_process_pays_for_its_imports(weights, files, system):
    start = measure_cold_start(weights, asdict(system.config), files, [2])
    assert start.import_s > 0.1
    assert start.total_s > start.import_s + start.load_s + start.first_image_s
    assert start.peak_bytes["2"] is None or start.peak_bytes["2"] >= start.peak_bytes[FIRST] > 2**26


def test_measuring_a_graph_needs_no_torch():
    modules = ", ".join(f"textspot.benchmark.{name}" for name in ("measure", "report", "plot", "soak", "cold_start"))
    code = f"import sys, {modules}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
