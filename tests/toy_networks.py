"""Networks small enough for a quantiser's tests, one of each kind, with inputs; all weights random, none special."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from textspot.quant.layers import MatMul


class ConvolutionalBlock(nn.Module):
    """Convolutions of every shape: grouped, strided, padded, without bias, with BatchNorm, and a residual join."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.grouped = nn.Conv2d(8, 8, (3, 5), padding=(1, 2), groups=4)
        self.norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.head = nn.Conv2d(8, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(self.relu(self.norm(self.grouped(x)) + x))


class TransformerBlock(nn.Module):
    """Attention of two heads and a feed-forward part, before each a LayerNorm."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.scores, self.softmax, self.mix = MatMul(), nn.Softmax(dim=-1), MatMul(after_softmax=True)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norm_1(x)).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        probabilities = self.softmax(self.scores(q * 4, k.transpose(-1, -2)))
        x = x + self.projection(self.mix(probabilities, v).transpose(1, 2).flatten(2))
        return x + self.down(F.gelu(self.up(self.norm_2(x))))


def build_linear_network() -> nn.Module:
    """Linear layers only, one of them behind a BatchNorm that can be folded."""
    return nn.Sequential(
        nn.Linear(12, 20), nn.BatchNorm1d(20), nn.ReLU(), nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 7)
    )


BUILDERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolutions": (ConvolutionalBlock, (4, 3, 12, 10)),
    "transformer": (TransformerBlock, (4, 9, 16)),
    "linear": (build_linear_network, (64, 12)),
}


def build_toy(name: str) -> tuple[nn.Module, list[Tensor]]:
    """The network, in evaluation mode, and four inputs whose channels differ in size, the last 20 times the first."""
    torch.manual_seed(0)
    build, shape = BUILDERS[name]
    network = build().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (module.weight, module.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (module.bias, module.running_mean):
                nn.init.normal_(values, std=0.2)
    axis = 1 if len(shape) == 4 else -1
    inputs = torch.randn(4, *shape).movedim(axis + 1 if axis > 0 else axis, -1)
    inputs = inputs * torch.logspace(0, 1.3, inputs.shape[-1])
    return network, list(inputs.movedim(-1, axis + 1 if axis > 0 else axis))


@torch.no_grad()
def relative_error(network: nn.Module, reference: nn.Module, inputs: list[Tensor]) -> float:
    """||y - y_ref|| / ||y_ref|| over all inputs."""
    given, wanted = (torch.stack([module(x) for x in inputs]) for module in (network, reference))
    return ((given - wanted).norm() / wanted.norm()).item()
