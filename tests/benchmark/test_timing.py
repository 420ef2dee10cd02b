"""The arithmetic of times, on a clock that a test moves."""

import json
from itertools import pairwise

import numpy as np
import pytest

from textspot.benchmark import timing
from textspot.benchmark.timing import (
    MOST_WARM_UP_S,
    WINDOW,
    Ratio,
    Timing,
    measure_in_turn,
    ratio_apart,
    ratio_in_turn,
    time_call,
    warm_up,
)


class Clock:
    """A clock that stands still until work moves it."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now

    def work(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    monkeypatch.setattr(timing, "MOST_WARM_UP_S", MOST_WARM_UP_S)  # which are less in other tests
    monkeypatch.setattr(timing, "WINDOW", WINDOW)
    return Clock()


def timing_of(*rounds_ms):
    return Timing.of([[ms / 1000 for ms in times] for times in rounds_ms])


def test_percentiles_in_milliseconds():
    of_hundred = timing_of(range(1, 51), range(51, 102))
    assert (of_hundred.p50_ms, of_hundred.p90_ms, of_hundred.p99_ms) == pytest.approx((51, 91, 100))
    assert of_hundred.mean_ms == pytest.approx(51)
    assert of_hundred.count == 101
    assert of_hundred.rounds_ms == pytest.approx((25.5, 76))


def test_one_time_is_every_percentile():
    assert timing_of([7]) == Timing(7, 7, 7, 7, 1, (7,))


@pytest.mark.parametrize("rounds", [[], [[]], [[1.0], []]])
def test_no_time_has_no_percentile(rounds):
    with pytest.raises(ValueError, match="no time"):
        Timing.of(rounds)


def test_a_timing_comes_back_from_json():
    one = timing_of([1, 2.5, 3], [4, 1 / 3])
    assert Timing.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_in_turn_a_slow_round_slows_both_and_leaves_the_ratio():
    quick, slow = timing_of([10, 10], [40, 40], [10, 10]), timing_of([20, 20], [80, 80], [30, 30])
    assert ratio_in_turn(quick, slow) == pytest.approx((2, 2, 3))
    assert ratio_in_turn(quick, slow).is_clear


def test_apart_the_same_round_is_noise():
    quick, slow = timing_of([10, 10], [40, 40], [10, 10]), timing_of([20, 20], [80, 80], [30, 30])
    ratio = ratio_apart(quick, slow)
    assert ratio == pytest.approx((3, 0.5, 8))
    assert str(ratio) == "3.00 (0.50 to 8.00, no difference beyond the noise)"
    assert str(Ratio(2, 1.5, 3)) == "2.00 (1.50 to 3.00)"
    assert Ratio(0.5, 0.4, 0.9).is_clear


def test_rounds_in_turn_are_pairs():
    with pytest.raises(ValueError, match="shorter"):
        ratio_in_turn(timing_of([1], [1]), timing_of([1]))


def test_warm_up_ends_when_two_windows_agree(clock):
    times = iter([0.9, 0.8, 0.5, 0.3, 0.2] + [0.1] * 50)
    num_runs = 3 * WINDOW - 2  # then the window before is 0.3, 0.2, 0.1, 0.1, 0.1, and its median what it stays
    assert warm_up(lambda: clock.work(next(times)), clock) == (num_runs, True)


def test_warm_up_looks_at_two_windows_however_slow(clock):
    assert warm_up(lambda: clock.work(MOST_WARM_UP_S), clock) == (2 * WINDOW, True)


def test_warm_up_gives_up_on_what_does_not_get_stable(clock):
    times = iter([0.1 * 1.02**number for number in range(1000)])
    num_runs, is_stable = warm_up(lambda: clock.work(next(times)), clock)
    assert not is_stable
    assert 10.0 <= clock.now < 10.0 + 0.1 * 1.02**num_runs


def test_contestants_take_turns_item_by_item(clock):
    calls = []

    def contestant(name, seconds):
        def measure(item):
            calls.append((name, item))
            return {"all": time_call(lambda: clock.work(seconds * item), clock)}

        return measure

    timings = measure_in_turn({"a": contestant("a", 1), "b": contestant("b", 2)}, [1, 3], 2)
    assert calls == [("a", 1), ("b", 1), ("a", 3), ("b", 3)] * 2
    assert timings == {
        "a": {"all": timing_of([1000, 3000], [1000, 3000])},
        "b": {"all": timing_of([2000, 6000], [2000, 6000])},
    }


def test_items_may_have_quantities_of_their_own():
    timings = measure_in_turn({"a": lambda size: {f"of {size}": size}}, [1, 8], 2)
    assert timings == {"a": {"of 1": timing_of([1000], [1000]), "of 8": timing_of([8000], [8000])}}


def test_percentiles_rise():
    times = np.random.default_rng(0).exponential(size=(3, 40)).tolist()
    one = Timing.of(times)
    assert all(a <= b for a, b in pairwise([0, one.p50_ms, one.p90_ms, one.p99_ms]))
