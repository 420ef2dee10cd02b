"""Several nodes: what a step is, whose checkpoint counts, and what becomes of a run when a node is killed."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_runs import drawing
from torch import nn

from textspot.data.dataset import SourceConfig
from textspot.engine.distributed import World
from textspot.engine.state import TrainerState, read_step, share_newest
from textspot.engine.train import Trainer, describe_step, join_batchnorm
from textspot.recipe import Recipe, TrainConfig

ROOT = Path(__file__).parents[2]
SCRIPT = (str(ROOT / "tools" / "train.py"), "--config", "recipe.yaml")
CPU, GPU = torch.device("cpu"), torch.device("cuda")
PATIENCE_S = 240
# torchrun 2.14 tells a node that comes back where to meet only if each round has a store of its own.
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}


def test_a_step_is_described_with_what_the_learning_rate_does_not_know() -> None:
    words = describe_step(TrainConfig(batch_size=4, accumulation=2, learning_rate=1e-3), world_size=8)
    assert "a step shows 64 images: 4 x 2 passes x 8 processes" in words
    assert "train.learning_rate stays 0.001: it is not scaled" in words
    assert "4 to 16 times" in words


def test_batchnorm_of_all_processes_is_a_switch() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Sequential(nn.BatchNorm2d(4)))
    parameters = list(network.parameters())
    assert join_batchnorm(network, TrainConfig(), GPU) is network
    assert isinstance(network[1][0], nn.BatchNorm2d)
    with pytest.raises(ValueError, match=r"train\.sync_batchnorm is for GPUs"):
        join_batchnorm(network, TrainConfig(sync_batchnorm=True), CPU)
    names = list(network.state_dict())
    joined = join_batchnorm(network, TrainConfig(sync_batchnorm=True), GPU)
    assert isinstance(joined[1][0], nn.SyncBatchNorm)
    assert list(joined.state_dict()) == names
    assert all(one is other for one, other in zip(joined.parameters(), parameters, strict=True))


def test_gradients_are_exchanged_in_the_last_pass_alone(tmp_path: Path) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/rendezvous", rank=0, world_size=1)
    try:
        trainer = SimpleNamespace(module=nn.parallel.DistributedDataParallel(nn.Linear(2, 2)))
        for last in (False, True):
            with Trainer._exchange(trainer, last=last):  # type: ignore[arg-type]
                assert trainer.module.require_backward_grad_sync == last
    finally:
        torch.distributed.destroy_process_group()


class OneOfTwo(World):
    """A process whose partner's answers are given: the steps of both, and the newest checkpoint."""

    def __init__(self, rank: int, steps: list[int], newest: bytes):
        super().__init__(rank, 2, CPU)
        object.__setattr__(self, "answers", (steps, newest))

    def gather(self, value: int) -> list[int]:
        assert value == self.answers[0][self.rank]  # type: ignore[attr-defined]
        return self.answers[0]  # type: ignore[attr-defined]

    def send(self, data: bytes, owner: int) -> bytes:
        assert bool(data) == (owner == self.rank)
        return self.answers[1]  # type: ignore[attr-defined]

    def wait(self) -> None:
        """The other one is not there."""


def save_at(path: Path, recipe: Recipe, step: int) -> bytes:
    state = TrainerState.build(recipe, CPU)
    state.step = step
    state.save(path, recipe)
    return path.read_bytes()


def test_the_newest_checkpoint_comes_to_every_node(tiny_recipe: Recipe, tmp_path: Path) -> None:
    old, new = tmp_path / "old" / "trainer.pt", tmp_path / "new" / "trainer.pt"
    assert read_step(old) == -1
    save_at(old, tiny_recipe, 4)
    newest = save_at(new, tiny_recipe, 8)
    (words,) = share_newest(OneOfTwo(0, [4, 8], newest), old)
    assert words == "the checkpoint of step 8 was brought from process 1 to the nodes of 0"
    assert read_step(old) == 8
    before = new.stat().st_mtime_ns
    share_newest(OneOfTwo(1, [4, 8], newest), new)
    assert new.stat().st_mtime_ns == before
    nothing = tmp_path / "nothing" / "trainer.pt"
    share_newest(OneOfTwo(0, [-1, 8], newest), nothing)
    assert read_step(nothing) == 8
    assert share_newest(OneOfTwo(0, [8, 8], newest), old) == []
    assert share_newest(World(0, 1, CPU), old) == []


