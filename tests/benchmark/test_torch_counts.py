"""Counts against what one works out by hand."""

import pytest
import torch
from torch.nn import functional as F

from textspot.benchmark.torch_counts import LSTM_FLOPS, Counter, Traffic, measure_ceilings, time_runs

FOUR = 4  # bytes of a float32


def moved(run):
    with torch.inference_mode(), Traffic() as traffic:
        run()
    return traffic.num_bytes / FOUR


def test_each_operator_reads_and_writes_once():
    a, b = torch.ones(10, 3), torch.ones(10, 3)
    assert moved(lambda: a + b) == 3 * 30
    assert moved(lambda: torch.relu(a + b)) == 5 * 30
    assert moved(lambda: a.sum()) == 30 + 1


@pytest.mark.parametrize("view", [lambda a: a.T, lambda a: a[:2], lambda a: a.reshape(2, 15), lambda a: a.unsqueeze(0)])
def test_views_move_nothing(view):
    a = torch.ones(10, 3)
    assert moved(lambda: view(a)) == 0


def test_multiplications_of_a_convolution_and_a_matrix_by_stage():
    image, kernel = torch.ones(2, 3, 8, 10), torch.ones(5, 3, 3, 3)
    counter = Counter()
    with torch.inference_mode():
        for _ in range(2):
            with counter.stage("convolution"):
                F.conv2d(image, kernel, padding=1)
        with counter.stage("matrix"):
            torch.ones(4, 6) @ torch.ones(6, 7)
    assert counter.multiplications == {"convolution": 2 * (2 * 5 * 8 * 10 * 27), "matrix": 4 * 6 * 7}
    of_convolution = image.numel() + kernel.numel() + 2 * 5 * 8 * 10
    assert counter.num_bytes["convolution"] == 2 * FOUR * of_convolution


def test_multiplications_of_lstms():
    """Each time step is multiplied with every weight, and with no bias."""
    lstm, counter = torch.nn.LSTM(6, 5, num_layers=2, bidirectional=True).eval(), Counter()
    with torch.inference_mode(), counter.stage("lstm"):
        lstm(torch.ones(7, 3, 6))
    weights = sum(parameter.numel() for name, parameter in lstm.named_parameters() if "weight" in name)
    assert counter.multiplications == {"lstm": 7 * 3 * weights}
    of_gpu = LSTM_FLOPS[torch.ops.aten._cudnn_rnn](torch.Size([7, 3, 6]), [p.shape for p in lstm.parameters()], 4, None)
    assert of_gpu == 2 * 7 * 3 * weights


def test_ceilings_are_per_second():
    ceilings = measure_ceilings(torch.device("cpu"), torch.float32)
    assert ceilings.multiplications_per_s > 1e6
    assert ceilings.bytes_per_s > 1e6


def test_the_first_run_is_not_timed():
    runs = []
    times = time_runs(lambda: runs.append(0), torch.device("cpu"), 3)
    assert (len(runs), len(times)) == (4, 3)


def test_on_a_gpu_the_time_is_that_between_events(monkeypatch):
    """With events that stand for those of a GPU: the order of calls, and milliseconds become seconds."""
    calls = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            calls.append("record")

        def elapsed_time(self, end):
            assert calls[-1] == "synchronize"
            assert end is not self
            return 5.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("synchronize"))
    assert time_runs(lambda: calls.append("run"), torch.device("cuda"), 2) == [0.005, 0.005]
    assert calls == ["run", *["record", "run", "record"] * 2, "synchronize"]
