"""Work done ahead in threads, while what is ready is being used."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(function: Callable[[Item], Result], items: Iterable[Item], num_ahead: int = 2) -> Iterator[Result]:
    """`function` of every item, in order; of the next `num_ahead` items it is computed in threads before it is asked
    for. What it raises is raised when its turn comes; what nobody waits for any more is not begun."""
    pool = ThreadPoolExecutor(num_ahead)
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > num_ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
