"""The verifier against the exact distribution: chi-square on small vocabularies, properties on
random p and q.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xsd_edge.runtime.sampling import Sampling, distribution, pick
from xsd_edge.runtime.verifier import (
    Drawn,
    ExactMatchVerifier,
    GreedyVerifier,
    Proposal,
    RejectionVerifier,
    Verdict,
    residual,
    verifier_for,
)

T1 = Sampling(temperature=1.0)
# 99.99 % quantiles of chi-square by degrees of freedom: a seeded run that exceeds them is a bug.
CHI2_9999 = {1: 15.14, 2: 18.42, 3: 21.11, 4: 23.51, 5: 25.74, 7: 29.88, 15: 44.26, 24: 58.61}


def logits_of(p: NDArray[np.float64]) -> NDArray[np.float32]:
    with np.errstate(divide="ignore"):
        return np.log(p).astype(np.float32)


def chi_square(counts: NDArray[np.int64], p: NDArray[np.float64]) -> tuple[float, int]:
    """Pearson's statistic over the possible outcomes; impossible ones must not occur at all."""
    assert counts[p == 0].sum() == 0
    possible = p > 0
    expected = counts.sum() * p[possible]
    return float(((counts[possible] - expected) ** 2 / expected).sum()), int(possible.sum()) - 1


def emitted(
    p: NDArray[np.float64], q: NDArray[np.float64], mode: str, rounds: int, seed: int
) -> NDArray[np.int64]:
    """How often each token comes first when one token is drafted from q and judged by p."""
    rng, drawing = np.random.default_rng(seed), np.random.default_rng(seed + 1)
    verifier = verifier_for(T1, mode, rng)
    logits = np.stack([logits_of(p), logits_of(p)])
    support = np.arange(len(p))
    counts = np.zeros(len(p), np.int64)
    for _ in range(rounds):
        drafted = pick(q.astype(np.float32), drawing.random())
        verdict = verifier.judge(logits, Proposal((drafted,), q.astype(np.float32)[None], support))
        counts[drafted if verdict.accepted else verdict.token] += 1
    return counts


CASES = {
    "near": ([0.5, 0.3, 0.2], [0.4, 0.4, 0.2]),
    "equal": ([0.25, 0.25, 0.5], [0.25, 0.25, 0.5]),
    "disjoint": ([0.6, 0.4, 0.0, 0.0], [0.0, 0.0, 0.3, 0.7]),
    "q has zeros": ([0.1, 0.2, 0.3, 0.4], [0.0, 0.5, 0.5, 0.0]),
    "p has zeros": ([0.0, 0.5, 0.5, 0.0], [0.1, 0.2, 0.3, 0.4]),
    "point mass": ([0.2, 0.5, 0.3], [0.0, 1.0, 0.0]),
}


@pytest.mark.parametrize("mode", ["rejection", "exact-match"])
@pytest.mark.parametrize("case", CASES)
def test_first_token_has_the_targets_distribution(case: str, mode: str) -> None:
    p, q = (np.array(x, np.float64) for x in CASES[case])
    statistic, freedom = chi_square(emitted(p, q, mode, 20_000, seed=5), p)
    assert statistic < CHI2_9999[freedom]


def test_chi_square_catches_a_verifier_that_accepts_everything() -> None:
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.4, 0.2])
    drawing = np.random.default_rng(0)
    counts = np.bincount(
        [pick(q.astype(np.float32), drawing.random()) for _ in range(20_000)], minlength=3
    )
    statistic, freedom = chi_square(counts, p)
    assert statistic > CHI2_9999[freedom]


def test_two_tokens_have_the_joint_distribution() -> None:
    """Draft two, judge both: (first, second) is distributed as p1 x p2 whatever q was."""
    p = np.array([[0.5, 0.3, 0.2], [0.1, 0.6, 0.3], [0.2, 0.2, 0.6]])
    q = np.array([[0.2, 0.5, 0.3], [0.3, 0.3, 0.4]], np.float32)
    rng, drawing = np.random.default_rng(3), np.random.default_rng(4)
    verifier, after = RejectionVerifier(T1, rng), np.random.default_rng(6)
    counts = np.zeros((3, 3), np.int64)
    logits = np.stack([logits_of(row) for row in p])
    for _ in range(30_000):
        drafts = tuple(pick(row, drawing.random()) for row in q)
        verdict = verifier.judge(logits, Proposal(drafts, q, np.arange(3)))
        said = (*drafts[: verdict.accepted], verdict.token)
        # A round that ends after one token goes on with the target's own next step.
        second = said[1] if len(said) > 1 else pick(p[1].astype(np.float32), after.random())
        counts[said[0], second] += 1
    statistic, freedom = chi_square(counts.ravel(), np.outer(p[0], p[1]).ravel())
    assert freedom == 8
    assert statistic < 35.0  # the 99.997 % quantile at 8 degrees of freedom


@st.composite
def pairs(draw: st.DrawFn) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = draw(st.integers(2, 12))
    weight = st.one_of(st.just(0.0), st.floats(1e-6, 1.0))

    def one() -> NDArray[np.float64]:
        raw = np.array(draw(st.lists(weight, min_size=size, max_size=size)))
        if raw.sum() == 0:
            raw[draw(st.integers(0, size - 1))] = 1.0
        return np.asarray(raw / raw.sum(), np.float64)

    p = one()
    return p, p if draw(st.booleans()) else one()


