"""Work done ahead keeps its order, its limit and its errors."""

import threading

import pytest

from textspot.inference.prefetch import prefetch


def test_nothing_gives_nothing():
    assert list(prefetch(str, [])) == []


@pytest.mark.parametrize("num_ahead", [1, 2, 9])
def test_results_come_in_order(num_ahead):
    assert list(prefetch(lambda n: n * n, range(20), num_ahead)) == [n * n for n in range(20)]


def test_so_many_items_are_taken_ahead_and_no_more():
    taken = []
    results = prefetch(str, (taken.append(n) or n for n in range(9)), 2)
    assert next(results) == "0"
    assert taken == [0, 1, 2]


def test_the_next_item_is_worked_on_while_this_one_is_used():
    begun = threading.Event()
    results = prefetch(lambda n: begun.set() if n == 1 else None, range(3))
    next(results)
    assert begun.wait(10)


def test_an_error_is_raised_when_its_turn_comes():
    results = prefetch(lambda n: 1 / n, [2, 1, 0, 4])
    assert [next(results), next(results)] == [0.5, 1.0]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_what_nobody_waits_for_is_not_begun():
    release, begun = threading.Event(), []

    def work(n):
        begun.append(n)
        release.wait(10)
        return n

    results = prefetch(work, range(100), num_ahead=1)
    release.set()
    assert next(results) == 0
    results.close()
    assert len(begun) <= 2
