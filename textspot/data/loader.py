"""Worker processes around a training stream, and what they owe to its position."""

import signal
from collections.abc import Iterator

import cv2
import torch
from torch.utils.data import DataLoader, Sampler

from textspot.batch import Batch, collate
from textspot.data.dataset import TrainingStream


class PositionSampler(Sampler[list[int]]):
    """The positions of each batch of one process, from `start` to `stop` in batches.

    Batch number b of all processes together holds the positions b * B * P to (b + 1) * B * P, each process its own B
    of them.
    """

    def __init__(self, start: int, stop: int, batch_size: int, rank: int, world_size: int):
        self.start, self.stop, self.batch_size = start, stop, batch_size
        self.rank, self.world_size = rank, world_size

    def __len__(self) -> int:
        return self.stop - self.start

    def __iter__(self) -> Iterator[list[int]]:
        for batch in range(self.start, self.stop):
            first = (batch * self.world_size + self.rank) * self.batch_size
            yield list(range(first, first + self.batch_size))


def build_loader(
    stream: TrainingStream,
    start: int,
    stop: int,
    batch_size: int,
    num_workers: int,
    rank: int = 0,
    world_size: int = 1,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Batches `start` to `stop` of the stream, `pin_memory` for a GPU. What a batch holds does not depend on the number
    of workers."""
    return DataLoader(
        stream,  # type: ignore[arg-type]  # a map-style dataset by behaviour
        batch_sampler=PositionSampler(start, stop, batch_size, rank, world_size),
        collate_fn=collate,
        num_workers=num_workers,
        worker_init_fn=_prepare_worker,
        pin_memory=pin_memory,
        prefetch_factor=2 if num_workers else None,  # each batch lies in shared memory, which containers keep small
        generator=torch.Generator(),  # else the loader draws from the global one, and a resumed run from another place
    )


def _prepare_worker(_: int) -> None:
    """Workers share the cores with each other and the training process; torch already gives them one thread.

    Ctrl-C, and the SIGTERM of a job scheduler, reach the whole process group: the training process alone decides when
    to stop, and needs its workers until then.
    """
    cv2.setNumThreads(0)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
