"""Spotters to be measured: files of weights in every runtime and precision that they can run in."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, get_args

from textspot.benchmark.stages import time_stages
from textspot.benchmark.timing import time_call
from textspot.inference.spotter import Spotter, find_weights, load
from textspot.model_card import CheckpointError
from textspot.runtime.build import RuntimeConfig, RuntimeName
from textspot.runtime.protocol import Precision, count_cpus
from textspot.structures import Prediction


@dataclass(frozen=True)
class System:
    """A spotter, and how it came to be. `config` names its runtime and threads; nothing is left to `auto` or 0."""

    weights: Path
    config: RuntimeConfig
    spotter: Spotter

    def read(self, image: Path) -> Prediction:
        """What the spotter finds in an image file."""
        return self.spotter.predict([image])[0]

    def measure(self, image: Path) -> dict[str, float]:
        """Seconds of one image file: "total", as a user waits for it, and then stage by stage."""
        return {"total": time_call(lambda: self.read(image)), **time_stages(self.spotter, image)}

    def describe(self) -> dict[str, Any]:
        """What it is, as JSON keeps it."""
        file = find_weights(self.weights)
        return {"weights": str(self.weights), "file_bytes": file.stat().st_size, **asdict(self.config)}


def load_systems(
    weights: Sequence[Path], runtimes: Sequence[RuntimeName], precisions: Sequence[Precision], config: RuntimeConfig
) -> tuple[dict[str, System], list[str]]:
    """The systems by name, and why others are left out: not every runtime runs every file in every precision.

    A name is made of what distinguishes systems, so that it is the same in another benchmark. A file that cannot be
    read is a `CheckpointError`; when no system is left, a ValueError says why.
    """
    systems: dict[str, System] = {}
    left_out = []
    for file, runtime, precision in product(weights, runtimes, precisions):
        wanted = replace(config, runtime=runtime, precision=precision)
        try:
            spotter = load(file, wanted)
        except CheckpointError:
            raise
        except ValueError as error:
            left_out.append(f"{file} in {runtime}, {precision}: {error}")
            continue
        name = f"{spotter.runtime.name} {precision}" + (" compiled" if config.compile else "")
        known = replace(wanted, runtime=_known(spotter.runtime.name), num_threads=config.num_threads or count_cpus())
        systems[f"{file} {name}" if len(weights) > 1 else name] = System(file, known, spotter)
    if not systems:
        raise ValueError("nothing to measure:\n" + "\n".join(left_out))
    return systems, left_out


def _known(name: str) -> RuntimeName:
    return next(known for known in get_args(RuntimeName) if known == name)
