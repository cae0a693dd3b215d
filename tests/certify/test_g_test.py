"""The G-test: bins, pooling of rare outcomes, and what it finds and lets pass."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsd_edge.certify.g_test import (
    LEAST_EXPECTED,
    MOST_FREEDOM,
    Found,
    Outcome,
    bins_of,
    draws_for,
    g_of,
)


def outcomes(p: np.ndarray) -> dict[Outcome, float]:
    return {(token,): float(mass) for token, mass in enumerate(p)}


def drawn(p: np.ndarray, draws: int, seed: int) -> dict[Outcome, int]:
    counts = np.random.default_rng(seed).multinomial(draws, p)
    return {(token,): int(count) for token, count in enumerate(counts) if count}


def zipf(size: int) -> np.ndarray:
    weights = 1 / np.arange(1, size + 1)
    return np.asarray(weights / weights.sum())


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=60),
    st.integers(100, 50_000),
    st.integers(0, 99),
)
def test_every_bin_expects_enough_draws(weights: list[float], draws: int, seed: int) -> None:
    p = np.array(weights) / sum(weights)
    bins = bins_of(p, np.random.default_rng(seed).random(len(p)), draws)
    expected = np.bincount(bins, p) * draws
    assert len(expected) <= MOST_FREEDOM + 1
    assert expected.min() >= min(LEAST_EXPECTED, draws) * (1 - 1e-9)


def test_likely_outcomes_have_bins_of_their_own() -> None:
    p = np.array([0.4, 0.3, 0.2, 0.05, 0.05], np.float64)
    assert len(set(bins_of(p, np.zeros(5), 1000))) == 5


def test_rare_outcomes_are_pooled_by_how_the_drafter_leans() -> None:
    p = np.full(400, 1 / 400)
    lean = np.asarray(np.arange(400) % 7, np.float64)
    bins = bins_of(p, lean, 800)
    rest = np.arange(400)[bins >= bins.max() - 2]
    assert lean[bins == bins.max()].min() >= lean[rest][bins[rest] < bins.max()].max()


@pytest.mark.parametrize("seed", range(5))
def test_right_draws_pass_and_p_values_are_spread(seed: int) -> None:
    p = zipf(300)
    values = [g_of(drawn(p, 5000, 100 * seed + n), outcomes(p), np.zeros(300)).p for n in range(40)]
    assert 0.25 < np.mean(values) < 0.75
    assert min(values) > 1e-5


def test_a_moved_distribution_is_found_also_among_rare_outcomes() -> None:
    """All of it lies where no outcome has a bin of its own; the lean is what tells."""
    p = np.full(1000, 1e-3)
    lean = np.where(np.arange(1000) % 2, 1.5, 0.5)
    found = g_of(drawn(p * (0.9 + 0.2 * (lean > 1)), 20_000, 1), outcomes(p), lean)
    assert found.p < 1e-6


def test_an_impossible_outcome_is_never_forgiven() -> None:
    found = g_of({(0,): 10_000, (5,): 1}, {(0,): 1.0}, [0.0])
    assert math.isinf(found.g)
    assert found.p == 0
    assert g_of({(0,): 10, (1,): 1}, {(0,): 1.0, (1,): 0.0}, [0.0, 0.0]).p == 0


def test_a_sure_outcome_has_nothing_to_test() -> None:
    found = g_of({(0,): 500}, {(0,): 1.0}, [0.0])
    assert (found.g, found.freedom, found.p) == (0.0, 0, 1.0)


def test_contexts_add_up() -> None:
    assert Found(3.0, 2, 100) + Found(4.0, 5, 50) == Found(7.0, 7, 150)


def test_draws_grow_with_contexts_slower_than_they() -> None:
    assert draws_for(1) < draws_for(24) < 24 * draws_for(1) / 3
    assert draws_for(1, 1e-4) > draws_for(1)
