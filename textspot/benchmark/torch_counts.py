"""What the network does, counted, and what this device can do at most, measured: together, how well it is used."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

aten = torch.ops.aten

NUM_RUNS = 10  # of which the fastest one is the ceiling
MATRIX_SIDE = {"cpu": 2048, "cuda": 8192}
COPY_BYTES = {"cpu": 2**27, "cuda": 2**30}  # far more than a cache holds


class Traffic(TorchDispatchMode):
    """Counts the bytes that operators read and write when each reads its inputs and writes its outputs once, as eager
    PyTorch does; a view moves nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.num_bytes = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, torch.Tensor)]
            self.num_bytes += sum(tensor.numel() * tensor.element_size() for tensor in tensors)
        return result


def _lstm_flops(sequence: torch.Size, *weights: torch.Size) -> int:
    """Of a sequence (T, B, C), or (B, T, C), by weights that each time step is multiplied with."""
    return 2 * sequence[0] * sequence[1] * sum(shape.numel() for shape in weights if len(shape) == 2)


LSTM_FLOPS = {  # which torch's own counter passes over
    aten.mkldnn_rnn_layer: lambda sequence, inputs, hidden, *_, **__: _lstm_flops(sequence, inputs, hidden),
    aten._cudnn_rnn: lambda sequence, weights, *_, **__: _lstm_flops(sequence, *weights),
}


class Counter:
    """Adds up multiplications (half of the FLOPs: those of convolutions, LSTMs and matrices) and bytes moved, by
    stage."""

    def __init__(self) -> None:
        self.multiplications: dict[str, int] = defaultdict(int)
        self.num_bytes: dict[str, int] = defaultdict(int)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count what is done inside."""
        with Traffic() as traffic, FlopCounterMode(display=False, custom_mapping=LSTM_FLOPS) as flops:
            yield
        self.multiplications[name] += flops.get_total_flops() // 2
        self.num_bytes[name] += traffic.num_bytes


class Ceilings(NamedTuple):
    """The most that a device did: multiplications of a large matrix product per second, and bytes read and written per
    second while copying."""

    multiplications_per_s: float
    bytes_per_s: float


def measure_ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """The ceilings of a device, for matrices of `dtype`."""
    side = MATRIX_SIDE[device.type]
    left, right = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    product_s = min(time_runs(lambda: left @ right, device))
    source = torch.zeros(COPY_BYTES[device.type], device=device, dtype=torch.uint8)
    target = torch.empty_like(source)
    copy_s = min(time_runs(lambda: target.copy_(source), device))
    return Ceilings(side**3 / product_s, 2 * len(source) / copy_s)


def time_runs(run: Callable[[], Any], device: torch.device, num_runs: int = NUM_RUNS) -> list[float]:
    """Seconds of each of `num_runs` runs after a first one; on a GPU those between two CUDA events, in which the host
    does not wait."""
    run()
    if device.type == "cuda":
        return _time_with_events(run, num_runs)
    times = []
    for _ in range(num_runs):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return times


def _time_with_events(run: Callable[[], Any], num_runs: int) -> list[float]:
    pairs = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(num_runs)]
    for start, end in pairs:
        start.record()
        run()
        end.record()
    torch.cuda.synchronize()
    return [start.elapsed_time(end) / 1000 for start, end in pairs]
