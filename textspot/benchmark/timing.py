"""Times and what they say: percentiles, when a program is warm, turns, and ratios with their noise.

Nothing here measures a network: the clock is an argument, and what is timed is any function.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, NamedTuple, TypeVar

import numpy as np

Item = TypeVar("Item")
Clock = Callable[[], float]  # seconds

WINDOW = 5  # times that are looked at together to see whether a program is warm
TOLERANCE = 0.05  # by how much the median of a window may differ from that of the window before
MOST_WARM_UP_S = 10.0  # after which a program counts as one that does not get stable, as on a busy machine
PAUSE_S = 0.02  # between turns: idle threads of a runtime spin for some milliseconds, and shall not do so in another's


@dataclass(frozen=True)
class Timing:
    """Percentiles of times in milliseconds.

    `rounds_ms` holds the median of each round, a round being one pass over the same items: how far these lie apart is
    the noise.
    """

    p50_ms: float
    p90_ms: float
    p99_ms: float
    mean_ms: float
    count: int
    rounds_ms: tuple[float, ...]

    @classmethod
    def of(cls, rounds: Sequence[Sequence[float]]) -> "Timing":
        """Of seconds, round by round; percentiles lie between two times where they must. No time is a ValueError."""
        if not rounds or not all(len(times) for times in rounds):
            raise ValueError("there is no time to take percentiles of")
        times_ms = 1000 * np.concatenate([np.asarray(times, dtype=np.float64) for times in rounds])
        p50, p90, p99 = np.percentile(times_ms, [50, 90, 99]).tolist()
        medians = tuple(1000 * float(median(times)) for times in rounds)
        return cls(p50, p90, p99, float(times_ms.mean()), len(times_ms), medians)

    def to_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self) | {"rounds_ms": list(self.rounds_ms)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Timing":
        """Of the JSON form."""
        return cls(**{**values, "rounds_ms": tuple(values["rounds_ms"])})


class Ratio(NamedTuple):
    """A ratio, and the lowest and highest that the rounds give: its noise."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether all rounds agree on which of the two is larger."""
        return self.low > 1 or self.high < 1

    def __str__(self) -> str:
        words = "" if self.is_clear else ", no difference beyond the noise"
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f}{words})"


def ratio_in_turn(timing: Timing, other: Timing) -> Ratio:
    """How many times as long the other took, of two that were timed in turn: the median of the rounds' ratios, the
    lowest and the highest. What slows the machine down for a while slows both and leaves a round's ratio alone."""
    ratios = [theirs / ours for ours, theirs in zip(timing.rounds_ms, other.rounds_ms, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def ratio_apart(timing: Timing, other: Timing) -> Ratio:
    """How many times as long the other took, of two that were timed at different times: the ratio of the medians, and
    how small and how large it is between any two of their rounds."""
    low, high = min(other.rounds_ms) / max(timing.rounds_ms), max(other.rounds_ms) / min(timing.rounds_ms)
    return Ratio(other.p50_ms / timing.p50_ms, low, high)


class WarmUp(NamedTuple):
    """How many runs it took until the times were stable, or that they never were."""

    num_runs: int
    is_stable: bool


def warm_up(run: Callable[[], object], clock: Clock = time.perf_counter) -> WarmUp:
    """Run until the median time of the last `WINDOW` runs is within `TOLERANCE` of that of the `WINDOW` runs before."""
    times: list[float] = []
    while len(times) < 2 * WINDOW or sum(times) < MOST_WARM_UP_S:
        times.append(time_call(run, clock))
        last, before = times[-WINDOW:], times[-2 * WINDOW : -WINDOW]
        if len(before) == WINDOW and abs(median(last) - median(before)) <= TOLERANCE * median(before):
            return WarmUp(len(times), True)
    return WarmUp(len(times), False)


def time_call(run: Callable[[], object], clock: Clock = time.perf_counter) -> float:
    """Seconds that a call takes."""
    start = clock()
    run()
    return clock() - start


def measure_in_turn(
    contestants: Mapping[str, Callable[[Item], Mapping[str, float]]], items: Sequence[Item], num_rounds: int
) -> dict[str, dict[str, Timing]]:
    """Have each contestant measure its own seconds, by name, on every item; in turn: A B, A B, ... item by item, so
    so that other load on the machine affects all alike. A round is one pass over the items."""
    rounds: dict[str, dict[str, list[list[float]]]] = {name: {} for name in contestants}
    for number in range(num_rounds):
        for item in items:
            for name, measure in contestants.items():
                time.sleep(PAUSE_S)
                for what, seconds in measure(item).items():
                    times = rounds[name].setdefault(what, [[] for _ in range(num_rounds)])
                    times[number].append(seconds)
    return {name: {what: Timing.of(times) for what, times in whats.items()} for name, whats in rounds.items()}
