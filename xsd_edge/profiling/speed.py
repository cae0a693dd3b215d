"""What speculation should bring, from measured costs: expected tokens, speed-up, break-even.

Leviathan et al. 2023 (arXiv 2211.17192) with the cost of verifying measured instead of taken as 1.
"""

from __future__ import annotations

from collections.abc import Sequence

STEPS = 60  # of bisection: more than a float's digits


def expected_tokens(alpha: float, gamma: int) -> float:
    """E = (1 - alpha^(gamma+1)) / (1 - alpha): tokens of a round of independent acceptance."""
    return sum(alpha**i for i in range(gamma + 1))


def round_cost(gamma: int, c: float, v: Sequence[float]) -> float:
    """gamma c + v(gamma + 1) in plain steps; v[m - 1] is the cost of a pass of m rows."""
    return gamma * c + v[gamma]


def speedup(alpha: float, gamma: int, c: float, v: Sequence[float]) -> float:
    """S = E / (gamma c + v(gamma + 1)) of decoding."""
    return expected_tokens(alpha, gamma) / round_cost(gamma, c, v)


def break_even(gamma: int, c: float, v: Sequence[float]) -> float | None:
    """The acceptance at which S = 1; None where not even certain acceptance pays for the round.

    0 where a round costs no more than a plain step.
    """
    assert gamma > 0
    cost = round_cost(gamma, c, v)
    if cost >= gamma + 1:
        return None
    low, high = 0.0, 1.0
    for _ in range(STEPS):  # E grows with alpha
        middle = (low + high) / 2
        low, high = (low, middle) if expected_tokens(middle, gamma) >= cost else (middle, high)
    return high if cost > 1 else 0.0
