"""The terms of data-free objectives, as sums over images. Legend: B images, H heads, G windows, N tokens of a window,
T = N and the class tokens, E channels of a head, C classes, P points, M pairs."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from textspot.quant.attention import SeenAttention
from textspot.quant.synthesis.priors import Mixtures
from textspot.quant.synthesis.synthesis import Jitter

PUBLISHED_BATCH = 32  # images whose differences have one norm in PSAQ-ViT's code
DENSITY_FLOOR = 1e-4  # added to a density before its logarithm: PSAQ-ViT's code


def align_attention(
    seen: Sequence[SeenAttention],
    priors: Sequence[Mixtures],
    weights: Sequence[float],
    numbers: range,
    jitter: Jitter,
    size: tuple[int, int],
) -> Tensor:
    """Attention priors alignment (SARDFQ, arXiv 2412.16553): the mean squared difference, over the tokens, between the
    attention that each receives and its head's prior, summed over heads and, weighted, over the blocks given.

    The priors move with the images: what `jitter` did to these of `size` (height, width) is done to them. Blocks of
    weight 0 are passed over.
    """
    total = seen[0].probabilities.new_zeros(())
    for attention, prior, weight in zip(seen, priors, weights, strict=True):
        if weight:
            points = jitter.origin(attention.token_points(size), size)
            difference = attention.received(len(numbers)) - prior.at(points, numbers)
            total = total + weight * difference.square().mean(dim=(2, 3)).sum()
    return total


def patch_entropy(seen: Sequence[SeenAttention], num_images: int, bandwidth: float, num_points: int) -> Tensor:
    """The differential entropy of the cosine similarity between patches, of what attention gives them as a mean over
    the heads, summed over all blocks (PSAQ-ViT, arXiv 2203.02250, equations 4 to 7). Natural images have more of it
    than noise: to be maximised.

    The density is a Gaussian kernel estimate at `num_points` between the extremes of an image and block (PSAQ-ViT's
    code: of a batch), integrated by trapezoids. Patches are compared within a window of attention, the class tokens
    left out.
    """
    total = seen[0].mixed.new_zeros(())
    for attention in seen:
        patches = F.normalize(attention.mixed.mean(dim=1)[:, attention.twin.num_prefix :], dim=-1)
        similarities_BM = (patches @ patches.transpose(1, 2)).reshape(num_images, -1)
        total = total + kernel_entropy(similarities_BM, bandwidth, num_points).sum()
    return total


def kernel_entropy(values_BM: Tensor, bandwidth: float, num_points: int) -> Tensor:
    """-integral of f log f (B,), f the Gaussian kernel density of each row of values, by trapezoids between its
    extremes."""
    low_B, high_B = values_BM.detach().aminmax(dim=1)
    shares_P = torch.linspace(0, 1, num_points, device=values_BM.device)
    points_PB = low_B + shares_P[:, None] * (high_B - low_B)
    density_PB = torch.stack(
        [(-0.5 * ((point_B[:, None] - values_BM) / bandwidth).square()).exp().mean(dim=1) for point_B in points_PB]
    ) / (bandwidth * math.sqrt(2 * math.pi))
    density_PB = density_PB + DENSITY_FLOOR
    return torch.trapezoid(-density_PB * density_PB.log(), points_PB, dim=0)


def total_variation(images: Tensor) -> Tensor:
    """Differences between neighbours along both axes and both diagonals: the norm of each kind, summed, (B,).

    PSAQ-ViT's code takes the norm over a batch of 32; taken image by image, times the root of 32, it has the same value
    and gradient where the images are equally rough, and does not depend on the batch.
    """
    kinds = (
        images[:, :, :, 1:] - images[:, :, :, :-1],
        images[:, :, 1:] - images[:, :, :-1],
        images[:, :, 1:, 1:] - images[:, :, :-1, :-1],
        images[:, :, 1:, :-1] - images[:, :, :-1, 1:],
    )
    norms = [torch.linalg.vector_norm(kind.flatten(1), dim=1) for kind in kinds]
    return math.sqrt(PUBLISHED_BATCH) * torch.stack(norms).sum(dim=0)


def soft_cross_entropy(logits: Tensor, targets: Tensor) -> Tensor:
    """-sum of targets * log softmax(logits), (B,), of (B, C) both."""
    return -(targets * logits.log_softmax(dim=1)).sum(dim=1)
