"""OpenVINO as a runtime. Needs no torch."""

from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from textspot.extras import MissingExtraError
from textspot.model_card import CheckpointError
from textspot.runtime.processes import OwnedByProcess
from textspot.runtime.protocol import OUTPUTS, Precision, Regions, check_signature, graph_inputs, split_batch

PRECISIONS: dict[Precision, str] = {"float32": "f32", "bf16": "bf16"}


@cache
def open_core():
    """OpenVINO's core, one for the whole process, for as long as it lives: when the last one goes, its CPU plugin takes
    away the stack on which signal handlers run, and the next signal with a handler kills the process."""
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("OpenVINO is not installed: pip install 'textspot[openvino]'") from error
    return openvino.Core()


def keep_coordinates_in_float32(model: Any) -> None:
    """Make the sampling points of the regions outputs of a model, in place: OpenVINO lowers the precision of all it
    computes but of what leads from the last convolutions and matrix products to an output, and in bf16 a coordinate
    beyond 512 pixels is a multiple of 4."""
    for operation in model.get_ordered_ops():
        if operation.get_type_name() == "GridSample":
            model.add_outputs(operation.input(1).get_source_output())


def flatten_shared_map(model: Any) -> None:
    """Flatten and restore the shared map where regions are sampled from it, in place: that asks for the layout which
    sampling takes, and OpenVINO moves the dequantisation of a quantised network behind it. To change the layout of
    float32 instead takes eight times as long, a quarter of the time of such a network; to a float network it makes no
    difference. Of the sampled maps it is the one with most channels. The same at the backbone's first map makes
    OpenVINO 2026.4 compute something else: scores differ twice as much from those of ONNX Runtime.
    """
    from openvino import opset13 as op

    samplings = [operation for operation in model.get_ordered_ops() if operation.get_type_name() == "GridSample"]
    if not samplings:
        return
    sampling = max(samplings, key=lambda operation: operation.input(0).get_partial_shape()[1].get_length())
    maps = sampling.input(0).get_source_output()
    flat = op.reshape(maps, op.constant(np.array([0, 0, -1])), special_zero=True)
    restored = op.reshape(flat, op.shape_of(maps), special_zero=False)
    sampling.input(0).replace_source_output(restored.output(0))


class OpenVinoRuntime:
    """An exported graph on the CPU in OpenVINO; `metadata` is that of the ONNX file.

    The precision is always stated: left to itself OpenVINO computes in bf16 where the CPU can. What it does not have is
    a ValueError, a file that it cannot read a `CheckpointError`. Threads may share one; a fork and a pickle read the
    file again.
    """

    name = "openvino"

    def __init__(self, file: Path, device: str = "cpu", precision: Precision = "float32", num_threads: int = 1):
        if device not in ("cpu", "auto"):
            raise ValueError(f"device is {device!r}, expected cpu or auto: OpenVINO runs on the CPU here")
        if precision not in PRECISIONS:
            raise ValueError(f"precision is {precision!r}, expected {' or '.join(PRECISIONS)} with OpenVINO")
        open_core()
        self._model = OwnedByProcess(partial(_compile, file.absolute(), precision, num_threads))
        self.metadata: dict[str, str] = self._model.get().metadata

    def spot(self, images: np.ndarray, threshold: float, max_regions: int) -> list[Regions]:
        """See `Runtime`."""
        outputs = self._model.get().infer(graph_inputs(images, threshold, max_regions))
        return split_batch(*(outputs[name] for name in OUTPUTS))


class _Compiled:
    """A compiled model, and requests that are not in use: one request answers one thread at a time."""

    def __init__(self, compiled: Any, metadata: dict[str, str]):
        self.compiled, self.metadata = compiled, metadata
        self.idle: list[Any] = []

    def infer(self, inputs: dict[str, np.ndarray]) -> Any:
        """The outputs by name."""
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        outputs = request.infer(inputs)
        self.idle.append(request)
        return outputs


def _compile(file: Path, precision: Precision, num_threads: int) -> _Compiled:
    core = open_core()
    try:
        model = core.read_model(file)
    except RuntimeError as error:
        raise CheckpointError(f"{file}: cannot be used as an ONNX file ({error}); is it complete?") from error
    names = [{name for port in ports for name in port.get_names()} for ports in (model.inputs, model.outputs)]
    check_signature(file, *names)
    metadata = dict(model.rt_info).get("framework", {})
    settings = {
        "INFERENCE_PRECISION_HINT": PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": num_threads,
        "PERFORMANCE_HINT": "LATENCY",
        # Kernels that are kept, one for each layer at each size or number of regions. The default of 5000 takes
        # 1.4 GiB per 1000 sizes of image, none costs 5 % of the time; 100 take 30 MiB and cost nothing.
        "CPU_RUNTIME_CACHE_CAPACITY": 100,
    }
    flatten_shared_map(model)
    if precision != "float32":
        keep_coordinates_in_float32(model)
    compiled = core.compile_model(model, "CPU", settings)
    return _Compiled(compiled, {key: str(value.value) for key, value in metadata.items()})
