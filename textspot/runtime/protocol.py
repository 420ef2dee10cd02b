"""What every runtime does, and what it gives. Needs no torch. Legend: B images, K regions, T time, C classes."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import cv2
import numpy as np

from textspot.model_card import CheckpointError

Precision = Literal["float32", "bf16", "float16"]
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")  # control groups of Linux, version 2: "quota period" or "max period"
INPUTS = ("image", "threshold", "max_regions")
OUTPUTS = ("ribbons", "scores", "text_logits")  # of an exported graph


class Regions(NamedTuple):
    """What was found in one image: ribbons (K, 2, 4, 2) in pixels of the input, scores (K,) in [0, 1], best first,
    text_logits (K, T, C). Some scores may lie below the threshold."""

    ribbons: np.ndarray
    scores: np.ndarray
    text_logits: np.ndarray


class Runtime(Protocol):
    """A network that is ready to run. `name` says by what, for people."""

    name: str

    def spot(self, images: np.ndarray, threshold: float, max_regions: int) -> list[Regions]:
        """The regions of each image of a batch (B, H, W, 3) uint8 RGB, H and W divisible by 32: those whose score
        reaches the threshold, `max_regions` of them at most."""
        ...


def graph_inputs(images: np.ndarray, threshold: float, max_regions: int) -> dict[str, np.ndarray]:
    """The inputs of an exported graph, by name; `images` (B, H, W, 3) as `Runtime.spot` takes them."""
    planes = np.empty((len(images), 3, *images.shape[1:3]), dtype=np.uint8)
    for image, channels in zip(images, planes, strict=True):
        cv2.split(np.ascontiguousarray(image), list(channels))  # ten times as fast as a transposed copy
    return {
        "image": planes,
        "threshold": np.array(threshold, dtype=np.float32),
        "max_regions": np.array(max_regions, dtype=np.int64),
    }


def check_signature(file: Path, inputs: Collection[str], outputs: Collection[str]) -> None:
    """A `CheckpointError` unless a graph takes and gives what an exported one does, under the same names."""
    lacks = [name for name in INPUTS if name not in inputs] + [name for name in OUTPUTS if name not in outputs]
    if lacks:
        raise CheckpointError(f"{file}: not a model of this program: its graph lacks {', '.join(lacks)}")


def split_batch(ribbons: np.ndarray, scores: np.ndarray, text_logits: np.ndarray) -> list[Regions]:
    """Arrays with a batch in front as one `Regions` per image."""
    return [Regions(*image) for image in zip(ribbons, scores, text_logits, strict=True)]


def count_cpus() -> int:
    """CPUs that this process may use: OMP_NUM_THREADS if it is set, else its affinity, and in a container its quota.

    Runtimes would count those of the machine, and more threads than CPUs wait for each other.
    """
    if os.environ.get("OMP_NUM_THREADS", "").isdigit():
        return max(1, int(os.environ["OMP_NUM_THREADS"]))
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cpus, _cpu_quota(CPU_QUOTA)))


def _cpu_quota(file: Path) -> int:
    """Whole CPUs that a control group of Linux grants; a large number when it grants all."""
    try:
        quota, period = file.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return 1_000_000
    return 1_000_000 if quota == "max" else -(-int(quota) // int(period))
