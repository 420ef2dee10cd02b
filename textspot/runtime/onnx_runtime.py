"""ONNX Runtime as a runtime. Needs no torch."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from textspot.extras import MissingExtraError
from textspot.model_card import CheckpointError
from textspot.runtime.processes import OwnedByProcess
from textspot.runtime.protocol import OUTPUTS, Precision, Regions, check_signature, graph_inputs, split_batch


class OnnxRuntime:
    """An exported graph in ONNX Runtime; `metadata` is that of the file.

    `device` is `cpu`, `auto` or a GPU such as `cuda:0`; only float32 is computed here (an int8 graph is int8 by
    itself). What ONNX Runtime does not have is a ValueError, a file that it cannot read a `CheckpointError`. Threads
    may share one; a fork and a pickle read the file again.
    """

    name = "onnxruntime"

    def __init__(self, file: Path, device: str = "cpu", precision: Precision = "float32", num_threads: int = 1):
        try:
            import onnxruntime
        except ImportError as error:
            raise MissingExtraError("ONNX Runtime is not installed: pip install onnxruntime") from error
        if os.environ.get("ORT_DISABLE_TELEMETRY") == "1":  # it may have been imported before that was set
            onnxruntime.disable_telemetry_events()
        if precision != "float32":
            raise ValueError(f"precision is {precision!r}, expected float32 with ONNX Runtime; OpenVINO has bf16 too")
        providers = choose_providers(device, onnxruntime.get_available_providers())
        self._session = OwnedByProcess(partial(_open_session, file.absolute(), providers, num_threads))
        self.metadata: dict[str, str] = self._session.get().get_modelmeta().custom_metadata_map

    def spot(self, images: np.ndarray, threshold: float, max_regions: int) -> list[Regions]:
        """See `Runtime`."""
        return split_batch(*self._session.get().run(OUTPUTS, graph_inputs(images, threshold, max_regions)))


def _open_session(file: Path, providers: list[tuple[str, dict[str, str]]], num_threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    try:
        session = onnxruntime.InferenceSession(file, options, providers)
    except Exception as error:  # its classes differ by what is wrong, and share no base of their own
        raise CheckpointError(f"{file}: cannot be used as an ONNX file ({error}); is it complete?") from error
    check_signature(file, {one.name for one in session.get_inputs()}, {one.name for one in session.get_outputs()})
    return session


def choose_providers(device: str, available: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """What ONNX Runtime computes with, of the providers that it has; a ValueError if the device is not among them."""
    has_gpu = "CUDAExecutionProvider" in available
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdigit()):
        raise ValueError(f"device is {device!r}, expected auto, cpu or a GPU such as cuda:0")
    if kind == "cuda" and not has_gpu:
        raise ValueError(f"device is {device!r}, and this ONNX Runtime has no CUDA: install onnxruntime-gpu")
    gpu = [("CUDAExecutionProvider", {"device_id": number or "0"})] if has_gpu and kind != "cpu" else []
    return [*gpu, ("CPUExecutionProvider", {})]
