"""Of what ships under one name, what runs fastest here."""

from pathlib import Path

import pytest

from textspot.inference.shipped import Machine, choose_fastest, files_of
from textspot.runtime.build import RuntimeConfig

ALL = frozenset({"torch", "onnxruntime", "openvino"})
LIGHT = frozenset({"onnxruntime"})
WEIGHTS, FLOAT, INT8 = map(Path, ("s.safetensors", "s.onnx", "s-int8.onnx"))
FILES = [INT8, WEIGHTS, FLOAT]


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
        (RuntimeConfig("pytorch"), Machine(ALL, False, True), WEIGHTS, "pytorch"),
    ],
)
def test_the_fastest(config: RuntimeConfig, machine: Machine, file: Path, runtime: str) -> None:
    chosen, how = choose_fastest(FILES, config, machine)
    assert (chosen, how.runtime) == (file, runtime)
    assert (how.device, how.precision) == (config.device, config.precision)


@pytest.mark.parametrize(
    ("files", "config", "machine", "file", "runtime"),
    [
        ([WEIGHTS], RuntimeConfig(), Machine(ALL, False, True), WEIGHTS, "pytorch"),
        ([FLOAT], RuntimeConfig(), Machine(ALL, True, True), FLOAT, "onnxruntime"),
        ([INT8], RuntimeConfig(), Machine(ALL, False, False), INT8, "onnxruntime"),
        ([FLOAT], RuntimeConfig("pytorch"), Machine(ALL, False, True), FLOAT, "pytorch"),
    ],
)
def test_not_all_kinds_of_files(files, config: RuntimeConfig, machine: Machine, file: Path, runtime: str) -> None:
    chosen, how = choose_fastest(files, config, machine)
    assert (chosen, how.runtime) == (file, runtime)


def test_no_file_at_all() -> None:
    with pytest.raises(ValueError, match="no weights"):
        choose_fastest([Path("README.md")], RuntimeConfig(), Machine.here())


def test_what_ships_under_a_name() -> None:
    assert {file.name for file in files_of("spotter-s")} >= {"spotter-s.safetensors", "spotter-s.onnx"}
    assert files_of("another") == []


def test_this_machine_is_described() -> None:
    assert Machine.here().packages >= {"torch", "onnxruntime"}
