"""Two gloo processes on the CPU, one of which has nothing to read."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import TINY
from torch import Tensor, multiprocessing, nn

from textspot.batch import Batch, Example, collate
from textspot.engine.distributed import World, join_world
from textspot.geometry import box_to_quad, quad_to_ribbon
from textspot.losses import RECOGNIZER_TERM, SpottingLoss
from textspot.models.ribbon_head import draw_targets
from textspot.models.spotting_network import SpottingNetwork, build_network

SIZE = (64, 96)
MEAN, STD = (120.0, 120.0, 120.0), (60.0, 60.0, 60.0)


def example(seed: int, words: int) -> Example:
    """A picture of noise with `words` words."""
    image = np.random.default_rng(seed).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    boxes = [(8 + 40 * n, 20, 40 + 40 * n, 40) for n in range(words)]
    ribbons = [quad_to_ribbon(box_to_quad(np.array(box))) for box in boxes]
    targets = draw_targets(ribbons, np.zeros(words, dtype=bool), SIZE)
    regions = np.array(ribbons).reshape(-1, 2, 4, 2)
    return Example(image, targets, regions, [[1, 2, 3]] * words, {}, regions)


def seeded_network(**parts) -> SpottingNetwork:
    """Its arguments are parts of another config than `TINY` has."""
    torch.manual_seed(0)
    return build_network(replace(TINY, **parts), 11, MEAN, STD)


def gradients(network: nn.Module, batch: Batch, world: World) -> dict[str, Tensor]:
    spotting = getattr(network, "module", network)
    weights = {**spotting.detector.loss_weights, **spotting.refinement.loss_weights, RECOGNIZER_TERM: 1.0}
    loss = SpottingLoss(weights, spotting.loss_terms, world.mean)
    output = network(batch.image, batch.ribbons, batch.region_slot)
    total, _ = loss(output, batch)
    total.backward()
    return {name.removeprefix("module."): p.grad for name, p in network.named_parameters()}


def one_of_two(rank: int, rendezvous: str, training: bool, out: str) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    network = nn.parallel.DistributedDataParallel(seeded_network().train(training))
    world = World(rank, 2, torch.device("cpu"))
    batch = collate([example(rank, words=2 if rank == 0 else 0)])
    torch.save(gradients(network, batch, world), f"{out}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_a_process_without_text_takes_part(tmp_path: Path, training: bool) -> None:
    multiprocessing.spawn(one_of_two, (str(tmp_path / "rendezvous"), training, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(gradient is not None for gradient in first.values())
    if not training:  # BatchNorm measures nothing now, so that one process with both images must agree
        both = collate([example(0, words=2), example(1, words=0)])
        alone = gradients(seeded_network().eval(), both, World(0, 1, torch.device("cpu")))
        for name, gradient in alone.items():
            torch.testing.assert_close(first[name], gradient, atol=1e-5, rtol=1e-3)


def test_one_process_is_the_identity() -> None:
    with join_world("cpu") as world:
        assert (world.rank, world.size, world.is_first) == (0, 1, True)
        assert world.mean(torch.tensor([2.0, 3.0])).tolist() == [2.0, 3.0]
        assert world.any(True)
        assert not world.any(False)
        world.wait()


def test_a_gpu_that_is_not_there_is_named() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ValueError, match=r"device is 'cuda:0'.*cpu or auto"), join_world("cuda:0"):
        pass
