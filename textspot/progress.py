"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from rich.console import Console
from rich.progress import track as bar

Item = TypeVar("Item")
Track = Callable[[Sequence[Item], str], Iterable[Item]]  # items and what is done with them, in a word


def track(items: Sequence[Item], description: str) -> Iterable[Item]:
    """The items, one by one, while a bar says how many are done; without a terminal, a line at every tenth."""
    console = Console(stderr=True)
    if console.is_terminal:
        yield from bar(items, description, console=console)
        return
    for number, item in enumerate(items, start=1):
        yield item
        if number * 10 // len(items) > (number - 1) * 10 // len(items):
            console.print(f"{description}: {number} of {len(items)}", highlight=False, markup=False, soft_wrap=True)


def untracked(items: Sequence[Item], _description: str) -> Iterable[Item]:
    """The items; stands for `track` where no progress is to be shown."""
    return items


@dataclass(frozen=True)
class TrackedPasses(Generic[Item]):
    """Items that may be gone through several times, each time with its own progress."""

    items: Sequence[Item]
    description: str
    track: Track

    def __iter__(self) -> Iterator[Item]:
        yield from self.track(self.items, self.description)  # not before the first is asked for
