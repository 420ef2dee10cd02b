"""Which of the files that ship under one name runs fastest here, and in what; and whether they are what was shipped."""

import importlib.util
import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from textspot import file_checksum
from textspot.file_checksum import CHECKSUMS, parse_checksums
from textspot.model_card import CheckpointError
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.protocol import Precision

SHIPPED = Path(__file__).parents[1] / "weights"
INT8 = "-int8"  # ends the names of graphs in 8 bits
RUNTIME_NAMES = {"pytorch": "PyTorch", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO"}
CPU_FLAGS = Path("/proc/cpuinfo")
NVIDIA = Path("/proc/driver/nvidia/version")  # there with the driver of a GPU; torch would take seconds to say so
INT8_FLAGS = {"avx2", "asimddp"}  # x86-64, where int8 takes 0.6 of float's time even without VNNI, and Arm
FASTEST: dict[Precision, RuntimeName] = {"float32": "onnxruntime", "bf16": "openvino"}  # on a CPU


@dataclass(frozen=True)
class Machine:
    """What decides how fast a runtime is.

    Args:
        packages: names of the runtimes' packages that are installed.
        has_gpu: presence of a GPU that torch could use.
        has_int8: presence of instructions with which int8 is faster than float.
    """

    packages: frozenset[str]
    has_gpu: bool
    has_int8: bool

    @classmethod
    def here(cls) -> "Machine":
        """This one."""
        names = ("torch", "onnxruntime", "openvino")
        found = frozenset(name for name in names if importlib.util.find_spec(name))
        return cls(found, NVIDIA.exists(), _has_int8())


def choose_fastest(files: Sequence[Path], config: RuntimeConfig, machine: Machine) -> tuple[Path, RuntimeConfig]:
    """Of the files of a network, and of the runtimes, those that are fastest, by what docs/benchmark.md measured.

    On a GPU, with torch.compile and in float16, PyTorch. On a CPU the int8 graph where there are instructions for it,
    else the float graph: in float32 by ONNX Runtime, in bf16 by OpenVINO. What is not installed, or not among the
    files, is passed over; a runtime that `config` names is taken. No file at all is a ValueError.
    """
    weights, graphs = [file for file in files if file.suffix == ".safetensors"], _graphs(files, machine)
    wants_gpu = config.device.startswith("cuda") or (config.device == "auto" and machine.has_gpu)
    wants_torch = wants_gpu or config.compile or config.precision == "float16"
    runtime = FASTEST.get(config.precision, "pytorch")
    if not weights + graphs:
        raise ValueError("no weights (.safetensors) and no graph (.onnx)")
    if config.runtime in ("onnxruntime", "openvino"):
        return (graphs + weights)[0], config
    if weights and wants_torch and "torch" in machine.packages:
        return weights[0], replace(config, runtime="pytorch")
    if graphs and runtime in machine.packages and config.runtime != "pytorch":
        return graphs[0], replace(config, runtime=runtime)
    return (weights[0], replace(config, runtime="pytorch")) if weights else (graphs[0], config)


def files_of(name: str) -> list[Path]:
    """The files that ship under a name."""
    return [file for file in sorted(SHIPPED.iterdir()) if file.stem.removesuffix(INT8) == name]


def check_shipped(file: Path) -> Path:
    """The file, if its bytes are those of which `CHECKSUMS` beside it holds the SHA-256; else a `CheckpointError`."""
    expected = parse_checksums((file.parent / CHECKSUMS).read_text(encoding="utf-8"))
    if file_checksum.hash_file(file) != expected.get(file.name):
        raise CheckpointError(f"{file}: not the file that was shipped, says {CHECKSUMS}: install it again")
    return file


def _graphs(files: Sequence[Path], machine: Machine) -> list[Path]:
    """The graphs that this machine runs well, fastest first; those in int8 last where it does not."""
    graphs = [file for file in files if file.suffix == ".onnx"]
    return sorted(graphs, key=lambda file: file.stem.endswith(INT8) != machine.has_int8)


def _has_int8() -> bool:
    if platform.machine().lower() in ("arm64", "aarch64") and platform.system() == "Darwin":
        return True
    try:
        words = CPU_FLAGS.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return False
    return not INT8_FLAGS.isdisjoint(words)
