"""Of what ships under one name, what runs fastest here."""

from pathlib import Path

import pytest

from textspot.inference.shipped import Machine, choose_fastest
from textspot.runtime.build import RuntimeConfig

ALL = frozenset({"torch", "onnxruntime", "openvino"})
LIGHT = frozenset({"onnxruntime"})
WEIGHTS, FLOAT, INT8 = "s.safetensors", "s.onnx", "s-int8.onnx"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (WEIGHTS, FLOAT, INT8):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("config", "machine", "file", "runtime"),
    [
        (RuntimeConfig(), Machine(ALL, False, True), INT8, "onnxruntime"),
        (RuntimeConfig(), Machine(ALL, False, False), FLOAT, "onnxruntime"),
        (RuntimeConfig(), Machine(LIGHT, False, True), INT8, "onnxruntime"),
        (RuntimeConfig(precision="bf16"), Machine(ALL, False, True), INT8, "openvino"),
        (RuntimeConfig(precision="bf16"), Machine(ALL - {"openvino"}, False, True), WEIGHTS, "pytorch"),
        (RuntimeConfig(precision="float16"), Machine(ALL, True, True), WEIGHTS, "pytorch"),
        (RuntimeConfig(device="auto"), Machine(ALL, True, True), WEIGHTS, "pytorch"),
        (RuntimeConfig(device="auto"), Machine(LIGHT, True, True), INT8, "onnxruntime"),
        (RuntimeConfig(device="cuda:0"), Machine(ALL, True, True), WEIGHTS, "pytorch"),
        (RuntimeConfig(device="cpu"), Machine(ALL, True, True), INT8, "onnxruntime"),
        (RuntimeConfig(compile=True), Machine(ALL, False, True), WEIGHTS, "pytorch"),
        (RuntimeConfig("openvino"), Machine(ALL, False, False), FLOAT, "openvino"),
    ],
)
def test_the_fastest(folder: Path, config: RuntimeConfig, machine: Machine, file: str, runtime: str) -> None:
    chosen, how = choose_fastest("s", folder, config, machine)
    assert (chosen.name, how.runtime) == (file, runtime)
    assert (how.device, how.precision) == (config.device, config.precision)


def test_without_graphs_the_weights(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).touch()
    chosen, how = choose_fastest("s", tmp_path, RuntimeConfig(), Machine(ALL, False, True))
    assert (chosen.name, how.runtime) == (WEIGHTS, "pytorch")


def test_this_machine_is_described() -> None:
    assert Machine.here().packages >= {"torch", "onnxruntime"}
