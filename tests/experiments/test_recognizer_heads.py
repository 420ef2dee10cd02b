"""Reading heads beside each other."""

from dataclasses import replace
from types import SimpleNamespace

import compare_recognizers as tool
import pytest
import torch
from recognizer_heads import (
    CONTEXT,
    HEAD,
    Reading,
    choose_reader,
    format_times,
    measure_readers,
    operator_shares,
    profile_reader,
)
from tiny_spotter import TINY_RECIPE, build_tiny_network
from torch.autograd import DeviceType

from textspot.benchmark.timing import Timing
from textspot.models.choice import Choice
from textspot.models.crnn import RecurrentConfig
from textspot.models.recognizer import RecognizerConfig
from textspot.models.text_pooling import PADDING_LOGIT, ProportionalRoiConfig
from textspot.runtime.torch_runtime import TorchRuntime


def test_the_name_of_a_reader_says_kind_and_channels():
    base = Choice("fcr", RecognizerConfig(widths=(64, 96, 128, 192)))
    assert choose_reader(base, "fcr") == base
    half = choose_reader(base, "crnn@0.5")
    assert (half.kind, half.settings) == ("crnn", RecurrentConfig(widths=(32, 48, 64, 96)))
    assert choose_reader(base, "fcr@0.01").settings.widths == (8, 8, 8, 8)


@pytest.mark.parametrize("name", ["lstm", "fcr@", "fcr@half", "fcr@0", "fcr@-1", "fcr@nan", "crnn@17", ""])
def test_a_name_of_no_reader(name):
    with pytest.raises(ValueError, match=f"no recogniser is called '{name}'"):
        choose_reader(Choice("fcr", RecognizerConfig()), name)


def build_runtime(reader, precision="float32"):
    roi = Choice("proportional", ProportionalRoiConfig(width=16, min_width=8, taps=(2,)))
    model = replace(TINY_RECIPE.model, roi=roi, recognizer=choose_reader(TINY_RECIPE.model.recognizer, reader))
    return TorchRuntime(build_tiny_network(replace(TINY_RECIPE, model=model)), torch.device("cpu"), precision)


@pytest.fixture
def runtimes():
    return {name: build_runtime(reader) for name, reader in (("one", "fcr"), ("other", "crnn"))}


@pytest.mark.parametrize("reader", ["fcr", "crnn"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_a_reading_reads_so_many_regions_to_their_last_column(reader, precision):
    runtime = build_runtime(reader, precision)
    runs = Reading(2, 3).build_runs(runtime)
    network, logits = runtime.network, runs[HEAD]()
    assert logits.shape == (2, 3, network.roi.width // 2, network.recognizer.num_classes)
    assert (logits[..., 0] < PADDING_LOGIT).all()
    context = runs[CONTEXT]()
    assert context.dtype == (runtime.dtype or torch.float32)
    with torch.inference_mode(), runtime.autocast():
        classified = network.recognizer.classifier(context).squeeze(2).transpose(1, 2).float()
    torch.testing.assert_close(classified, logits.flatten(0, 1))


@pytest.mark.parametrize("part", [HEAD, CONTEXT])
def test_heads_are_timed_in_turn(part, runtimes):
    times = measure_readers(runtimes, Reading(1, 2), part, 2)
    assert list(times) == ["one", "other"]
    assert all(timing.count == 6 and len(timing.rounds_ms) == 2 for timing in times.values())


def test_the_time_of_a_head_has_reasons(runtimes):
    shares = profile_reader(runtimes["one"], Reading(1, 2), 3)
    assert len(shares) == 3
    assert any("conv" in operator for operator, _ in shares)


def test_a_table_of_times():
    fast, slow = Timing.of([[0.001], [0.002]]), Timing.of([[0.002], [0.006]])
    table = format_times({Reading(1, 2): {"fcr": fast, "crnn": slow}})
    assert table.splitlines()[0] == "| images | words in each | fcr | crnn |"
    assert table.splitlines()[2] == "| 1 | 2 | 1.50 ms | 4.00 ms, 2.50 (2.00 to 3.00) |"


def test_shares_are_those_of_operators():
    def event(key, device, cpu, gpu):
        return SimpleNamespace(key=key, device_type=device, self_cpu_time_total=cpu, self_device_time_total=gpu)

    events = [event("add", DeviceType.CPU, 1, 8), event("conv", DeviceType.CPU, 3, 2)]
    events += [event("kernel of add", DeviceType.CUDA, 0, 8), event("kernel of conv", DeviceType.CUDA, 0, 2)]
    assert operator_shares(events, on_gpu=False) == [("conv", 0.75), ("add", 0.25)]
    assert operator_shares(events, on_gpu=True) == [("add", 0.8), ("conv", 0.2)]


@pytest.mark.slow
def test_the_tool_prints_a_column_for_each_head(capsys):
    small = [
        "--model.backbone.slim_resnet.widths=[8,8,8,8]",
        "--model.neck.channels=16",
        "--model.roi.stretched.taps=[]",
        "--rounds",
        "1",
    ]
    small += ["--model.recognizer.fcr.widths=[8,8,16,16]", "--words", "1", "2", "--images", "1", "--num_threads", "1"]
    assert tool.main([*small, "--heads", "fcr", "crnn@2", "--profile"]) == 0
    printed = capsys.readouterr().out
    assert "| images | words in each | fcr | crnn@2 |" in printed
    assert printed.count("\n| 1 | ") == 4  # the head, and its layers along the line
    assert printed.count("- crnn@2: ") == 2
    for heads, message in (
        (["rnn"], "no recogniser is called 'rnn'"),
        (["fcr", "fcr"], "heads: fcr fcr holds one twice"),
    ):
        assert tool.main([*small, "--heads", *heads]) == 1
        assert message in capsys.readouterr().err
    assert tool.main(["--heads", "fcr", "--model.recognizer.kind", "crnn"]) == 1
    assert "--heads says which readers are timed" in capsys.readouterr().err
