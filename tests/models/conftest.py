"""A network small enough for a test: every part of the default one, with few channels."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from textspot.models.choice import Choice
from textspot.models.neck import NeckConfig
from textspot.models.recognizer import RecognizerConfig
from textspot.models.slim_resnet import SlimResNetConfig
from textspot.models.spotting_network import ModelConfig, SpottingNetwork, build_network
from textspot.models.text_pooling import RoiConfig

TINY = ModelConfig(
    Choice("slim_resnet", SlimResNetConfig((4, 6, 8, 10), (1, 2, 1, 1))),
    NeckConfig(8),
    Choice("stretched", RoiConfig(width=16, taps=(2, 1))),
    Choice("fcr", RecognizerConfig((8, 8, 12, 16), context_layers=2)),
)


@pytest.fixture
def build_tiny() -> Callable[..., SpottingNetwork]:
    """Builds the same network each time, none of whose weights or statistics are left at a special value such as 0; its
    arguments are parts of another config than `TINY` has."""

    def build(**parts) -> SpottingNetwork:
        torch.manual_seed(0)
        network = build_network(replace(TINY, **parts), 5, mean=(120, 110, 100), std=(60, 58, 56))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.weight, module.running_var):
                    nn.init.uniform_(values, 0.5, 1.5)
                for values in (module.bias, module.running_mean):
                    nn.init.normal_(values, std=0.2)
        return network

    return build
