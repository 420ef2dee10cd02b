"""One process or many, started by torchrun; with one, everything here is the identity."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from textspot.device import choose_device

PATIENCE = timedelta(hours=6)  # of processes that wait while the first one renders data or evaluates


@dataclass(frozen=True)
class World:
    """This process among all: its number, how many there are, its device, and its number on this node."""

    rank: int
    size: int
    device: torch.device
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    @property
    def is_first_here(self) -> bool:
        """Whether this process writes what its node needs for itself."""
        return self.local_rank == 0

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a tensor over all processes."""
        if self.size > 1:
            value = value.to(self.device)
            distributed.all_reduce(value)
            value = value / self.size
        return value

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return bool(self.mean(torch.tensor(float(flag))) > 0)

    def gather(self, value: int) -> list[int]:
        """The number that each process has, by process."""
        if self.size == 1:
            return [value]
        found = [torch.zeros(1, dtype=torch.int64, device=self.device) for _ in range(self.size)]
        distributed.all_gather(found, torch.tensor([value], device=self.device))
        return [int(one) for one in found]

    def send(self, data: bytes, owner: int) -> bytes:
        """The bytes that the process `owner` has, to all; what the others give does not count."""
        if self.size == 1:
            return data
        length = self.gather(len(data))[owner]
        sent = torch.zeros(length, dtype=torch.uint8)
        if self.rank == owner:
            sent = torch.frombuffer(bytearray(data), dtype=torch.uint8)
        sent = sent.to(self.device)
        distributed.broadcast(sent, owner)
        return sent.cpu().numpy().tobytes()

    def wait(self) -> None:
        """Until every process is here."""
        if self.size > 1:
            distributed.barrier()


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """The processes torchrun started, or this one alone. `device` is `auto`, `cpu`, `cuda` or a GPU such as `cuda:0`.

    With several processes `auto` and `cuda` give each of them the GPU of its number on this machine.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    chosen = choose_device(device)
    if chosen.type == "cuda":
        if chosen.index is None:
            chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(0, 1, chosen)
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield World(rank, size, chosen, int(os.environ.get("LOCAL_RANK", 0)))
    finally:
        distributed.destroy_process_group()
