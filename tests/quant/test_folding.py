"""BatchNorm folding changes nothing but the number of layers."""

import pytest
import torch
from torch import nn
from toy_networks import build_toy, relative_error

from textspot.quant.calibration import calibrate
from textspot.quant.folding import FoldedBatchNorm, find_batchnorms, fold_batchnorm
from textspot.quant.network import quantize


@pytest.mark.parametrize("name", ["convolutions", "linear"])
def test_folding_changes_no_output(name):
    network, inputs = build_toy(name)
    before = {key: values.clone() for key, values in network.state_dict().items()}
    folded = fold_batchnorm(network.train())
    assert not folded.training
    assert relative_error(folded, network.eval(), inputs) < 1e-6
    assert not any(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in folded.modules())
    for key, values in network.state_dict().items():
        assert torch.equal(values, before[key]), key


def test_a_norm_without_weights_is_folded():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, affine=False))
    network(torch.randn(8, 2, 4, 4))
    assert relative_error(fold_batchnorm(network), network.eval(), [torch.randn(1, 2, 4, 4)]) < 1e-6


@pytest.mark.parametrize(
    "network",
    [
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)),
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(4)),
        nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)),
        nn.Sequential(nn.ConvTranspose2d(2, 3, 1), nn.BatchNorm2d(3)),
        nn.Sequential(*[nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)] * 2),
        nn.Sequential(),
    ],
)
def test_what_is_no_pair(network):
    assert find_batchnorms(network) == []


def test_neighbours_that_the_data_does_not_connect_are_found_out():
    class Crossed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x):
            return self.conv(self.norm(x))

    class InPlace(Crossed):
        def forward(self, x):
            return self.norm(self.conv(x).relu_())

    for network in (Crossed(), InPlace()):
        with pytest.raises(ValueError, match="norm stands behind conv but does not read its output"):
            calibrate(quantize(network), [torch.randn(1, 2, 3, 3)])


def test_a_folded_norm_says_where_it_went():
    folded = fold_batchnorm(build_toy("convolutions")[0])
    assert isinstance(folded.norm, FoldedBatchNorm)
    assert "into grouped" in repr(folded)
