"""An image through a spotter, stage by stage, as `Spotter.predict` does it.

PyTorch shows every stage of the network; a runtime that has it as one graph shows one.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from textspot.benchmark.timing import Clock, time_call
from textspot.image_files import read_image
from textspot.inference.spotter import Spotter
from textspot.runtime.protocol import Regions, Runtime

if TYPE_CHECKING:
    from textspot.models.spotting_network import Stage
    from textspot.runtime.torch_runtime import TorchRuntime

FINISH = "suppression and CTC decoding"
STAGES = (  # in their order
    *("decode", "preprocess", "upload", "backbone and neck", "detector", "refinement", "RoI", "recogniser", "download"),
    *("network", "suppression", "CTC decoding"),
)


class Stopwatch:
    """Adds up seconds by stage. `synchronize` waits for what was only begun: on a GPU, where nothing else would."""

    def __init__(self, synchronize: Callable[[], object] = lambda: None, clock: Clock = time.perf_counter):
        self.synchronize, self.clock = synchronize, clock
        self.times: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        self.synchronize()
        start = self.clock()
        yield
        self.synchronize()
        self.times[name] += self.clock() - start


def time_stages(spotter: Spotter, file: Path) -> dict[str, float]:
    """Seconds by stage of one image file. Pictures of a large image's tiles count together.

    Suppression and CTC decoding are one function for the user; decoding is timed once more by itself, and suppression
    is the rest.
    """
    watch = Stopwatch(synchronizer(spotter.runtime))
    with watch.stage("decode"):
        image = read_image(file)
    with watch.stage("preprocess"):
        views = spotter.prepare(image)
    limits = spotter.threshold, spotter.max_regions
    regions = [run_network(spotter.runtime, view.pixels[None], *limits, watch.stage)[0] for view in views]
    with watch.stage(FINISH):
        spotter.finish(regions, views)
    decoding = time_call(lambda: [decode_texts(spotter, one) for one in regions])
    both = watch.times.pop(FINISH)
    return {**watch.times, "suppression": max(0.0, both - decoding), "CTC decoding": decoding}


def decode_texts(spotter: Spotter, regions: Regions) -> list[tuple[str, float]]:
    """What is written in the regions whose score reaches the spotter's threshold."""
    return spotter.decode_text(regions.text_logits[regions.scores >= spotter.threshold])


def run_network(
    runtime: Runtime, pixels: np.ndarray, threshold: float, max_regions: int, stage: "Stage"
) -> list[Regions]:
    """`runtime.spot` of images (B, H, W, 3) uint8, its parts as stages if they can be seen."""
    parts = as_torch(runtime)
    if parts is None:
        with stage("network"):
            return runtime.spot(pixels, threshold, max_regions)
    return parts.spot(pixels, threshold, max_regions, stage)


def as_torch(runtime: Runtime) -> "TorchRuntime | None":
    """The runtime if it is PyTorch, whose parts can be seen; another one does without PyTorch."""
    return cast("TorchRuntime", runtime) if runtime.name == "pytorch" else None


def is_on_gpu(runtime: Runtime) -> bool:
    """Whether PyTorch runs the network on a GPU, which works on while the program goes on."""
    parts = as_torch(runtime)
    return parts is not None and parts.device.type == "cuda"


def synchronizer(runtime: Runtime) -> Callable[[], object]:
    """What waits until the runtime has done all that was begun."""
    if not is_on_gpu(runtime):
        return lambda: None
    import torch

    return torch.cuda.synchronize
