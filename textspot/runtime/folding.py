"""BatchNorm folded into the convolution before it: the same function in half as many passes over memory."""

import copy
from itertools import pairwise

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from textspot.models.spotting_network import SpottingNetwork


def fold_batchnorm(network: SpottingNetwork) -> SpottingNetwork:
    """A copy in evaluation mode whose BatchNorms are part of the convolutions that stand before them, in
    `nn.Sequential` as in torchvision's blocks."""
    network = copy.deepcopy(network).eval()
    for parent in list(network.modules()):
        for (name, layer), (norm_name, norm) in pairwise(list(parent.named_children())):
            if isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(layer, norm))
                setattr(parent, norm_name, nn.Identity())
    return network
