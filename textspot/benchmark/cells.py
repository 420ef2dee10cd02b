"""The network alone at a given size of the image, size of the batch and number of regions to read.

How many words an image holds decides how long a spotter takes, and no photograph has just as many as one wants. So the
number of regions is forced: with a threshold below 0 the K best ones are read, whatever they are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import cv2
import numpy as np

from textspot.benchmark.stages import Stopwatch, as_torch, is_on_gpu, run_network, synchronizer
from textspot.benchmark.systems import System
from textspot.benchmark.timing import measure_in_turn, warm_up
from textspot.preprocess import PreprocessConfig, preprocess

RUNS_PER_ROUND = 3
BELOW_ALL = -1.0  # a threshold that suppressed regions pass too


@dataclass(frozen=True)
class CellConfig:
    """What the table `The network alone` measures: all combinations of these.

    Args:
        sides: lengths of the image's longer side in pixels; the aspect ratio is kept. [] skips the table.
        num_regions: regions to read.
        num_images: images in the batch.
    """

    sides: tuple[int, ...] = (1280,)
    num_regions: tuple[int, ...] = (1, 10, 50)
    num_images: tuple[int, ...] = (1,)

    def __post_init__(self) -> None:
        if min(*self.sides, *self.num_regions, *self.num_images, 1) < 1:
            raise ValueError(f"expected sides of the image, regions and images of at least 1: {self}")


def measure_cells(
    systems: Mapping[str, System], image: np.ndarray, num_rounds: int, config: CellConfig
) -> dict[str, dict[str, Any]]:
    """For each system, measured in turn on an RGB image (H, W, 3) uint8:

    {"cells": [{"size": [H, W], "num_images", "num_regions", "num_found", "warm_up": [runs, stable],
                "times": {"network": timing, "CTC decoding": timing},
                "multiplications": {stage: n}, "bytes": {stage: n}, "device_s": [by CUDA events, on a GPU]}, ...],
     "parameters": n, "ceilings": {"multiplications_per_s", "bytes_per_s"}}

    An image may hold fewer regions than are to be read: `num_found` is the smallest number. What is counted, and the
    ceilings, are there for PyTorch only.
    """
    results: dict[str, dict[str, Any]] = {name: {"cells": [], **_describe(system)} for name, system in systems.items()}
    for side, num_images, num_regions in product(config.sides, config.num_images, config.num_regions):
        pixels = np.stack([resize(image, side)] * num_images)
        cells: dict[str, dict[str, Any]] = {}
        for name, system in systems.items():
            warm = warm_up(partial(_time_cell, system, num_regions, pixels))
            cells[name] = {
                "size": list(pixels.shape[1:3]),
                "num_images": num_images,
                "num_regions": num_regions,
                "num_found": _count_found(system, num_regions, pixels),
                "warm_up": list(warm),
                **_count(system, num_regions, pixels),
            }
        contestants = {name: partial(_time_cell, system, num_regions) for name, system in systems.items()}
        for name, timings in measure_in_turn(contestants, [pixels] * RUNS_PER_ROUND, num_rounds).items():
            cells[name]["times"] = {what: timing.to_dict() for what, timing in timings.items()}
            results[name]["cells"].append(cells[name])
    return results


def resize(image: np.ndarray, side: int) -> np.ndarray:
    """The network's input of an image whose longer side is first made `side` pixels long."""
    scale = side / max(image.shape[:2])
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    return preprocess(cv2.resize(image, (width, height)), PreprocessConfig(max_side=side))[0]


def _time_cell(system: System, num_regions: int, pixels: np.ndarray) -> dict[str, float]:
    runtime = system.spotter.runtime
    watch = Stopwatch(synchronizer(runtime))
    with watch.stage("network"):
        found = runtime.spot(pixels, BELOW_ALL, num_regions)
    with watch.stage("CTC decoding"):
        for regions in found:
            system.spotter.decode_text(regions.text_logits)
    return dict(watch.times)


def _count_found(system: System, num_regions: int, pixels: np.ndarray) -> int:
    """Regions that are read where there are least."""
    return min(len(found.scores) for found in system.spotter.runtime.spot(pixels, BELOW_ALL, num_regions))


def _describe(system: System) -> dict[str, Any]:
    """What can be said of a network in PyTorch, and of the device it runs on."""
    runtime = as_torch(system.spotter.runtime)
    if runtime is None:
        return {}
    import torch

    from textspot.benchmark.torch_counts import measure_ceilings

    ceilings = measure_ceilings(runtime.device, runtime.dtype or torch.float32)
    num_parameters = sum(parameter.numel() for parameter in runtime.network.parameters())
    return {"parameters": num_parameters, "ceilings": ceilings._asdict()}


def _count(system: System, num_regions: int, pixels: np.ndarray) -> dict[str, Any]:
    """Multiplications and bytes moved by stage; on a GPU the times between CUDA events too. Compiled kernels do not
    show what they do."""
    runtime = as_torch(system.spotter.runtime)
    if runtime is None or system.config.compile:
        return {}
    from textspot.benchmark.torch_counts import Counter, time_runs

    counter = Counter()
    run_network(runtime, pixels, BELOW_ALL, num_regions, counter.stage)
    counts: dict[str, Any] = {"multiplications": dict(counter.multiplications), "bytes": dict(counter.num_bytes)}
    if is_on_gpu(runtime):
        counts["device_s"] = time_runs(lambda: runtime.spot(pixels, BELOW_ALL, num_regions), runtime.device)
    return counts
