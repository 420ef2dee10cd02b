from collections import OrderedDict

import pytest
import torch
from torch import nn

from textspot.engine.schedule import learning_rate_at, parameter_groups
from textspot.engine.state import ramped_average
from textspot.recipe import TrainConfig

CONFIG = TrainConfig(steps=110, warmup_steps=10, learning_rate=2.0, final_learning_rate=0.1)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.2), (4, 1.0), (9, 2.0), (10, 2.0), (60, 1.1), (110, 0.2), (500, 0.2)]
)
def test_learning_rate_rises_linearly_and_falls_as_a_cosine(step: int, expected: float) -> None:
    assert learning_rate_at(step, CONFIG) == pytest.approx(expected)


def test_without_warm_up_the_first_step_is_at_the_peak() -> None:
    assert learning_rate_at(0, TrainConfig(steps=10, warmup_steps=0, learning_rate=2.0)) == 2.0


def test_biases_and_normalisation_do_not_decay_and_the_backbone_takes_its_share() -> None:
    network = nn.Sequential(
        OrderedDict(head=nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)), backbone=nn.Conv2d(3, 5, 1))
    )
    groups = parameter_groups(network, 0.1, [network.backbone], 0.3)
    shapes = [[tuple(p.shape) for p in group["params"]] for group in groups]
    assert shapes == [[(4, 3, 3, 3)], [(4,), (4,), (4,)], [(5, 3, 1, 1)], [(5,)]]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.0, 0.1, 0.0]
    assert [group["share"] for group in groups] == [1.0, 1.0, 0.3, 0.3]


@pytest.mark.parametrize(("num_averaged", "decay"), [(1, 2 / 11), (9, 10 / 19), (100_000, 0.99)])
def test_the_average_forgets_its_first_weights_soon(num_averaged: int, decay: float) -> None:
    average, counter = torch.zeros(3), torch.tensor(4)
    ramped_average(0.99)([average, counter], [torch.ones(3), torch.tensor(7)], torch.tensor(num_averaged))
    torch.testing.assert_close(average, torch.full((3,), 1 - decay))
    assert counter == 7
