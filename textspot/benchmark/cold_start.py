"""A spotter in a process of its own: how long until the first image is read, and how much memory it takes.

`python -m textspot.benchmark.cold_start` is that process; `measure_cold_start` starts it.
"""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import textspot
from textspot.benchmark.machine import memory_bytes

LIBRARIES = {"pytorch": "torch", "onnxruntime": "onnxruntime", "openvino": "openvino"}
FIRST = "first image"


@dataclass(frozen=True)
class ColdStart:
    """Seconds of what comes before the first answer, and the most memory by then and after batches.

    `import_s` is that of the runtime's library; `total_s` is what the user of a command waits, the start of the
    interpreter included. `peak_bytes` and `peak_gpu_bytes` (what PyTorch took of a GPU) are by batch size, "first
    image" among them; None where nobody knows.
    """

    import_s: float
    load_s: float
    first_image_s: float
    total_s: float
    peak_bytes: dict[str, int | None]
    peak_gpu_bytes: dict[str, int | None]


def measure_cold_start(
    weights: Path, options: Mapping[str, Any], images: Sequence[Path], batch_sizes: Sequence[int] = ()
) -> ColdStart:
    """Start a process that loads the spotter with the arguments `options` of `textspot.load`, reads the first image,
    and then all of them in batches of each size, small ones first."""
    task = {
        "weights": str(weights),
        "options": dict(options),
        "images": [str(image) for image in images],
        "batch_sizes": sorted(batch_sizes),
        "started": time.time(),
    }
    command = [sys.executable, "-m", "textspot.benchmark.cold_start"]
    done = subprocess.run(command, input=json.dumps(task), stdout=subprocess.PIPE, text=True, check=True)
    return ColdStart(**json.loads(done.stdout))


def start_cold(task: Mapping[str, Any]) -> ColdStart:
    """What the process does; see `measure_cold_start`."""
    times = [time.perf_counter()]
    importlib.import_module(LIBRARIES[task["options"]["runtime"]])
    times.append(time.perf_counter())
    spotter = textspot.load(task["weights"], **task["options"])
    times.append(time.perf_counter())
    spotter(task["images"][0])
    times.append(time.perf_counter())
    total_s = time.time() - task["started"]
    peaks, gpu_peaks = {FIRST: memory_bytes("VmHWM")}, {FIRST: _gpu_bytes()}
    for size in task["batch_sizes"]:
        spotter(task["images"], batch_size=size)
        peaks[str(size)], gpu_peaks[str(size)] = memory_bytes("VmHWM"), _gpu_bytes()
    import_s, load_s, first_image_s = (end - start for start, end in pairwise(times))
    return ColdStart(import_s, load_s, first_image_s, total_s, peaks, gpu_peaks)


def _gpu_bytes() -> int | None:
    """The most that PyTorch has taken of a GPU; None without one."""
    torch = sys.modules.get("torch")
    return torch.cuda.max_memory_allocated() if torch and torch.cuda.is_initialized() else None


if __name__ == "__main__":
    print(json.dumps(start_cold(json.load(sys.stdin)).__dict__))
