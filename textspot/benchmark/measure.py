"""A whole benchmark: spotters, and other programs, on the same images in turn, as one report that JSON keeps.

    {"format": "textspot-benchmark-1",
     "machine": see `record_machine`, "busy_cpus": [before, after] by other work,
     "images": {"count", "sizes": {"736 x 1280": count, ...}}, "rounds": 5,
     "systems": {name: {"weights", "file_bytes", "runtime", "precision", "num_threads", ...,
                        "warm_up": [runs, stable], "times": {"total": timing, stage: timing, ...},
                        "throughput": {batch size: timing of one image}, "words": median number found in an image,
                        "hmean": {protocol: value}, "cold_starts": [see `ColdStart`, ...],
                        "cells": [see `measure_cells`, ...], "parameters", "ceilings"}},
     "peers": {command: {"times": {"total": timing}, "words", "hmean", "peak_bytes", "ratios": {system: ratio}}},
     "left_out": [what could not be run, and why]}

A timing is a `Timing` as a dict, a ratio is [value, low, high] and says how many times as long the peer took.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from textspot.benchmark.cells import CellConfig, measure_cells
from textspot.benchmark.cold_start import measure_cold_start
from textspot.benchmark.images import ImageSet
from textspot.benchmark.machine import busy_cpus, record_machine
from textspot.benchmark.peer import Peer
from textspot.benchmark.systems import System
from textspot.benchmark.timing import Ratio, Timing, measure_in_turn, ratio_in_turn, time_call, warm_up
from textspot.image_files import read_image
from textspot.structures import Prediction

FORMAT = "textspot-benchmark-1"
Report = dict[str, Any]
Say = Callable[[str], object]


@dataclass(frozen=True)
class BenchmarkConfig:
    """How much is measured.

    Args:
        rounds: passes over the images; the spread between them is the noise.
        batch_sizes: sizes of batches whose throughput and memory are measured; [] skips them.
        starts: number of fresh processes per system whose start-up and memory are measured; 0 skips both.
    """

    rounds: int = 5
    batch_sizes: tuple[int, ...] = (1, 8, 32)
    starts: int = 3

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.starts < 0 or any(size < 1 for size in self.batch_sizes):
            raise ValueError(f"expected at least one round, no negative starts, batches of one and more: {self}")


def run_benchmark(
    systems: Mapping[str, System],
    peers: Mapping[str, Peer],
    images: ImageSet,
    config: BenchmarkConfig,
    cells: CellConfig,
    say: Say = lambda _words: None,
) -> Report:
    """Measure systems and peers, all warm, and give the report; `say` is told what is being done.

    Ctrl-C ends it with what was measured until then, once all images have been timed.
    """
    results: dict[str, dict[str, Any]] = {name: system.describe() for name, system in systems.items()}
    results |= {name: {} for name in peers}
    photograph = read_image(images.files[0])
    parts = {
        "reading every image once, and until the times are stable": lambda: _warm_up(systems, peers, images),
        "timing all images in turn": lambda: _time(systems, peers, images.files, config.rounds),
        "timing batches": lambda: _measure_throughput(systems, images.files, config),
        "timing numbers of regions": lambda: measure_cells(systems, photograph, config.rounds, cells),
        "timing fresh processes": lambda: _start_cold(systems, images.files, config),
    }
    busy_before = busy_cpus()
    try:
        for words, measure in parts.items():
            say(words)
            for name, found in measure().items():
                results[name] |= found
    except KeyboardInterrupt:
        if any("times" not in result for result in results.values()):
            raise
        not_measured = list(parts)[list(parts).index(words) :]
    else:
        not_measured = []
    of_peers = {name: results.pop(name) for name in peers}
    for peer in of_peers.values():
        peer["ratios"] = {name: list(_ratio(result, peer)) for name, result in results.items()}
    return {
        "format": FORMAT,
        "machine": record_machine(),
        "busy_cpus": [busy_before, busy_cpus()],
        "images": _describe_images(images.files),
        "rounds": config.rounds,
        "systems": results,
        "peers": of_peers,
        "left_out": [f"{words}: interrupted" for words in not_measured],
    }


def _describe_images(files: Sequence[Path]) -> dict[str, Any]:
    sizes = Counter(read_image(file).shape[:2] for file in files)
    return {
        "count": len(files),
        "sizes": {f"{height} x {width}": count for (height, width), count in sizes.most_common()},
    }


def _warm_up(systems: Mapping[str, System], peers: Mapping[str, Peer], images: ImageSet) -> dict[str, dict[str, Any]]:
    """How many words an image has, how well they were found and read if that is known, and the warm-up."""
    readers: dict[str, Callable[[Path], Prediction]] = {name: system.read for name, system in systems.items()}
    readers.update(peers)
    found = {}
    for name, read in readers.items():
        predictions = [read(file) for file in images.files]
        found[name] = {
            "words": median(len(prediction) for prediction in predictions),
            "hmean": images.score(predictions),
            "warm_up": list(warm_up(partial(read, images.files[0]))),
        }
    return found


def _time(
    systems: Mapping[str, System], peers: Mapping[str, Peer], files: Sequence[Path], num_rounds: int
) -> dict[str, dict[str, Any]]:
    """Timings of systems and peers in turn, and the memory that the peers took."""
    contestants: dict[str, Callable[[Path], Mapping[str, float]]] = {
        name: system.measure for name, system in systems.items()
    }
    contestants |= {name: partial(_time_peer, peer) for name, peer in peers.items()}
    in_turn = measure_in_turn(contestants, files, num_rounds)
    found: dict[str, dict[str, Any]] = {name: {"times": _to_dicts(timings)} for name, timings in in_turn.items()}
    for name, peer in peers.items():
        found[name]["peak_bytes"] = peer.peak_memory_bytes
    return found


def _time_peer(peer: Peer, image: Path) -> dict[str, float]:
    return {"total": time_call(lambda: peer(image))}


def _to_dicts(timings: Mapping[str, Timing]) -> dict[str, dict[str, Any]]:
    return {what: timing.to_dict() for what, timing in timings.items()}


def _ratio(system: dict[str, Any], peer: dict[str, Any]) -> Ratio:
    return ratio_in_turn(*(Timing.from_dict(one["times"]["total"]) for one in (system, peer)))


def _start_cold(
    systems: Mapping[str, System], files: Sequence[Path], config: BenchmarkConfig
) -> dict[str, dict[str, Any]]:
    """Start-ups, and in the first of them the memory that batches take."""
    starts: dict[str, list[dict[str, Any]]] = {name: [] for name in systems}
    for number in range(config.starts):
        for name, system in systems.items():
            sizes = () if number else config.batch_sizes
            start = measure_cold_start(system.weights, asdict(system.config), files, sizes)
            starts[name].append(asdict(start))
    return {name: {"cold_starts": of_system} for name, of_system in starts.items()}


def _measure_throughput(
    systems: Mapping[str, System], files: Sequence[Path], config: BenchmarkConfig
) -> dict[str, dict[str, Any]]:
    """The time of one image by batch size, from file to text. Short lists are read more than once, so that the largest
    batch is full twice; images of other sizes are not in a batch together."""
    if not config.batch_sizes:
        return {}
    files = list(islice(cycle(files), max(len(files), 2 * max(config.batch_sizes))))

    def measure(system: System, size: int) -> dict[str, float]:
        return {str(size): time_call(lambda: system.spotter.predict(files, batch_size=size)) / len(files)}

    for system in systems.values():
        for size in config.batch_sizes:
            measure(system, size)  # the first batch of its shape takes longer
    contestants = {name: partial(measure, system) for name, system in systems.items()}
    in_turn = measure_in_turn(contestants, config.batch_sizes, config.rounds)
    return {name: {"throughput": _to_dicts(timings)} for name, timings in in_turn.items()}
