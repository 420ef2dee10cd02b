"""Integer arithmetic for real: how long the network takes in an engine, quantised and not, in one run and in turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from textspot.benchmark.timing import Ratio, Timing, measure_in_turn, ratio_in_turn, time_call, warm_up
from textspot.inference.spotter import Spotter, load
from textspot.runtime.build import RuntimeConfig, RuntimeName

ENGINES: tuple[RuntimeName, ...] = ("onnxruntime", "openvino")


@dataclass(frozen=True)
class EngineTiming:
    """Milliseconds that the network alone takes per image, float and quantised, and how many times as long float
    takes."""

    float_ms: float
    quantized_ms: float
    ratio: Ratio


Timings = Mapping[str, Mapping[str, EngineTiming]]  # by engine and network


def time_engines(
    float_file: Path, files: Mapping[str, Path], images: Sequence[np.ndarray], rounds: int, num_threads: int = 0
) -> tuple[Timings, list[str]]:
    """Time `.onnx` files against the float one in every engine there is, all in turn, on images (H, W, 3) uint8 as the
    network sees them: by engine and name. Also why an engine is left out."""
    found: dict[str, dict[str, EngineTiming]] = {}
    left_out = []
    for engine in ENGINES:
        config = RuntimeConfig(engine, num_threads=num_threads)
        try:
            spotters = {name: load(file, config) for name, file in {"": float_file, **files}.items()}
        except ValueError as error:
            left_out.append(f"{engine}: {error}")
            continue
        timings = _time_networks(spotters, images, rounds)
        reference = timings.pop("")
        found[engine] = {
            name: EngineTiming(reference.p50_ms, timing.p50_ms, ratio_in_turn(timing, reference))
            for name, timing in timings.items()
        }
    return found, left_out


def _time_networks(spotters: Mapping[str, Spotter], images: Sequence[np.ndarray], rounds: int) -> dict[str, Timing]:
    def run(spotter: Spotter, image: np.ndarray) -> object:
        return spotter.runtime.spot(image[None], spotter.threshold, spotter.max_regions)

    for spotter in spotters.values():
        warm_up(lambda spotter=spotter: run(spotter, images[0]))  # type: ignore[misc]
    contestants = {
        name: lambda image, spotter=spotter: {"network": time_call(lambda: run(spotter, image))}
        for name, spotter in spotters.items()
    }
    return {name: times["network"] for name, times in measure_in_turn(contestants, images, rounds).items()}
