"""Statistics against known values, scipy, and their own promises."""

from __future__ import annotations

import numpy as np
import pytest

from xsd_edge.profiling.statistics import (
    Spread,
    change,
    holm,
    permutation_p,
    proportion,
    ratio,
)


def test_spread() -> None:
    assert Spread.of([]) is None
    spread = Spread.of(range(1, 101))
    assert spread is not None
    assert list(spread) == pytest.approx([100, 50.5, 50.5, 95.05, 99.01, 100])


def test_ratio_is_of_sums_and_its_interval_covers_it() -> None:
    rng = np.random.default_rng(1)
    drafted = rng.uniform(0.8, 1.2, (30, 1))
    found = ratio(drafted * 2, drafted)
    assert found == pytest.approx((2, 2, 2))  # pairs: what both have in common cancels
    noisy = ratio(drafted * rng.uniform(1.5, 2.5, (30, 1)), drafted)
    assert noisy is not None
    assert 1.7 < noisy.low < noisy.value < noisy.high < 2.3
    assert ratio(np.zeros((3, 1)), np.ones((3, 1))) is None
    assert ratio(np.ones((0, 1)), np.ones((0, 1))) is None


def test_ratio_of_rates() -> None:
    """Seconds a token on both sides, from four sums."""
    plain_s, plain_n, drafted_s, drafted_n = 8.0, 4.0, 3.0, 3.0
    upper, lower = np.array([[plain_s, drafted_n]] * 5), np.array([[drafted_s, plain_n]] * 5)
    assert ratio(upper, lower) == pytest.approx((2, 2, 2))


def test_bootstrap_interval_has_its_level() -> None:
    """Of many experiments about 95 % cover the truth (percentile bootstrap of 40: a bit fewer)."""
    rng = np.random.default_rng(2)
    covered = 0
    for seed in range(120):
        lower = rng.gamma(20, 0.05, (40, 1))
        found = ratio(1.5 * rng.gamma(20, 0.05, (40, 1)), lower, seed)
        assert found is not None
        covered += found.low <= 1.5 <= found.high
    assert 0.88 <= covered / 120 <= 1.0


def test_proportion_is_wilsons() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is missing")
    for successes, trials in ((0, 10), (3, 10), (10, 10), (499, 500)):
        found = proportion(successes, trials)
        oracle = stats.binomtest(successes, trials).proportion_ci(method="wilson")
        assert found is not None
        assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high))
    assert proportion(0, 0) is None


def test_permutation_finds_a_difference_and_only_that() -> None:
    rng = np.random.default_rng(3)
    same, other = rng.normal(5, 1, 20), rng.normal(5, 1, 20)
    assert permutation_p(same.tolist(), other.tolist()) > 0.05
    assert permutation_p(same.tolist(), (other + 3).tolist()) < 0.001
    assert permutation_p([1.0, 1.0], [1.0, 1.0]) == 1.0


def test_permutation_is_exact_enough() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is missing")
    rng = np.random.default_rng(4)
    one, other = rng.exponential(1, 15), rng.exponential(1.8, 15)
    oracle = stats.permutation_test(
        (one, other), lambda a, b: a.mean() - b.mean(), n_resamples=20000, rng=5
    )
    assert permutation_p(one.tolist(), other.tolist()) == pytest.approx(oracle.pvalue, abs=0.02)


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_change() -> None:
    found = change([1.0, 1.0, 1.0], [1.5, 1.5, 1.5])
    assert found == pytest.approx((1.5, 1.5, 1.5))