@pytest.fixture
def node_recipe(tiny_recipe: Recipe) -> Recipe:
    """Paths below the folder of the node; the second source holds no word, so that now and then nobody reads."""
    sources = (SourceConfig("train", draw=drawing(5, seed=1)), SourceConfig("empty", draw=drawing(3, 3, empty_share=1)))
    data = replace(tiny_recipe.data, train=sources, validation=SourceConfig("validation", draw=drawing(2, seed=2)))
    settings = replace(tiny_recipe.train, steps=24, batch_size=1, accumulation=2, evaluate_every=24, save_every=4)
    return replace(tiny_recipe, run="run", data=data, train=settings)


class Nodes:
    """Two nodes on this machine, each a folder and a torchrun in it, which meet at a port."""

    def __init__(self, folder: Path, recipe: Recipe):
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        for node in ("first", "second"):
            (folder / node).mkdir(parents=True)
            (folder / node / "recipe.yaml").write_text(yaml.safe_dump(recipe.to_dict()))
        self.running: dict[str, subprocess.Popen] = {}

    def train_on_one(self, node: str, num_processes: int) -> None:
        """A run of several processes on one node, from its start to its end."""
        launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(num_processes))
        subprocess.run(
            [sys.executable, *launcher, *SCRIPT],
            cwd=self.folder / node,
            env=os.environ | ENVIRONMENT,
            capture_output=True,
            check=True,
        )

    def start(self, node: str) -> None:
        meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{self.port}", "--rdzv-id", "run")
        patience = ("--rdzv-conf", "keep_alive_interval=1,last_call_timeout=1")
        launcher = ("-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "5")
        with open(self.folder / f"{node}.txt", "a", encoding="utf-8") as said:
            self.running[node] = subprocess.Popen(
                [sys.executable, *launcher, *meeting, *patience, *SCRIPT],
                cwd=self.folder / node,
                stdout=said,
                stderr=said,
                env=os.environ | ENVIRONMENT,
            )

    def start_both(self) -> None:
        """The first is where both meet."""
        self.start("first")
        self.wait_until(self._meets)
        self.start("second")

    def _meets(self) -> bool:
        with socket.socket() as attempt:
            return attempt.connect_ex(("127.0.0.1", self.port)) == 0

    def wait_until(self, reached) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not reached():
            for node, process in self.running.items():
                assert process.poll() is None, self.said(node)
            assert time.monotonic() < deadline, self.said("first")
            time.sleep(0.02)

    def kill(self, node: str) -> None:
        """The node and all that runs on it, as when its power fails."""
        process = self.running[node]
        for one in (process.pid, *descendants(process.pid)):
            os.kill(one, signal.SIGKILL)
        process.wait()

    def hold_up(self, node: str, seconds: float) -> None:
        """A node that is slow: what it trains with stands still for a while, and the other one waits."""
        processes = list(descendants(self.running[node].pid))
        for number, pause_s in ((signal.SIGSTOP, seconds), (signal.SIGCONT, 0)):
            for one in processes:
                os.kill(one, number)
            time.sleep(pause_s)

    def finish(self) -> None:
        for node, process in self.running.items():
            assert process.wait(PATIENCE_S) == 0, self.said(node)

    def said(self, node: str) -> str:
        return (self.folder / f"{node}.txt").read_text(encoding="utf-8")


def descendants(process: int) -> Iterator[int]:
    """The children of a process, theirs, and so on."""
    for file in Path(f"/proc/{process}/task").glob("*/children"):
        for child in map(int, file.read_text().split()):
            yield child
            yield from descendants(child)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds the processes of a node as Linux lists them")
def test_a_node_may_be_slow_or_killed_and_come_back(node_recipe: Recipe, tmp_path: Path) -> None:
    """Without a shared disk; the weights are those of two processes that nobody disturbed, bit for bit."""
    whole, broken = Nodes(tmp_path / "whole", node_recipe), Nodes(tmp_path / "broken", node_recipe)
    whole.train_on_one("first", num_processes=2)
    broken.start_both()
    broken.wait_until((tmp_path / "broken" / "first" / "run" / "last" / "trainer.pt").exists)
    broken.hold_up("first", seconds=1)
    broken.kill("second")
    broken.start("second")
    broken.finish()
    said = broken.said("first") + broken.said("second")
    assert "a step shows 4 images: 1 x 2 passes x 2 processes" in said
    assert "was brought from process" in said
    weights, others = (newest_weights(tmp_path / name) for name in ("whole", "broken"))
    assert weights.keys() == others.keys()
    assert all(torch.equal(weights[name], others[name]) for name in weights)


def newest_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Those of the node whose process wrote the last checkpoint."""
    states = [folder / node / "run" / "last" / "trainer.pt" for node in ("first", "second")]
    newest = max(states, key=read_step)
    assert read_step(newest) == 24
    return load_file(newest.with_name("model.safetensors"))
