"""torchvision's transformers, small, randomly initialised, with images; no weight is left at a special value."""

import torch
from torch import Tensor, nn
from torchvision.models import SwinTransformer, VisionTransformer
from torchvision.models.swin_transformer import PatchMergingV2, SwinTransformerBlockV2

NUM_BLOCKS = 4
NUM_CLASSES = 10


def _build_vit() -> nn.Module:
    return VisionTransformer(32, 8, NUM_BLOCKS, num_heads=2, hidden_dim=16, mlp_dim=32, num_classes=NUM_CLASSES)


def _build_swin(**changes) -> nn.Module:
    shape = {"patch_size": [2, 2], "embed_dim": 8, "depths": [2, 2], "num_heads": [2, 2], "window_size": [3, 3]}
    return SwinTransformer(**shape, num_classes=NUM_CLASSES, stochastic_depth_prob=0.1, **changes)


BUILDERS = {
    "vit": _build_vit,
    "swin": _build_swin,
    "swin_v2": lambda: _build_swin(block=SwinTransformerBlockV2, downsample_layer=PatchMergingV2),
}
SIZES = {"vit": (32, 32), "swin": (20, 32), "swin_v2": (32, 20)}


def build(kind: str, num_images: int = 3) -> tuple[nn.Module, Tensor]:
    """The network, in evaluation mode, and normalised images."""
    torch.manual_seed(0)
    network = BUILDERS[kind]().eval()
    for name, parameter in network.named_parameters():
        if parameter.ndim > 1 and "logit_scale" not in name:
            nn.init.normal_(parameter, std=1.5 * (parameter[0].numel() ** -0.5 if parameter.ndim < 3 else 0.1))
        elif "norm" not in name and "ln" not in name:
            nn.init.normal_(parameter, 1.0 if "logit_scale" in name else 0.0, 0.2)
    return network, torch.randn(num_images, 3, *SIZES[kind])
