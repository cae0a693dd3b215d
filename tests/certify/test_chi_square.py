"""The chi-square functions against scipy, and the sample size against simulated tests."""

from __future__ import annotations

import numpy as np
import pytest

from xsd_edge.certify.chi_square import (
    draws_needed,
    needed_shift,
    quantile,
    shifted_tail,
    tail,
)

FREEDOMS = (1, 2, 3, 7, 11, 44, 352, 2000)


@pytest.mark.parametrize("freedom", FREEDOMS)
def test_tail_is_scipys(freedom: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    for x in (0.0, 1e-9, 0.5, 1.0, freedom * 0.5, freedom, freedom + 1.0, freedom * 2.0, 300.0):
        assert tail(x, freedom) == pytest.approx(stats.chi2.sf(x, freedom), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("probability", [0.5, 0.01, 1e-4, 1e-9])
def test_quantile_is_scipys(freedom: int, probability: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.chi2.isf(probability, freedom)
    assert quantile(probability, freedom) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("freedom", FREEDOMS)
@pytest.mark.parametrize("shift", [0.0, 0.3, 20.0, 150.0, 900.0])
def test_shifted_tail_is_scipys(freedom: int, shift: float) -> None:
    stats = pytest.importorskip("scipy.stats")
    for x in (0.5, freedom + shift, freedom + 1.5 * shift + 10):
        expected = stats.ncx2.sf(x, freedom, shift) if shift else stats.chi2.sf(x, freedom)
        assert shifted_tail(x, freedom, shift) == pytest.approx(expected, rel=1e-7, abs=1e-12)


def test_far_tails_are_zero_and_never_negative() -> None:
    assert 0 <= tail(5_000, 11) < 1e-300
    assert tail(float("inf"), 3) == 0


@pytest.mark.parametrize(("freedom", "level", "power"), [(1, 0.01, 0.99), (352, 1e-3, 0.995)])
def test_needed_shift_gives_the_power(freedom: int, level: float, power: float) -> None:
    shift = needed_shift(freedom, level, power)
    assert shifted_tail(quantile(level, freedom), freedom, shift) == pytest.approx(power, abs=1e-9)


def test_sample_size_for_one_degree_of_freedom_is_the_textbooks() -> None:
    """(z(0.995) + z(0.99))^2 / (4 * 0.02^2)"""
    assert draws_needed(1, 0.02, 0.01, 0.99) == pytest.approx(15_019, abs=2)


def test_that_many_draws_do_find_the_cheapest_deviation() -> None:
    """2000 simulated tests of a distribution that is off by 0.02 in the hardest way."""
    p = np.array([0.2, 0.3, 0.1, 0.4])
    off = p + 0.02 * np.array([0.4, 0.6, -0.2, -0.8])  # between two halves, in proportion to p
    assert np.abs(off - p).sum() / 2 == pytest.approx(0.02)
    draws = draws_needed(3, 0.02, 0.01, 0.99)
    critical = quantile(0.01, 3)
    rng = np.random.default_rng(1)

    def share_found(q: np.ndarray) -> float:
        counts = rng.multinomial(draws, q, size=2000)
        g = 2 * (counts * np.log(counts / (draws * p))).sum(1)
        return float((g > critical).mean())

    assert share_found(off) == pytest.approx(0.99, abs=0.01)
    assert share_found(p) == pytest.approx(0.01, abs=0.01)
