"""Distributions against transformers' definitions, written out slowly."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xsd_edge.runtime.sampling import Sampling, chance, distribution, mask, pick, runs_of


def slow_distribution(logits: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Temperature, then top-k, then the smallest likeliest set that reaches top_p."""
    scores = {i: float(v) / sampling.temperature for i, v in enumerate(logits)}
    order = sorted(scores, key=lambda i: -scores[i])
    if sampling.top_k:
        order = order[: sampling.top_k]
    best = scores[order[0]]
    weights = {i: np.exp(scores[i] - best) for i in order}
    whole = sum(weights.values())
    kept, mass = [], 0.0
    for i in order:
        kept.append(i)
        mass += weights[i] / whole
        if mass >= sampling.top_p:
            break
    out = np.zeros(len(logits))
    for i in kept:
        out[i] = weights[i]
    return np.asarray(out / out.sum())


@settings(max_examples=200, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.3, 0.7, 1.0, 1.8]),
    st.sampled_from([0, 1, 3, 10]),
    st.sampled_from([0.1, 0.5, 0.9, 0.999, 1.0]),
    st.sampled_from([24, 1500]),
)
def test_distribution_is_the_slow_ones(
    seed: int, temperature: float, top_k: int, top_p: float, size: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 3, size).astype(np.float32)
    sampling = Sampling(temperature, top_k, top_p)
    given = logits.copy()
    made = distribution(logits, sampling)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made, slow_distribution(logits, sampling), atol=1e-6)
    token = int(rng.integers(size))
    assert chance(logits, token, sampling) == pytest.approx(made[token], abs=1e-7)
    assert np.array_equal(logits, given)


def test_a_nucleus_keeps_the_first_of_equal_tokens() -> None:
    made = distribution(np.zeros(200, np.float32), Sampling(1.0, top_p=0.4975))
    assert np.flatnonzero(made).tolist() == list(range(100))


def test_masked_tokens_have_no_probability() -> None:
    logits = np.array([[1.0, 9.0, 2.0]], np.float32)
    mask(logits, runs_of([1]))
    made = distribution(logits[0], Sampling(1.0))
    assert made[1] == 0
    assert made.sum() == pytest.approx(1)


@pytest.mark.parametrize("uniform", [0.0, 0.2499, 0.25, 0.999999, np.nextafter(1, 0)])
def test_pick_inverts_the_cdf_and_never_takes_a_zero(uniform: float) -> None:
    weights = np.array([0.0, 1.0, 0.0, 3.0, 0.0], np.float32)
    assert pick(weights, uniform) == (1 if uniform < 0.25 else 3)


@given(st.sets(st.integers(0, 40)))
def test_runs_are_the_same_tokens(tokens: set[int]) -> None:
    runs = runs_of(list(tokens))
    assert [t for run in runs for t in range(run.start, run.stop)] == sorted(tokens)
    assert all(a.stop < b.start for a, b in pairwise(runs))


def test_greedy_has_no_distribution() -> None:
    with pytest.raises(AssertionError):
        distribution(np.zeros(3, np.float32), Sampling())
