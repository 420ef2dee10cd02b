"""Reading heads beside each other."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from tiny_spotter import TINY_RECIPE, build_tiny_network
from tool_modules import import_tool
from torch.autograd import DeviceType

from textspot.benchmark.readers import (
    CONTEXT,
    HEAD,
    Reading,
    choose_reader,
    measure_readers,
    operator_shares,
    profile_reader,
)
from textspot.models.fcr import RecognizerConfig
from textspot.models.text_pooling import PADDING_LOGIT, RoiConfig
from textspot.runtime.torch_runtime import TorchRuntime


def test_the_name_of_a_reader_says_kind_and_channels():
    base = RecognizerConfig(widths=(64, 96, 128, 192))
    assert choose_reader(base, "fcr") == base
    half = choose_reader(base, "crnn@0.5")
    assert (half.kind, half.widths, half.context_layers) == ("crnn", (32, 48, 64, 96), base.context_layers)
    assert choose_reader(base, "fcr@0.01").widths == (8, 8, 8, 8)


@pytest.mark.parametrize("name", ["lstm", "fcr@", "fcr@half", "fcr@0", "fcr@-1", "fcr@nan", "crnn@17", ""])
def test_a_name_of_no_reader(name):
    with pytest.raises(ValueError, match=f"no reader is called '{name}'"):
        choose_reader(RecognizerConfig(), name)


@pytest.fixture
def runtimes():
    roi = RoiConfig(kind="proportional", width=16, min_width=8, taps=(2,))
    recipe = replace(TINY_RECIPE, model=replace(TINY_RECIPE.model, roi=roi))
    return {name: TorchRuntime(build_tiny_network(recipe), torch.device("cpu")) for name in ("one", "other")}


def test_a_reading_reads_so_many_regions_to_their_last_column(runtimes):
    runtime = runtimes["one"]
    runs = Reading(2, 3).build(runtime)
    network, logits = runtime.network, runs[HEAD]()
    assert logits.shape == (2, 3, network.roi.width // 2, network.recognizer.num_classes)
    assert (logits[..., 0] < PADDING_LOGIT).all()
    with torch.inference_mode():
        first = network.recognizer.classifier(runs[CONTEXT]())[:, :, 0, 0]
    torch.testing.assert_close(first, logits[:, :, 0].flatten(0, 1))


def test_heads_are_timed_in_turn_and_their_time_has_reasons(runtimes):
    times = measure_readers(runtimes, Reading(1, 2), 2)
    assert list(times) == ["one", "other"]
    timings = [timing for parts in times.values() for timing in parts.values()]
    assert [list(parts) for parts in times.values()] == [[HEAD, CONTEXT]] * 2
    assert all(timing.count == 6 and len(timing.rounds_ms) == 2 for timing in timings)
    shares = profile_reader(runtimes["one"], Reading(1, 2), 3)
    assert len(shares) == 3
    assert any("conv" in operator for operator, _ in shares)


def test_shares_are_those_of_operators():
    def event(key, device, cpu, gpu):
        return SimpleNamespace(key=key, device_type=device, self_cpu_time_total=cpu, self_device_time_total=gpu)

    events = [event("add", DeviceType.CPU, 1, 8), event("conv", DeviceType.CPU, 3, 2)]
    events += [event("kernel of add", DeviceType.CUDA, 0, 8), event("kernel of conv", DeviceType.CUDA, 0, 2)]
    assert operator_shares(events, on_gpu=False) == [("conv", 0.75), ("add", 0.25)]
    assert operator_shares(events, on_gpu=True) == [("add", 0.8), ("conv", 0.2)]


def test_the_tool_prints_a_column_for_each_head(capsys):
    small = ["--model.backbone.widths=[8,8,8,8]", "--model.neck.channels=16", "--model.roi.taps=[]", "--rounds", "1"]
    small += ["--model.recognizer.widths=[8,8,16,16]", "--words", "1", "2", "--images", "1", "--num_threads", "1"]
    tool = import_tool("compare_readers")
    assert tool.main([*small, "--heads", "fcr", "crnn@2", "--profile"]) == 0
    printed = capsys.readouterr().out
    assert "| images | words in each | fcr | crnn@2 |" in printed
    assert printed.count("\n| 1 | ") == 4  # the head, and its layers along the line
    assert printed.count("- crnn@2: ") == 2
    for heads, message in (
        (["rnn"], "no reader is called 'rnn'"),
        (["fcr", "fcr"], "heads: fcr fcr holds one twice"),
        (["fcr", "--model.recognizer.kind", "crnn"], "--heads says which readers"),
    ):
        assert tool.main([*small, "--heads", *heads]) == 1
        assert message in capsys.readouterr().err
