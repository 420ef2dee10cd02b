"""A network small enough for a test: every part of the default one, with few channels."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import nn

from textspot.models.backbone import BackboneConfig
from textspot.models.neck import NeckConfig
from textspot.models.recognizer import RecognizerConfig
from textspot.models.spotting_network import ModelConfig, SpottingNetwork, build_network
from textspot.models.text_pooling import RoiConfig

TINY = ModelConfig(
    BackboneConfig(widths=(4, 6, 8, 10), blocks=(1, 2, 1, 1)),
    NeckConfig(8),
    RoiConfig(width=16, taps=(2, 1)),
    RecognizerConfig(widths=(8, 8, 12, 16), context_layers=2),
)


@pytest.fixture
def build_tiny() -> Callable[..., SpottingNetwork]:
    """Builds the same network each time, none of whose weights or statistics are left at a special value such as 0; its
    arguments are parts of another config than `TINY` has."""

    def build(**parts) -> SpottingNetwork:
        torch.manual_seed(0)
        network = build_network(
            replace(TINY, **parts), 5, stride=4, offset_unit=16.0, mean=(120, 110, 100), std=(60, 58, 56)
        )
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                for values in (module.weight, module.running_var):
                    nn.init.uniform_(values, 0.5, 1.5)
                for values in (module.bias, module.running_mean):
                    nn.init.normal_(values, std=0.2)
        return network

    return build
