import numpy as np
import pytest

from textspot.metrics.bootstrap import Difference, count_credits
from textspot.metrics.bootstrap import hmean_difference as credits_difference
from textspot.metrics.matching import Match
from textspot.metrics.rules import Figures, ImageResult, pool_figures


def result(num_right: int, num_words: int, num_detections: int) -> ImageResult:
    matches = tuple(Match((n,), (n,)) for n in range(num_right))
    return ImageResult(Figures(0, 0, 0), matches, np.ones(num_words, bool), np.ones(num_detections, bool))


def draw(num_images: int, share: float, seed: int) -> list[ImageResult]:
    rng = np.random.default_rng(seed)
    words = rng.integers(1, 8, num_images)
    return [result(int(rng.binomial(n, share)), int(n), int(n)) for n in words]


def hmean_difference(ours: list[ImageResult], theirs: list[ImageResult], num_samples: int = 10_000) -> Difference:
    return credits_difference(count_credits(ours), count_credits(theirs), num_samples)


def test_the_value_is_the_difference_of_the_pooled_hmeans():
    ours, theirs = draw(30, 0.5, 0), draw(30, 0.8, 1)
    difference = hmean_difference(ours, theirs, 100)
    assert difference.value == pytest.approx(pool_figures(theirs).hmean - pool_figures(ours).hmean)
    assert hmean_difference(theirs, ours, 100).value == pytest.approx(-difference.value)


def test_the_same_results_do_not_differ_in_any_sample():
    ours = draw(20, 0.5, 0)
    assert hmean_difference(ours, ours, 200) == (0, 0, 0)


def test_the_interval_is_that_of_a_plain_loop():
    ours, theirs = draw(25, 0.5, 0), draw(25, 0.6, 1)
    rng = np.random.default_rng(5)
    differences = []
    for _ in range(3000):
        chosen = rng.integers(0, 25, 25)
        differences.append(pool_figures(theirs[n] for n in chosen).hmean - pool_figures(ours[n] for n in chosen).hmean)
    _, low, high = hmean_difference(ours, theirs, 20_000)
    np.testing.assert_allclose([low, high], np.quantile(differences, [0.025, 0.975]), atol=0.01)


def test_a_constant_gain_is_clear_and_chance_is_not():
    """The interval of pairs: what is hard for both does not widen it."""
    ours = [result(n % 5, 6, 6) for n in range(40)]
    better = [result(n % 5 + 1, 6, 6) for n in range(40)]
    assert hmean_difference(ours, better).is_clear
    assert not hmean_difference(draw(15, 0.5, 0), draw(15, 0.5, 1)).is_clear


@pytest.mark.parametrize("others", [[], draw(3, 0.5, 0)])
def test_results_of_other_images(others):
    with pytest.raises(ValueError, match=f"0 and {len(others)} images"):
        hmean_difference([], others)
