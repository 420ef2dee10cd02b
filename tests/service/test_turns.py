import asyncio
import threading

import pytest
from services import until

from textspot.service.turns import FullError, Turns


def test_places_are_those_at_work_and_those_in_the_queue():
    turns = Turns(1, 1, "test")
    with turns.place(), turns.place():
        assert turns.admitted == 2
        with pytest.raises(FullError), turns.place():
            raise AssertionError
    assert turns.admitted == 0


def test_what_the_work_returns_and_raises():
    async def run():
        turns = Turns(1, 0, "test")
        assert await turns.take(lambda stop: stop.is_set()) is False
        with pytest.raises(ZeroDivisionError):
            await turns.take(lambda _: 1 // 0)
        assert await turns.take(lambda _: 2) == 2
        await turns.close()

    asyncio.run(run())


def test_so_many_work_at_a_time():
    async def run():
        turns, at_work, most, lock = Turns(2, 8, "test"), 0, 0, threading.Lock()
        barrier = threading.Barrier(2)

        def work(_):
            nonlocal at_work, most
            with lock:
                at_work += 1
                most = max(most, at_work)
            barrier.wait(10)
            with lock:
                at_work -= 1

        await asyncio.gather(*(turns.take(work) for _ in range(6)))
        await until(lambda: turns.working == 0)
        assert most == 2

    asyncio.run(run())


def test_who_is_cancelled_while_waiting_costs_no_work():
    async def run():
        turns, gate, done = Turns(1, 8, "test"), threading.Event(), []
        first = asyncio.ensure_future(turns.take(lambda _: gate.wait(10)))
        second = asyncio.ensure_future(turns.take(lambda _: done.append("second")))
        third = asyncio.ensure_future(turns.take(lambda _: done.append("third")))
        await until(lambda: turns.working == 1)
        second.cancel()
        gate.set()
        await asyncio.gather(first, third)
        assert second.cancelled()
        assert done == ["third"]

    asyncio.run(run())


def test_work_is_told_to_stop_and_keeps_its_thread_until_it_does():
    async def run():
        turns, begun, gate, told = Turns(1, 8, "test"), threading.Event(), threading.Event(), []

        def work(stop):
            begun.set()
            told.append(stop.wait(10))
            gate.wait(10)

        first = asyncio.ensure_future(turns.take(work))
        await until(begun.is_set)
        first.cancel()
        second = asyncio.ensure_future(turns.take(lambda _: 2))
        await until(lambda: told == [True])
        assert not second.done()
        assert turns.working == 1
        gate.set()
        assert await second == 2

    asyncio.run(run())
