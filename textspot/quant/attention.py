"""Self-attention as modules: twins of others' attention that compute the same and hide nothing.

torchvision's ViT has `nn.MultiheadAttention`, its Swin a function, timm's ViT a fused kernel: none lets its matrix
products be quantised or its probabilities be seen. The twins are made of `nn.Linear`, `MatMul` and `nn.Softmax`, which
have quantised twins, and say where the tokens lie that they attend to. They are for evaluation: dropout is left out.

Legend: B images, G windows of an image (1 where all tokens attend to each other), N tokens of a window, T = N and the
class tokens, D channels, E channels of a head, H heads, h w the grid of tokens.
"""

import copy
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import VisionTransformer
from torchvision.models.swin_transformer import ShiftedWindowAttention, ShiftedWindowAttentionV2

from textspot.quant.layers import MatMul

Network = TypeVar("Network", bound=nn.Module)
FORBIDDEN = -100.0  # added to a logit where a shifted window spans two parts of the plane: torchvision's own value
LARGEST_COSINE_SCALE = math.log(100)  # Swin V2, Liu et al. 2022, section 3.2


class ExplicitAttention(nn.Module):
    """Attention between the T tokens of a window, module by module.

    Args:
        qkv: from D channels to those of queries, keys and values.
        projection: from the heads' channels to the output.
        num_heads: H.
        scale: factor of the queries: a number, or (H, 1, 1).
        cosine: queries and keys are brought to unit length first (Swin V2).
        num_prefix: class tokens before the others.
    """

    scale: Tensor

    def __init__(
        self,
        qkv: nn.Linear,
        projection: nn.Linear,
        num_heads: int,
        scale: float | Tensor,
        cosine: bool = False,
        num_prefix: int = 0,
    ):
        super().__init__()
        self.qkv, self.projection = qkv, projection
        self.num_heads, self.cosine, self.num_prefix = num_heads, cosine, num_prefix
        self.register_buffer("scale", torch.as_tensor(scale, dtype=qkv.weight.dtype, device=qkv.weight.device).clone())
        self.query_norm: nn.Module = nn.Identity()
        self.key_norm: nn.Module = nn.Identity()
        self.scores, self.softmax, self.mix = MatMul(), nn.Softmax(dim=-1), MatMul(after_softmax=True)

    def attend(self, tokens: Tensor, bias: Tensor | None = None) -> Tensor:
        """Tokens (B * G, T, D) to what they become, with a bias that broadcasts to the logits (B * G, H, T, T)."""
        q, k, v = self.qkv(tokens).unflatten(-1, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q, k = self.query_norm(q), self.key_norm(k)
        if self.cosine:
            q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        logits = self.scores(q * self.scale, k.transpose(-1, -2))
        if bias is not None:
            logits = logits + bias
        return self.projection(self.mix(self.softmax(logits), v).transpose(1, 2).flatten(2))

    def received(self, probabilities: Tensor, num_images: int) -> Tensor:
        """How much attention each token gets, (B, H, G, N), adding up to 1 over N: from the class token, without the
        part it gives to itself, or, where there is none, from all tokens on average."""
        rows = probabilities[:, :, :1, self.num_prefix :] if self.num_prefix else probabilities
        shares = rows.mean(dim=2).unflatten(0, (num_images, -1)).transpose(1, 2)
        return shares / shares.sum(dim=-1, keepdim=True).clamp(min=torch.finfo(shares.dtype).tiny)

    def token_points(self, num_tokens: int, image_size: tuple[int, int]) -> Tensor:
        """Where the tokens lie, (G, N, 2) as (x, y) in shares of the image's sides, in the order of `received`.

        `num_tokens` is T; a number that makes no grid of the image's shape is a `ValueError`.
        """
        height, width = image_size
        count = num_tokens - self.num_prefix
        h = round(math.sqrt(count * height / width))
        if h < 1 or h * (w := count // h) != count:
            raise ValueError(
                f"{count} tokens (and {self.num_prefix} class tokens) are no grid of the shape of an image of {height} "
                f"x {width} pixels"
            )
        return _grid_points(h, w, (0, 0)).flatten(0, 1)[None]


def _grid_points(h: int, w: int, pad: tuple[int, int]) -> Tensor:
    """Centres (h + pad, w + pad, 2) of the cells of a grid; what is padded lies beyond 1."""
    y = (torch.arange(h + pad[0]) + 0.5) / h
    x = (torch.arange(w + pad[1]) + 0.5) / w
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1)


class ExplicitMultihead(ExplicitAttention):
    """The twin of `nn.MultiheadAttention`, as self-attention without masks."""

    def __init__(self, attention: nn.MultiheadAttention, num_prefix: int = 0):
        complaints = [
            words
            for words, holds in {
                "batch_first is false": not attention.batch_first,
                "its keys or values have another width": not attention._qkv_same_embed_dim,
                "it adds a key of its own": attention.bias_k is not None or attention.add_zero_attn,
            }.items()
            if holds
        ]
        if complaints:
            raise ValueError(f"an nn.MultiheadAttention has no twin here: {', '.join(complaints)}")
        super().__init__(
            _build_linear(attention.in_proj_weight, attention.in_proj_bias),
            _build_linear(attention.out_proj.weight, attention.out_proj.bias),
            attention.num_heads,
            attention.head_dim**-0.5,
            num_prefix=num_prefix,
        )

    def forward(self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = True) -> tuple[Tensor, None]:
        """(B, T, D) three times, the same tensor each time, to (B, T, D) and None."""
        if key is not query or value is not query or need_weights:
            raise ValueError("only self-attention with need_weights=False has a twin")
        return self.attend(query), None


class ExplicitTimm(ExplicitAttention):
    """The twin of the attention of timm's ViT and DeiT."""

    def __init__(self, attention: Any, num_prefix: int):
        if getattr(attention, "gate", None) is not None or not isinstance(
            getattr(attention, "norm", nn.Identity()), nn.Identity
        ):
            raise ValueError("timm's attention with a gate, or with a norm on its output, has no twin here")
        super().__init__(attention.qkv, attention.proj, attention.num_heads, attention.scale, num_prefix=num_prefix)
        self.query_norm, self.key_norm = attention.q_norm, attention.k_norm

    def forward(self, x: Tensor, attn_mask: None = None, is_causal: bool = False) -> Tensor:
        """(B, T, D) to (B, T, D); a mask is a `ValueError`."""
        if attn_mask is not None or is_causal:
            raise ValueError("attention with a mask has no twin")
        return self.attend(x)


class ExplicitWindows(ExplicitAttention):
    """The twin of torchvision's `ShiftedWindowAttention` and its second version; the bias of positions is a constant
    of the trained network."""

    position_bias: Tensor

    def __init__(self, attention: ShiftedWindowAttention):
        qkv, scale, cosine = attention.qkv, (attention.qkv.in_features // attention.num_heads) ** -0.5, False
        if isinstance(attention, ShiftedWindowAttentionV2):
            bias = qkv.bias.detach().clone()
            bias[len(bias) // 3 : 2 * len(bias) // 3] = 0  # the keys have none
            qkv = _build_linear(qkv.weight, nn.Parameter(bias))
            scale, cosine = attention.logit_scale.detach().clamp(max=LARGEST_COSINE_SCALE).exp(), True
        super().__init__(qkv, attention.proj, attention.num_heads, scale, cosine)
        self.window, self.shift = tuple(attention.window_size), tuple(attention.shift_size)
        with torch.no_grad():
            self.register_buffer("position_bias", attention.get_relative_position_bias().detach().clone())
        self.grid = (0, 0)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, D) to (B, h, w, D)."""
        self.grid = h, w = x.shape[1], x.shape[2]
        pad = self._padding(h, w)
        x = F.pad(x, (0, 0, 0, pad[1], 0, pad[0]))
        windows = self.to_windows(x).flatten(0, 1)
        windows = self.attend(windows, self._bias(x.shape[1], x.shape[2], len(x)))
        return self._from_windows(windows, x.shape[1], x.shape[2])[:, :h, :w].contiguous()

    def token_points(self, num_tokens: int, image_size: tuple[int, int]) -> Tensor:  # noqa: ARG002  the grid is known
        """As in `ExplicitAttention`, of the grid that was seen last."""
        return self.to_windows(_grid_points(*self.grid, self._padding(*self.grid))[None])[0]

    def to_windows(self, plane: Tensor) -> Tensor:
        """(B, h, w, D), padded to whole windows, to (B, G, N, D) in the order of attention."""
        (rows, columns), (down, right) = self.window, self._shift(plane.shape[1], plane.shape[2])
        plane = plane.roll((-down, -right), dims=(1, 2))
        plane = plane.unflatten(2, (-1, columns)).unflatten(1, (-1, rows))
        return plane.transpose(2, 3).flatten(3, 4).flatten(1, 2)

    def _from_windows(self, windows: Tensor, h: int, w: int) -> Tensor:
        rows, columns = self.window
        plane = windows.unflatten(1, (rows, columns)).unflatten(0, (-1, h // rows, w // columns))
        plane = plane.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return plane.roll(self._shift(h, w), dims=(1, 2))

    def _padding(self, h: int, w: int) -> tuple[int, int]:
        return -h % self.window[0], -w % self.window[1]

    def _shift(self, h: int, w: int) -> tuple[int, int]:
        """None along a side that one window covers."""
        return 0 if self.window[0] >= h else self.shift[0], 0 if self.window[1] >= w else self.shift[1]

    def _bias(self, h: int, w: int, num_images: int) -> Tensor:
        """Of positions, and of the parts of the plane that the shift brought together."""
        shift = self._shift(h, w)
        if not any(shift):
            return self.position_bias
        part_h, part_w = (
            (torch.arange(side) >= side - window).int() + (torch.arange(side) >= side - back).int()
            for side, window, back in zip((h, w), self.window, shift, strict=True)
        )
        part = (3 * part_h[:, None] + part_w).to(self.position_bias.device)[None, ..., None]
        part_GN = self.to_windows(part.roll(shift, dims=(1, 2)))[0, :, :, 0]  # the parts are those of the rolled plane
        apart = part_GN[:, None, :, None] != part_GN[:, None, None, :]
        return self.position_bias + (FORBIDDEN * apart).repeat(num_images, 1, 1, 1)


def _build_linear(weight: Any, bias: Any) -> nn.Linear:
    """A linear layer that shares these parameters; the bias may be None."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    layer.weight, layer.bias = weight, bias
    return layer


def expose_attention(network: Network) -> Network:
    """A copy in evaluation mode whose attention, if there is any, is explicit; everything else is as it was.

    Replaced are `nn.MultiheadAttention`, torchvision's shifted windows and, where timm is loaded, the attention of its
    ViT and DeiT.
    """
    network = copy.deepcopy(network).eval()
    num_prefix = _count_class_tokens(network)
    for name, module in list(network.named_modules()):
        twin = _build_twin(module, num_prefix)
        if twin is not None:
            network.set_submodule(name, twin)
    return network.eval()


def _build_twin(module: nn.Module, num_prefix: int) -> ExplicitAttention | None:
    if isinstance(module, nn.MultiheadAttention):
        return ExplicitMultihead(module, num_prefix)
    if isinstance(module, ShiftedWindowAttention):
        return ExplicitWindows(module)
    timm = sys.modules.get("timm.layers")  # whoever has a network of timm has loaded it
    if type(module) is getattr(timm, "Attention", None):
        return ExplicitTimm(module, num_prefix)
    return None


def _count_class_tokens(network: nn.Module) -> int:
    modules: list[Any] = list(network.modules())
    if any(isinstance(module, VisionTransformer) for module in modules):
        return 1
    return next((module.num_prefix_tokens for module in modules if hasattr(module, "num_prefix_tokens")), 0)


def attention_blocks(network: nn.Module) -> list[str]:
    """The names of the transformer blocks of a network from `expose_attention`: the modules that hold an attention,
    in order. A network that has none is a `ValueError`."""
    names = [name for name, module in network.named_modules() if isinstance(module, ExplicitAttention)]
    if not names:
        raise ValueError(
            "the network has no attention of a kind that is known here: nn.MultiheadAttention, torchvision's Swin, or "
            "timm's ViT and DeiT"
        )
    return [name.rpartition(".")[0] for name in names]


@dataclass(frozen=True)
class SeenAttention:
    """One attention in one pass: probabilities (B * G, H, T, T) and the values they mix, (B * G, H, T, E), in
    float32."""

    twin: ExplicitAttention
    probabilities: Tensor
    mixed: Tensor

    def received(self, num_images: int) -> Tensor:
        """See `ExplicitAttention.received`."""
        return self.twin.received(self.probabilities, num_images)

    def token_points(self, image_size: tuple[int, int]) -> Tensor:
        """See `ExplicitAttention.token_points`; on the device of the probabilities."""
        points = self.twin.token_points(self.probabilities.shape[-1], image_size)
        return points.to(self.probabilities.device)


@contextmanager
def watch_attention(network: nn.Module) -> Iterator[list[SeenAttention]]:
    """While it lasts, the list takes up what every explicit attention of a network computes, in order and with
    gradients; clear it between passes."""
    seen: list[SeenAttention] = []
    pending: dict[ExplicitAttention, Tensor] = {}

    def watch_softmax(twin: ExplicitAttention) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_: nn.Module, _args: Any, output: Tensor) -> None:
            pending[twin] = output.float()

        return hook

    def watch_mix(twin: ExplicitAttention) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(_: nn.Module, _args: Any, output: Tensor) -> None:
            seen.append(SeenAttention(twin, pending.pop(twin), output.float()))

        return hook

    handles = []
    for module in network.modules():
        if isinstance(module, ExplicitAttention):
            handles.append(module.softmax.register_forward_hook(watch_softmax(module)))
            handles.append(module.mix.register_forward_hook(watch_mix(module)))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
