"""The command line: what is printed, what is written, what is refused."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from tiny_spotter import save_tiny_spotter, write_noise

from textspot.benchmark import timing, torch_counts
from textspot.cli import benchmark as benchmark_verb
from textspot.data.annotation import Instance
from textspot.data.lmdb_records import Writer

SMALL = ("--measure.rounds", "2", "--measure.batch_sizes", "[1]", "--measure.starts", "0", "--num_threads", "1")
CELLS = ("--cells.sides", "[64]", "--cells.num_regions", "[2]")
PEER = "import json, sys\nfor line in sys.stdin: print(json.dumps({'instances': []}), flush=True)"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("benchmark")
    save_tiny_spotter(folder / "model.safetensors")
    for number in (1, 2):
        write_noise(folder / "photographs" / f"{number}.png", 64, 96, number)
    (folder / "peer.py").write_text(PEER)
    return folder


@pytest.fixture
def benchmark(folder, tmp_path, monkeypatch):
    """Runs the tool on few and small things; gives its exit status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timing, "MOST_WARM_UP_S", 0.0)
    monkeypatch.setattr(torch_counts, "MATRIX_SIDE", {"cpu": 64})
    monkeypatch.setattr(torch_counts, "COPY_BYTES", {"cpu": 2**16})
    weights = ("--weights", str(folder / "model.safetensors"))
    return lambda *arguments: benchmark_verb.main([*weights, *map(str, arguments)])


@pytest.mark.slow
def test_three_files_and_a_page(benchmark, folder, tmp_path, capsys):
    peer = shlex.join([sys.executable, str(folder / "peer.py")])
    assert benchmark("--images", folder / "photographs", *SMALL, *CELLS, "--peer", peer, "--out", "results") == 0
    page = capsys.readouterr().out
    assert sorted(file.name for file in (tmp_path / "results").iterdir()) == [
        *("benchmark.json", "benchmark.md", "stages.png")
    ]
    assert (tmp_path / "results" / "benchmark.md").read_text() == f"{page}![stages](stages.png)\n"
    report = json.loads((tmp_path / "results" / "benchmark.json").read_text())
    assert list(report["systems"]) == ["pytorch float32"]
    assert list(report["peers"]) == [peer]
    with Image.open(tmp_path / "results" / "stages.png") as picture:
        assert np.asarray(picture).std() > 0
    two = [str(tmp_path / "results" / "benchmark.json")] * 2
    assert benchmark_verb.main(["--compare", *two]) == 0
    assert "| pytorch float32 | total |" in capsys.readouterr().out
    for reports, words in (
        ([str(folder / "peer.py")] * 2, "not a report of textspot benchmark"),
        (["absent.json"] * 2, "absent.json"),
    ):
        assert benchmark_verb.main(["--compare", *reports]) == 1
        assert words in capsys.readouterr().err
    with pytest.raises(SystemExit):
        benchmark_verb.main(["--compare", two[0]])
    assert "two reports, found 1" in capsys.readouterr().err


def test_an_lmdb_brings_its_words(benchmark, folder, tmp_path, capsys):
    word = Instance([(10, 10), (50, 10), (50, 30), (10, 30)], "EXIT", False, "")
    with Writer(tmp_path / "lmdb", {}) as writer:
        for file in sorted((folder / "photographs").iterdir()):
            writer.add(file.name, file.read_bytes(), [word])
    assert benchmark("--data", tmp_path / "lmdb", "--limit", 1, *SMALL, *CELLS) == 0
    page = capsys.readouterr().out
    assert "1 images, 2 rounds, pixels (height x width): 1 of 64 x 96" in page
    assert "icdar2015/end_to_end hmean" in page


@pytest.mark.slow
def test_every_precision_that_there_is(benchmark, folder, capsys):
    precisions = ("--precision", "float32", "bf16", "float16")
    assert benchmark("--images", folder / "photographs", *SMALL, *CELLS, *precisions) == 0
    page = capsys.readouterr().out
    assert "| pytorch float32 | pytorch bf16 |" in page
    assert "in auto, float16: precision is float16" in page


def test_soaking(benchmark, folder, capsys):
    assert benchmark("--images", folder / "photographs", "--soak", 3, "--num_threads", 1) == 0
    assert capsys.readouterr().out.startswith("pytorch float32: 3 images: ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give --weights, and either --images or --data"),
        (["--images", "photographs", "--data", "lmdb"], "either --images or --data"),
        (["--data", "lmdb", "--gt", "gt.zip"], "--data knows"),
        (["--images", "photographs", "--precision", "int3"], "precision"),
        (["--images", "photographs", "--limit", "0"], "limit"),
        (["--images", "photographs", "--rounds", "3"], "rounds"),
        (["--images", "photographs", "--measure.rounds", "0"], "at least one round"),
        (["--compare", "one.json", "two.json"], "--compare has no use for --weights"),
        (["--images", "photographs", "--soak", "3", "--measure.rounds", "5"], "--soak has no use for --measure.rounds"),
    ],
)
def test_options_that_make_no_sense(benchmark, capsys, arguments, words):
    with pytest.raises(SystemExit) as caught:
        benchmark(*arguments)
    assert caught.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--images", "absent.jpg"], "absent.jpg"),
        (["--data", "absent"], "absent"),
        (["--images", "PHOTOGRAPHS", "--runtime", "openvino"], "nothing to measure"),
        (["--images", "PHOTOGRAPHS", "--peer", "no-such-program"], "peer 'no-such-program': cannot be started"),
    ],
)
def test_what_cannot_be_done_is_said(benchmark, folder, capsys, arguments, words):
    arguments = [argument.replace("PHOTOGRAPHS", str(folder / "photographs")) for argument in arguments]
    assert benchmark(*arguments) == 1
    assert words in capsys.readouterr().err


def test_all_runtimes_in_turn_and_fresh_processes(folder, exported, tmp_path):
    model, weights = exported / "spotter.onnx", exported / "model.safetensors"
    command = [sys.executable, "-m", "textspot", "benchmark", "--images", folder / "photographs"]
    command += ["--weights", weights, model, *SMALL, *CELLS]
    command += ["--runtime", "auto", "openvino", "--measure.starts", "1", "--out", tmp_path / "out"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True)
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    names = [f"{weights} pytorch float32", f"{model} onnxruntime float32", f"{model} openvino float32"]
    assert list(report["systems"]) == names
    for name in names[1:]:
        assert set(report["systems"][name]["times"]) == {
            *("total", "decode", "preprocess", "network", "suppression", "CTC decoding")
        }
    assert len({one["words"] for one in report["systems"].values()}) == 1
    assert [len(one["cold_starts"]) for one in report["systems"].values()] == [1, 1, 1]
    assert len(report["left_out"]) == 1
    assert "## Fresh processes" in done.stdout
