"""Low-rank correction of the weight error: y = W_q x + L_A (L_B x).

With S S^T = X X^T, ||E X||_F = ||E S||_F, so the truncated SVD of E S = U Sigma V^T is the best correction of its rank
on the calibration data (Eckart and Young), and leaving sigma_i out costs exactly sigma_i^2. ASER writes L_A = U_r
Sigma_r and L_B = V_r^T S^-1; V_r^T Sigma_r S^-1 is U_r^T E, so the same product is L_A = U_r, L_B = U_r^T E, without an
inverse of S that may be nearly singular. Legend: G groups, O outputs and J inputs of a group's matrix, r rank.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from textspot.quant.affine import ENGINE_BITS
from textspot.ranges import Limit, Share, check_ranges

FIRST_RIDGE = 1e-10  # of the mean of the diagonal; ten times more at each retry
MOST_RETRIES = 10


@dataclass(frozen=True)
class CorrectionConfig:
    """How the weight error is corrected.

    Args:
        kind: `none`, or the measure of the error that the correction minimises: `unwhitened` takes the error as it
            is (LoRC, Yao et al. 2023), `diagonal` weighs it by the mean |x| of each input (L2QER, arXiv
            2402.02446), `whitened` by the Cholesky factor of X X^T (ASER, arXiv 2411.07762).
        rank: greatest rank, per group of a convolution.
        alpha: share of the sum of all singular values, as in ASER: the rank is the number of largest ones that reach
            it (our reading of the paper). 0 takes `rank`.
        budget: largest cost of the correction, as a share of the layer's multiplications (not in the papers).
        bits: bits of the factors, 2 to 8; what passes between them, and both sides of the sum, are then quantised to 8
            bits (not in the papers). null leaves the factors, and what an engine computes in such a layer, float.
    """

    kind: str = "none"
    rank: int = 32
    alpha: Share = 0.0
    budget: Limit = 1.0
    bits: int | None = None

    def __post_init__(self) -> None:
        choices = ("none", *METRICS)
        if self.kind not in choices:
            raise ValueError(f"correction.kind is {self.kind!r}, expected one of {', '.join(choices)}")
        if self.rank < 1:
            raise ValueError(f"correction.rank is {self.rank}, expected at least 1; kind: none switches it off")
        if self.bits is not None and not 2 <= self.bits <= ENGINE_BITS:
            raise ValueError(f"correction.bits is {self.bits}, expected 2 to {ENGINE_BITS}, or null")
        check_ranges(self, "correction.")

    def highest_rank(self, num_outputs: int, num_inputs: int) -> int:
        """The most for a matrix of this size, by rank, size and budget; 0 where the budget pays for none."""
        affordable = self.budget * num_outputs * num_inputs / (num_outputs + num_inputs)
        return int(min(self.rank, num_outputs, num_inputs, affordable))


def cholesky(gram_GJJ: Tensor) -> tuple[Tensor, Tensor]:
    """Lower triangular S with S S^T = gram, float64, and the ridges (G,) that were added to the diagonals: 0, or the
    first of 1e-10, 1e-9, ... of the diagonal's mean at which the factorisation succeeds.

    A group whose inputs were all zero has S = 0: no error of its weights reaches the output.
    """
    gram_GJJ = gram_GJJ.double()
    mean_G = gram_GJJ.diagonal(dim1=1, dim2=2).mean(dim=1)
    unit_G = torch.where(mean_G > 0, mean_G, 1.0)
    identity = torch.eye(gram_GJJ.shape[1], dtype=torch.float64, device=gram_GJJ.device)
    ridge_G = torch.zeros_like(mean_G)
    for retry in range(MOST_RETRIES + 1):
        factor_GJJ, failed_G = torch.linalg.cholesky_ex(gram_GJJ + ridge_G[:, None, None] * identity)
        if not failed_G.any():
            return factor_GJJ * (mean_G > 0)[:, None, None], ridge_G
        ridge_G = torch.where(failed_G > 0, unit_G * FIRST_RIDGE * 10.0**retry, ridge_G)
    raise ValueError("the covariance of the inputs has no Cholesky factor even with a ridge of its own size")


# E S of a kind, float64: of the weight error E (G, O, J), the inputs' X X^T (G, J, J) and their mean |x| (G, J).
METRICS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "unwhitened": lambda error_GOJ, _gram_GJJ, _input_mean_GJ: error_GOJ,
    "diagonal": lambda error_GOJ, _gram_GJJ, input_mean_GJ: error_GOJ * input_mean_GJ.double()[:, None],
    "whitened": lambda error_GOJ, gram_GJJ, _input_mean_GJ: error_GOJ @ cholesky(gram_GJJ)[0],
}


def choose_rank(singular_values_GK: Tensor, config: CorrectionConfig, highest: int) -> int:
    """The rank of all groups: the highest, or less where alpha is reached before."""
    if not config.alpha:
        return highest
    total_K = singular_values_GK.sum(dim=0)
    reached_K = total_K.cumsum(dim=0) >= config.alpha * total_K.sum() * (1 - 1e-12)
    return min(highest, int(reached_K.int().argmax()) + 1)


def factorize(
    error_GOJ: Tensor, gram_GJJ: Tensor, input_mean_GJ: Tensor, config: CorrectionConfig
) -> tuple[Tensor, Tensor]:
    """L_A (G, O, r) and L_B (G, r, J), float64, of the weight error W - W_q."""
    highest = config.highest_rank(*error_GOJ.shape[1:])
    weighed = METRICS[config.kind](error_GOJ.double(), gram_GJJ, input_mean_GJ)
    left_GOK, singular_values_GK, _ = torch.linalg.svd(weighed, full_matrices=False)
    left_GOr = left_GOK[:, :, : choose_rank(singular_values_GK, config, highest)] if highest else left_GOK[:, :, :0]
    return left_GOr, left_GOr.mT @ error_GOJ.double()
