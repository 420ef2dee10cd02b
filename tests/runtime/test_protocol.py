"""What a runtime is told of the machine."""

import os

import pytest

from textspot.runtime import protocol
from textspot.runtime.onnx_runtime import choose_providers

CPU = ("CPUExecutionProvider", {})
GPUS = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [("max 100000\n", 4), ("150000 100000\n", 2), ("50000 100000\n", 1), ("900000 100000", 4), ("?", 4), (None, 4)],
)
def test_cpus_are_those_of_the_process_and_its_container(tmp_path, monkeypatch, content, expected):
    if content is not None:
        (tmp_path / "cpu.max").write_text(content)
    monkeypatch.setattr(protocol, "CPU_QUOTA", tmp_path / "cpu.max")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 7}, raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert protocol.count_cpus() == expected


@pytest.mark.parametrize(("value", "expected"), [("3", 3), ("0", 1), ("many", 1)])
def test_omp_num_threads_is_the_last_word(monkeypatch, value, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert protocol.count_cpus() == expected


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("cpu", GPUS, [CPU]),
        ("auto", GPUS[1:], [CPU]),
        ("auto", GPUS, [("CUDAExecutionProvider", {"device_id": "0"}), CPU]),
        ("cuda", GPUS, [("CUDAExecutionProvider", {"device_id": "0"}), CPU]),
        ("cuda:1", GPUS, [("CUDAExecutionProvider", {"device_id": "1"}), CPU]),
    ],
)
def test_the_device_chooses_the_provider(device, available, expected):
    assert choose_providers(device, available) == expected


@pytest.mark.parametrize(
    ("device", "words"), [("cuda", "has no CUDA"), ("gpu", "expected auto"), ("cuda:x", "expected")]
)
def test_a_device_that_is_not_there(device, words):
    with pytest.raises(ValueError, match=words):
        choose_providers(device, GPUS[1:])
