"""The mathematics of the low-rank correction, in float64: equalities, not thresholds of taste."""

import math

import numpy as np
import pytest
import torch

from textspot.quant.correction import METRICS, CorrectionConfig, cholesky, choose_rank, factorize

OUTPUTS, INPUTS, COLUMNS = 10, 14, 60
KINDS = ["unwhitened", "diagonal", "whitened"]


def build_problem(groups: int = 2) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """A weight error, correlated inputs of very different size, their Gram matrix and their mean |x|."""
    generator = torch.Generator().manual_seed(0)
    error = torch.randn(groups, OUTPUTS, INPUTS, generator=generator, dtype=torch.float64)
    mixing = torch.randn(groups, INPUTS, INPUTS, generator=generator, dtype=torch.float64)
    columns = torch.randn(groups, INPUTS, COLUMNS, generator=generator, dtype=torch.float64)
    inputs = (mixing * torch.logspace(-1, 1, INPUTS, dtype=torch.float64)) @ columns
    return error, inputs, inputs @ inputs.mT, inputs.abs().mean(dim=2)


def output_error(kind: str, rank: int) -> torch.Tensor:
    """The squared output error (G,) that a correction leaves."""
    error, inputs, gram, mean = build_problem()
    left, right = factorize(error, gram, mean, CorrectionConfig(kind, rank, budget=math.inf))
    return ((error - left @ right) @ inputs).square().sum(dim=(1, 2))


@pytest.mark.parametrize("rank", range(1, OUTPUTS + 1))
def test_what_is_left_out_is_exactly_the_discarded_singular_values(rank):
    error, _, gram, mean = build_problem()
    singular_values = torch.linalg.svdvals(METRICS["whitened"](error.double(), gram, mean))
    np.testing.assert_allclose(
        output_error("whitened", rank), singular_values[:, rank:].square().sum(dim=1), rtol=1e-9, atol=1e-9
    )


def test_the_output_error_is_the_norm_in_the_whitened_metric():
    error, inputs, gram, mean = build_problem()
    np.testing.assert_allclose(
        torch.linalg.matrix_norm(error @ inputs),
        torch.linalg.matrix_norm(METRICS["whitened"](error.double(), gram, mean)),
    )


@pytest.mark.parametrize("rank", range(1, OUTPUTS + 1))
@pytest.mark.parametrize("other", ["diagonal", "unwhitened"])
def test_whitened_is_the_best_at_every_rank(rank, other):
    best, worse = output_error("whitened", rank), output_error(other, rank)
    assert (best <= worse * (1 + 1e-9) + 1e-9).all()
    if rank < OUTPUTS:
        assert (best < worse).all()


@pytest.mark.parametrize("kind", KINDS)
def test_full_rank_leaves_no_error(kind):
    assert output_error(kind, INPUTS).max() < 1e-18


@pytest.mark.parametrize("rank", [1, 3, 7])
def test_the_factors_are_the_published_ones(rank):
    """U_r (U_r^T E) is (U_r Sigma_r) (V_r^T S^-1)."""
    error, _, gram, mean = build_problem()
    factor, _ = cholesky(gram)
    u, sigma, vh = torch.linalg.svd(error @ factor, full_matrices=False)
    published = (u[..., :rank] * sigma[:, None, :rank]) @ vh[:, :rank] @ torch.linalg.inv(factor)
    left, right = factorize(error, gram, mean, CorrectionConfig("whitened", rank, budget=math.inf))
    assert (left.shape, right.shape) == ((2, OUTPUTS, rank), (2, rank, INPUTS))
    np.testing.assert_allclose(left @ right, published, atol=1e-9)


def test_the_diagonal_metric_is_the_mean_of_the_inputs():
    error, _, gram, mean = build_problem()
    np.testing.assert_allclose(METRICS["diagonal"](error.double(), gram, mean), error @ torch.diag_embed(mean))
    assert torch.equal(METRICS["unwhitened"](error.double(), gram, mean), error)


def test_a_regular_gram_needs_no_ridge():
    _, _, gram, _ = build_problem()
    factor, ridge = cholesky(gram)
    assert ridge.tolist() == [0, 0]
    assert factor.dtype == torch.float64
    np.testing.assert_allclose(factor @ factor.mT, gram, rtol=1e-9, atol=1e-9)


def test_a_singular_gram_gets_a_ridge_and_the_regular_one_beside_it_none():
    _, inputs, gram, _ = build_problem()
    inputs[1, 3] = inputs[1, 4]  # two inputs that are always equal
    inputs[1, 5] = 0  # and one that never speaks
    gram = inputs @ inputs.mT
    factor, ridge = cholesky(gram)
    assert ridge[0] == 0
    assert 0 < ridge[1] <= 1e-6 * gram[1].diagonal().mean()
    np.testing.assert_allclose((factor @ factor.mT)[1], gram[1] + ridge[1] * torch.eye(INPUTS), rtol=1e-9, atol=1e-6)


@pytest.mark.parametrize("columns", [1, 3])
def test_with_fewer_columns_than_inputs_the_correction_is_still_exact_at_their_number(columns):
    error, inputs, _, mean = build_problem()
    few = inputs[..., :columns]
    left, right = factorize(error, few @ few.mT, mean, CorrectionConfig("whitened", columns, budget=math.inf))
    assert ((error - left @ right) @ few).norm() < 1e-4 * (error @ few).norm()


def test_inputs_that_are_all_zero_need_no_correction():
    factor, _ = cholesky(torch.zeros(1, 3, 3))
    assert not factor.any()
    error = torch.randn(1, 2, 3)
    left, right = factorize(error, torch.zeros(1, 3, 3), torch.zeros(1, 3), CorrectionConfig("whitened", 1, budget=9))
    assert torch.isfinite(left @ right).all()


def test_alpha_takes_the_smallest_rank_that_reaches_the_share():
    values = torch.tensor([[6.0, 2.0, 1.0, 1.0]])
    for alpha, rank in ((0.0, 4), (0.5, 1), (0.6, 1), (0.61, 2), (0.8, 2), (0.81, 3), (1.0, 4)):
        assert choose_rank(values, CorrectionConfig("whitened", alpha=alpha), 4) == rank
    assert choose_rank(values, CorrectionConfig("whitened", alpha=1.0), 2) == 2
    assert choose_rank(torch.zeros(1, 4), CorrectionConfig("whitened", alpha=0.5), 4) == 1


def test_rank_size_and_budget_bound_the_rank():
    assert CorrectionConfig("whitened", 32, budget=math.inf).highest_rank(10, 20) == 10
    assert CorrectionConfig("whitened", 4, budget=math.inf).highest_rank(10, 20) == 4
    assert CorrectionConfig("whitened", 32, budget=0.25).highest_rank(64, 64) == 8  # 8 * (64 + 64) = 0.25 * 64 * 64
    assert CorrectionConfig("whitened", 32, budget=0.0).highest_rank(64, 64) == 0
    error, _, gram, mean = build_problem()
    left, right = factorize(error, gram, mean, CorrectionConfig("whitened", 4, budget=0.0))
    assert (left.shape, right.shape) == ((2, OUTPUTS, 0), (2, 0, INPUTS))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rank": 0}, "correction.rank is 0, expected at least 1"),
        ({"alpha": 1.1}, r"correction.alpha is 1.1, expected a value in \[0, 1\]"),
        ({"budget": -1.0}, "correction.budget is -1.0, expected at least 0"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(ValueError, match=message):
        CorrectionConfig(**values)
