"""Integer codes of 2 to 8 bits as bytes, without a bit lost or wasted."""

import torch
from torch import Tensor


def pack(codes: Tensor, bits: int, lowest: int) -> Tensor:
    """Codes of any shape, the smallest possible one being `lowest`, to ceil(count * bits / 8) bytes (uint8)."""
    unsigned = codes.flatten().to(torch.int16) - lowest
    if len(unsigned) and not 0 <= unsigned.min() <= unsigned.max() < 2**bits:
        raise ValueError(
            f"codes from {codes.min()} to {codes.max()} do not fit into {bits} bits that start at {lowest}"
        )
    stream = (unsigned[:, None] >> torch.arange(bits, device=codes.device)) & 1
    stream = torch.nn.functional.pad(stream.flatten(), (0, -stream.numel() % 8)).reshape(-1, 8)
    return (stream << torch.arange(8, device=codes.device)).sum(dim=1).to(torch.uint8)


def unpack(packed: Tensor, bits: int, lowest: int, shape: torch.Size) -> Tensor:
    """The int16 codes that `pack` was given, in their shape. Bytes that are too few or too many are a `ValueError`."""
    count = shape.numel()
    if len(packed) != -(-count * bits // 8):
        raise ValueError(f"{len(packed)} bytes, expected {-(-count * bits // 8)} for {count} codes of {bits} bits")
    stream = (packed[:, None].to(torch.int16) >> torch.arange(8, device=packed.device)) & 1
    digits = stream.flatten()[: count * bits].reshape(count, bits) << torch.arange(bits, device=packed.device)
    return (digits.sum(dim=1) + lowest).to(torch.int16).reshape(shape)
