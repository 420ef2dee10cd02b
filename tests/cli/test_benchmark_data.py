import re

import pytest

from textspot.cli import benchmark_data as benchmark_verb
from textspot.data.synthetic.draw import DrawConfig, draw_dataset
from textspot.data.synthetic.renderer import RendererConfig


@pytest.mark.slow
def test_every_stage_of_the_data_path_is_measured(tmp_path, capsys):
    draw_dataset(tmp_path / "drawn", DrawConfig(6, renderer=RendererConfig(96, 128)))
    arguments = ["--data", str(tmp_path / "drawn"), "--num_images", "5", "--soak", "6"]
    assert benchmark_verb.main(arguments) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("drawn: 6 images, ")
    assert re.search(r"^A batch of 8 takes 1[12]\.\d MB", printed, re.M)  # 8 x 640 x 640 x 3 and two maps are 11.5
    times, memory = printed.split("| samples |")
    assert [float(ms) >= 0 for ms in re.findall(r"^\| .* \| ([\d.]+) \| \d+ \|$", times, re.M)] == [True] * 12
    assert [int(samples) for samples, _ in re.findall(r"^\| (\d+) \| (\d+) \|$", memory, re.M)] == [0, 3, 6]


def test_the_time_is_the_median_of_rounds(monkeypatch):
    """Of six rounds of two calls, 7 ms each call, the first does not count and one that is slow hardly."""
    clock = iter([0, 9, 0, 0.014, 0, 0.014, 0, 5, 0, 0.014, 0, 0.014])
    monkeypatch.setattr(benchmark_verb.time, "process_time", lambda: next(clock))
    called = []
    assert benchmark_verb.time_ms(called.append, 10) == pytest.approx(7)
    assert called == list(range(12))


def test_data_that_is_not_there(tmp_path, capsys):
    assert benchmark_verb.main(["--data", str(tmp_path / "nowhere")]) == 1
    assert "nowhere: no such data set" in capsys.readouterr().err
