"""The theory of speculation, against its closed forms and worked examples."""

from __future__ import annotations

import pytest

from xsd_edge.profiling.speed import break_even, expected_tokens, speedup


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.7, 0.95])
@pytest.mark.parametrize("gamma", [1, 3, 8])
def test_expected_tokens_is_leviathans(alpha: float, gamma: int) -> None:
    assert expected_tokens(alpha, gamma) == pytest.approx((1 - alpha ** (gamma + 1)) / (1 - alpha))


def test_certain_acceptance_brings_all() -> None:
    assert expected_tokens(1.0, 5) == 6


@pytest.mark.parametrize(
    ("alpha", "c", "v", "expected"),
    [
        (0.7, 0.68, 1, 0.75),
        (0.7, 0.05, 1, 2.31),
        (0.7, 0.05, 2, 1.26),
        (0.8, 0.05, 2, 1.53),
        (0.5, 0.05, 2, 0.88),
        (0.034, 0.68, 1, 0.28),
    ],
)
def test_speedup_at_four_drafts(alpha: float, c: float, v: float, expected: float) -> None:
    assert speedup(alpha, 4, c, [1, v, v, v, v]) == pytest.approx(expected, abs=0.006)


@pytest.mark.parametrize(
    ("c", "v", "expected"),
    [(0.05, 1, 0.13), (0.05, 1.7, 0.49), (0.05, 2, 0.59), (0.1, 2, 0.64), (0.1, 2.5, 0.77)],
)
def test_break_even_at_three_drafts(c: float, v: float, expected: float) -> None:
    found = break_even(3, c, [1, v, v, v])
    assert found == pytest.approx(expected, abs=0.01)
    assert found is not None
    assert speedup(found, 3, c, [1, v, v, v]) == pytest.approx(1.0)


def test_break_even_ends() -> None:
    assert break_even(2, 0.0, [1, 1, 1]) == 0.0
    assert break_even(2, 0.1, [1, 2, 2.9]) is None
    assert break_even(1, 0.5, [1, 1.2]) == pytest.approx(0.7)
