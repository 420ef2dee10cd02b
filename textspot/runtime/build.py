"""From a file to the runtime that runs it. Needs no torch unless the runtime is PyTorch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from textspot import file_checksum
from textspot.model_card import CheckpointError, ModelCard
from textspot.ranges import NonNegativeInt, check_ranges
from textspot.runtime.protocol import Precision, Runtime, count_cpus

RuntimeName = Literal["auto", "pytorch", "onnxruntime", "openvino"]


@dataclass(frozen=True)
class RuntimeConfig:
    """How a network is run.

    Args:
        runtime: `pytorch` runs weights, `onnxruntime` and `openvino` run an .onnx file; `auto` takes PyTorch for
            weights and ONNX Runtime for an .onnx file.
        device: `auto` takes a GPU if the runtime has one; or `cpu`, or `cuda:0`.
        precision: precision of the convolutions: `float32` everywhere, `bf16` in PyTorch and OpenVINO,
            `float16` in PyTorch on a GPU.
        compile: have torch.compile make kernels at the first image; in PyTorch only.
        num_threads: CPU threads; 0 takes the CPUs that this process may use.
    """

    runtime: RuntimeName = "auto"
    device: str = "cpu"
    precision: Precision = "float32"
    compile: bool = False
    num_threads: NonNegativeInt = 0

    def __post_init__(self) -> None:
        check_ranges(self, "")


def build_runtime(file: Path, config: RuntimeConfig) -> tuple[Runtime, ModelCard]:
    """The runtime of a weights or `.onnx` file, and the card in it; see `RuntimeConfig` for what may be asked for."""
    is_onnx = file.suffix.lower() == ".onnx"
    name = config.runtime if config.runtime != "auto" else "onnxruntime" if is_onnx else "pytorch"
    if is_onnx == (name == "pytorch"):
        wanted = "a model.safetensors" if name == "pytorch" else "an .onnx file, which textspot export writes"
        raise ValueError(f"{file}: runtime {name} runs {wanted}")
    if config.compile and name != "pytorch":
        raise ValueError(f"compile is for the runtime pytorch; {name} compiles by itself")
    if name == "pytorch":
        return _build_torch(file, config)
    if not file.is_file():
        raise CheckpointError(f"{file}: no such file, or no regular one; expected one that textspot export wrote")
    _check_onnx(file)
    num_threads = config.num_threads or count_cpus()
    if name == "openvino":
        from textspot.runtime.openvino_runtime import OpenVinoRuntime

        openvino = OpenVinoRuntime(file, config.device, config.precision, num_threads)
        return openvino, ModelCard.from_metadata(openvino.metadata, str(file))
    from textspot.runtime.onnx_runtime import OnnxRuntime

    onnx = OnnxRuntime(file, config.device, config.precision, num_threads)
    return onnx, ModelCard.from_metadata(onnx.metadata, str(file))


def _check_onnx(file: Path) -> None:
    try:
        file_checksum.check(file)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{file}: {error}: export or copy it again") from error


def _build_torch(file: Path, config: RuntimeConfig) -> tuple[Runtime, ModelCard]:
    import torch

    from textspot.checkpoint import load_model
    from textspot.device import choose_device
    from textspot.quant.folding import fold_batchnorm
    from textspot.runtime.torch_runtime import TorchRuntime

    network, card = load_model(file)
    if config.num_threads or torch.get_num_threads() > count_cpus():
        torch.set_num_threads(config.num_threads or count_cpus())
    device = choose_device(config.device)
    return TorchRuntime(fold_batchnorm(network), device, config.precision, config.compile), card
