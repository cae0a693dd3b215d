"""Bounds on acceptance hold for any p and q, and the false one does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from xsd_edge.analysis import bounds

Weights = NDArray[np.float64]


def normal(weights: Weights) -> Weights:
    return np.asarray(weights / weights.sum())


some_distribution = arrays(
    np.float64, 7, elements=st.one_of(st.just(0.0), st.floats(1e-6, 1.0))
).filter(lambda w: w.sum() > 0)


@given(some_distribution, some_distribution)
def test_overlap_is_one_minus_total_variation(p: Weights, q: Weights) -> None:
    p, q = normal(p), normal(q)
    assert bounds.overlap(p, q) == pytest.approx(1 - bounds.total_variation(p, q), abs=1e-9)


@given(some_distribution, some_distribution)
def test_every_bound_holds_with_both_divergences(p: Weights, q: Weights) -> None:
    p, q = normal(p), normal(q)
    for kl in (bounds.divergence(p, q), bounds.divergence(q, p)):
        huber = bounds.bretagnolle_huber(kl)
        assert bounds.overlap(p, q) >= bounds.pinsker(kl) - 1e-9
        assert bounds.overlap(p, q) >= huber - 1e-9
        assert huber >= bounds.half_exponential(kl) - 1e-9


@given(some_distribution)
def test_a_drafter_that_proposes_the_argmax_is_accepted_with_two_to_minus_entropy(
    p: Weights,
) -> None:
    p = normal(p)
    best = np.zeros_like(p)
    best[p.argmax()] = 1
    assert bounds.overlap(p, best) >= np.exp(-bounds.entropy(p)) - 1e-9


def test_two_to_minus_entropy_is_no_bound() -> None:
    """The counterexample of docs/lossless.md."""
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.5, 0.5])
    assert np.exp(-bounds.entropy(p)) == pytest.approx(0.5)
    assert bounds.overlap(p, q) == 0


def test_divergence_of_two_coins() -> None:
    p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    assert bounds.divergence(p, q) == pytest.approx(0.5 * np.log(4 / 3))
    assert bounds.divergence(p, p) == 0
    assert bounds.entropy(p) == pytest.approx(np.log(2))
    assert np.isinf(bounds.divergence(p, np.array([1.0, 0.0])))
    assert bounds.pinsker(np.inf) == bounds.bretagnolle_huber(np.inf) == 0
    assert bounds.half_exponential(np.inf) == 0
