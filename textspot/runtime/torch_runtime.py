"""PyTorch as a runtime: the network as it is, as fast as eager code goes."""

import os
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from textspot.models.spotting_network import SpottingNetwork, Stage
from textspot.runtime.processes import can_fork
from textspot.runtime.protocol import Precision, Regions, split_batch

DTYPES = {"bf16": torch.bfloat16, "float16": torch.float16}


class TorchRuntime:
    """A spotting network on a device.

    `precision` is that of the convolutions: coordinates, scores and logits stay in float32. Threads may share one, and
    pickles hold the weights. In a fork a network on the CPU computes on; elsewhere that is a RuntimeError.
    """

    name = "pytorch"

    def __init__(
        self, network: SpottingNetwork, device: torch.device, precision: Precision = "float32", compile: bool = False
    ):
        self.network = network.eval().to(device).to(memory_format=torch.channels_last)
        self.device, self.dtype = device, DTYPES.get(precision)
        if precision == "float16" and device.type == "cpu":
            raise ValueError("precision is float16, which CPUs compute slowly: take bf16, or a GPU")
        if compile:
            self.network.compile_parts()
        self._process, self._can_fork = os.getpid(), can_fork()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._process, self._can_fork = os.getpid(), can_fork()

    @torch.inference_mode()
    def spot(self, images: np.ndarray, threshold: float, max_regions: int, stage: Stage = nullcontext) -> list[Regions]:
        """See `Runtime`; each stage of the way runs inside `stage(name)`."""
        self._refuse_a_fork()
        with stage("upload"):
            image = self.upload(images)
        with self.autocast():
            spots = self.network.spot(image, threshold, max_regions, stage=stage)
        with stage("download"):
            return split_batch(*(tensor.cpu().numpy() for tensor in spots))

    @torch.inference_mode()
    def read(self, image: np.ndarray, ribbons: np.ndarray) -> np.ndarray:
        """text_logits (K, T, C) of given ribbons (K, 2, 4, 2) in pixels of an image (H, W, 3) uint8."""
        self._refuse_a_fork()
        regions = torch.from_numpy(ribbons[None]).to(self.device)
        with self.autocast():
            features = self.network.encode(self.upload(image[None]))
            return self.network.read(features, regions)[0].cpu().numpy()

    def _refuse_a_fork(self) -> None:
        """A RuntimeError where to compute would mean to wait for ever, or the GPU is another process's."""
        if self._process != os.getpid() and (not self._can_fork or self.device.type != "cpu"):
            raise RuntimeError(
                "this process was forked from the one that loaded the network, whose threads it has not: load it here, "
                'or start processes with multiprocessing.get_context("spawn")'
            )

    def upload(self, images: np.ndarray) -> Tensor:
        """(B, H, W, 3) uint8 to (B, 3, H, W) uint8 on the device; its memory stays channels last."""
        return torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)

    def autocast(self):
        """The context in which the parts of the network compute."""
        return torch.autocast(self.device.type, self.dtype) if self.dtype else nullcontext()