@settings(max_examples=300, deadline=None)
@given(pairs())
def test_accept_and_residual_add_up_to_p(
    pair: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> None:
    """min(p, q) + P(reject) * residual / mass = p, exactly what makes the rule lossless."""
    p64, q64 = pair
    p, q = distribution(logits_of(p64), T1), q64.astype(np.float32)
    left = residual(p, Drawn(np.arange(len(p)), q, 0.0)).astype(np.float64)
    accepted = np.minimum(p, q).astype(np.float64)
    rejected = 1.0 - accepted.sum()
    total = accepted + max(rejected, 0.0) * left / left.sum()
    np.testing.assert_allclose(total, p, atol=2e-6)


@settings(max_examples=200, deadline=None)
@given(pairs(), st.integers(0, 2**32 - 1))
def test_no_impossible_token_is_ever_emitted(
    pair: tuple[NDArray[np.float64], NDArray[np.float64]], seed: int
) -> None:
    p, q = pair
    for mode in ("rejection", "exact-match"):
        emitted_counts = emitted(p, q, mode, 20, seed)
        tiny = distribution(logits_of(p), T1) == 0
        assert emitted_counts[tiny].sum() == 0


def test_residual_of_equal_distributions_falls_back_to_p() -> None:
    p = np.array([0.25, 0.75], np.float32)
    np.testing.assert_array_equal(residual(p, Drawn(np.arange(2), p.copy(), 0.0)), p)


def test_deterministic_proposal_is_accepted_with_p() -> None:
    p = np.array([0.7, 0.3])
    verifier = RejectionVerifier(T1, np.random.default_rng(1))
    logits = np.stack([logits_of(p)] * 2)
    counts = np.zeros(2, np.int64)
    accepted = 0
    for _ in range(20_000):
        verdict = verifier.judge(logits, Proposal((1,)))
        accepted += verdict.accepted
        counts[1 if verdict.accepted else verdict.token] += 1
    assert abs(accepted / 20_000 - 0.3) < 0.015
    statistic, freedom = chi_square(counts, p)
    assert statistic < CHI2_9999[freedom]


def test_drafts_outside_the_reduced_vocabulary_leave_p_untouched_there() -> None:
    p = np.array([0.1, 0.2, 0.3, 0.4])
    q = np.array([[0.5, 0.5]], np.float32)  # over tokens 3 and 1
    support = np.array([3, 1])
    rng, drawing = np.random.default_rng(8), np.random.default_rng(9)
    verifier = RejectionVerifier(T1, rng)
    logits = np.stack([logits_of(p)] * 2)
    counts = np.zeros(4, np.int64)
    for _ in range(20_000):
        drafted = int(support[pick(q[0], drawing.random())])
        verdict = verifier.judge(logits, Proposal((drafted,), q, support))
        counts[drafted if verdict.accepted else verdict.token] += 1
    statistic, freedom = chi_square(counts, p)
    assert statistic < CHI2_9999[freedom]


@pytest.mark.parametrize("mode", ["rejection", "exact-match"])
def test_rows_behind_a_rejection_are_never_read(mode: str) -> None:
    """Row 1 cannot say what is drafted there; arithmetic on the NaNs behind it would warn."""
    logits = np.full((4, 5), np.nan, np.float32)
    logits[:2] = -np.inf
    logits[0, 3] = logits[1, 4] = 0.0
    for sampling in (T1, Sampling(1.0, top_k=2), Sampling(1.0, top_p=0.9)):
        verifier = verifier_for(sampling, mode, np.random.default_rng(0))
        assert verifier.judge(logits, Proposal((3, 0, 1))) == Verdict(1, 4)


def test_exact_match_reproduces_the_plain_stream() -> None:
    """With one generator, drafted or not, the same tokens come out."""
    rng = np.random.default_rng(11)
    logits = rng.normal(size=(9, 20)).astype(np.float32)
    plain = ExactMatchVerifier(T1, np.random.default_rng(12))
    stream = [plain.judge(row[None], Proposal(())).token for row in logits]
    drafted = ExactMatchVerifier(T1, np.random.default_rng(12))
    said: list[int] = []
    while len(said) < len(stream):
        gamma = min(3, len(stream) - len(said) - 1)
        guess = tuple(
            token if rng.random() < 0.7 else 0 for token in stream[len(said) : len(said) + gamma]
        )
        verdict = drafted.judge(logits[len(said) :], Proposal(guess))
        said += [*guess[: verdict.accepted], verdict.token]
    assert said == stream


@pytest.mark.parametrize(
    ("drafts", "verdict"),
    [((), Verdict(0, 2)), ((2,), Verdict(1, 0)), ((1,), Verdict(0, 2)), ((2, 0, 9), Verdict(2, 1))],
)
def test_greedy_accepts_the_argmax_and_nothing_else(
    drafts: tuple[int, ...], verdict: Verdict
) -> None:
    logits = np.array([[0, 1, 2], [5, 1, 2], [0, 7, 2], [0, 0, 1]], np.float32)
    assert GreedyVerifier().judge(logits, Proposal(drafts)) == verdict
