"""The reading heads alone, and in them the layers along the line, FCR against CRNN: the claim of Sui et al. 2018 that
convolutions in place of LSTMs are dramatically faster."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from textspot.benchmark.cells import RUNS_PER_ROUND
from textspot.benchmark.stages import synchronizer
from textspot.benchmark.timing import Timing, measure_in_turn, ratio_in_turn, time_call, warm_up
from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.models.choice import Choice
from textspot.models.spotting_network import RECOGNIZERS
from textspot.preprocess import MULTIPLE
from textspot.runtime.torch_runtime import TorchRuntime

MOST_SCALE = 16  # a slip of the keyboard shall not ask for more memory than there is
CHANNELS_STEP = 8  # what vector instructions take at a time
HEAD, CONTEXT = "the reading head", "its layers along the line"


def choose_reader(base: Choice, name: str) -> Choice:
    """The reading head of a name: `fcr` and `crnn` have the settings of `base`, and `crnn@0.5` has half the channels,
    in steps of 8. Another name is a ValueError."""
    kind, at, scale = name.partition("@")
    try:
        factor = float(scale) if at else 1.0
    except ValueError:
        factor = 0.0
    if kind not in RECOGNIZERS or not 0 < factor <= MOST_SCALE:
        raise ValueError(
            f"no recogniser is called {name!r}; expected {' or '.join(RECOGNIZERS)}, perhaps with the likes of @0.5 "
            f"behind it, at most {MOST_SCALE}"
        )
    widths = tuple(CHANNELS_STEP * max(1, round(factor * width / CHANNELS_STEP)) for width in base.settings.widths)
    return Choice(kind, RECOGNIZERS[kind].Config(**{**vars(base.settings), "widths": widths}))


class Reading(NamedTuple):
    """So many images, and regions read in each."""

    num_images: int
    num_regions: int

    @torch.inference_mode()
    def build_runs(self, runtime: TorchRuntime) -> dict[str, Callable[[], Tensor]]:
        """Functions that read them, of noise: what regions hold takes no part in the time. They fill their patches.
        `HEAD` is the whole reading head, `CONTEXT` the part of it in which FCR and CRNN differ."""
        network = runtime.network
        height, width = network.roi.stride * network.roi.height, network.roi.stride * network.roi.width
        size = (height + -height % MULTIPLE, width + -width % MULTIPLE)
        noise = np.random.default_rng(0).integers(0, 256, (self.num_images, *size, 3), dtype=np.uint8)
        box = np.array([0, 0, width, height], dtype=np.float32)
        ribbons = torch.from_numpy(quad_to_ribbon(box_to_quad(box))).to(runtime.device)
        ribbons = ribbons.expand(self.num_images, self.num_regions, -1, -1, -1)
        with runtime.autocast():
            patches = network.pool(network.encode(runtime.upload(noise)), ribbons)
            collapsed = network.recognizer.collapse(*patches)
        synchronize = synchronizer(runtime)

        @torch.inference_mode()
        def read() -> Tensor:
            with runtime.autocast():
                logits = network.recognize(patches, ribbons)
            synchronize()
            return logits

        @torch.inference_mode()
        def look_along() -> Tensor:
            with runtime.autocast():
                context = network.recognizer.context(collapsed)
            synchronize()
            return context

        return {HEAD: read, CONTEXT: look_along}


def measure_readers(
    runtimes: Mapping[str, TorchRuntime], reading: Reading, part: str, num_rounds: int
) -> dict[str, Timing]:
    """Times of the networks' reading heads, in turn; `part` is `HEAD` or `CONTEXT`."""
    runs = {name: reading.build_runs(runtime)[part] for name, runtime in runtimes.items()}
    for run in runs.values():
        warm_up(run)

    def measure(run: Callable[[], object], _: int) -> dict[str, float]:
        return {part: time_call(run)}

    contestants = {name: partial(measure, run) for name, run in runs.items()}
    found = measure_in_turn(contestants, range(RUNS_PER_ROUND), num_rounds)
    return {name: times[part] for name, times in found.items()}


def profile_reader(runtime: TorchRuntime, reading: Reading, num_operators: int = 5) -> list[tuple[str, float]]:
    """Where the time of a reading head goes: the operators that take most of it, and their share of it."""
    run = reading.build_runs(runtime)[HEAD]
    warm_up(run)
    on_gpu = runtime.device.type == "cuda"
    with profile(activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]) as profiler:
        for _ in range(RUNS_PER_ROUND):
            run()
    return operator_shares(profiler.key_averages(), on_gpu)[:num_operators]


def operator_shares(events: Iterable[Any], on_gpu: bool) -> list[tuple[str, float]]:
    """Shares of the time by operator, largest first, of the events of a profile. Kernels, which stand there too, are
    left out: their time is that of the operators that call them."""
    operators = [event for event in events if event.device_type == DeviceType.CPU]
    times = {event.key: event.self_device_time_total if on_gpu else event.self_cpu_time_total for event in operators}
    total = sum(times.values())
    return [(name, times[name] / total) for name in sorted(times, key=times.__getitem__, reverse=True)]


def format_times(rows: Mapping[Reading, Mapping[str, Timing]]) -> str:
    """Markdown of what was timed in turn, by number of images and of words in each: milliseconds, and how many times as
    long as the first column, with the lowest and the highest of the rounds."""
    names = list(next(iter(rows.values())))
    lines = [f"| images | words in each | {' | '.join(names)} |", "|---" * (len(names) + 2) + "|"]
    for (num_images, num_words), times in rows.items():
        base, *others = times.values()
        columns = [f"{base.p50_ms:.2f} ms"]
        columns += [f"{other.p50_ms:.2f} ms, {ratio_in_turn(base, other)}" for other in others]
        lines.append(f"| {num_images} | {num_words} | {' | '.join(columns)} |")
    return "\n".join(lines)


def format_profiles(profiles: Mapping[str, Sequence[tuple[str, float]]]) -> str:
    """Markdown: a line for each reading head."""
    return "\n".join(
        f"- {name}: {', '.join(f'{operator} {share:.0%}' for operator, share in shares)}"
        for name, shares in profiles.items()
    )
