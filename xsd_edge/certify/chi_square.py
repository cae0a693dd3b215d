"""The chi-square distribution, central and not, and from it how many draws a test needs.

The device has no scipy; the tests hold these functions to it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

PRECISION = 1e-15
TERMS = 100_000  # of a series; reached by no argument a test here can have


def tail(x: float, freedom: float) -> float:
    """P(X > x) for a chi-square X: the upper regularised incomplete gamma function Q(k/2, x/2)."""
    if x <= 0:
        return 1.0
    if math.isinf(x):
        return 0.0
    a, half = freedom / 2, x / 2
    if half < a + 1:
        return 1.0 - _lower_series(a, half)
    return _upper_fraction(a, half)


def quantile(probability: float, freedom: float) -> float:
    """The x whose tail has this probability."""
    return _root(lambda x: tail(x, freedom) - probability)


def shifted_tail(x: float, freedom: float, shift: float) -> float:
    """P(X > x) for a noncentral chi-square X of noncentrality `shift`.

    A Poisson mixture of central ones (Johnson, Kotz and Balakrishnan, "Continuous Univariate
    Distributions" 2, 29.4), summed outwards from its largest weight.
    """
    mean = shift / 2
    if mean == 0:
        return tail(x, freedom)
    centre = int(mean)
    reach = int(10 * math.sqrt(mean) + 20)  # beyond it the weights sum to less than 1e-15
    total = 0.0
    for j in range(max(0, centre - reach), centre + reach + 1):
        weight = math.exp(j * math.log(mean) - mean - math.lgamma(j + 1))
        total += weight * tail(x, freedom + 2 * j)
    return min(total, 1.0)


def needed_shift(freedom: float, level: float, power: float) -> float:
    """The least noncentrality that a test at `level` finds with probability `power`."""
    critical = quantile(level, freedom)
    return _root(lambda shift: power - shifted_tail(critical, freedom, shift))


@lru_cache
def draws_needed(freedom: float, distance: float, level: float, power: float) -> int:
    """How many draws find a total-variation distance, whatever the distribution and the deviation.

    A distribution at distance d from p has a chi-square divergence of at least 4 d^2: the cheapest
    way to be that far off moves d from one half of the mass to the other, which costs
    d^2 / (P (1 - P)) >= 4 d^2. So n draws have a noncentrality of at least 4 n d^2.
    """
    return math.ceil(needed_shift(freedom, level, power) / (4 * distance**2))


def _lower_series(a: float, x: float) -> float:
    """P(a, x) by its power series (DLMF 8.11.4)."""
    term = total = 1.0 / a
    for n in range(1, TERMS):
        term *= x / (a + n)
        total += term
        if term < total * PRECISION:
            break
    return total * math.exp(a * math.log(x) - x - math.lgamma(a))


def _upper_fraction(a: float, x: float) -> float:
    """Q(a, x) by its continued fraction (DLMF 8.9.2), evaluated by Lentz's method."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = 1 / tiny, 1 / b
    fraction = d
    for n in range(1, TERMS):
        numerator = -n * (n - a)
        b += 2
        d = 1 / (numerator * d + b or tiny)
        c = b + numerator / c or tiny
        fraction *= c * d
        if abs(c * d - 1) < PRECISION:
            break
    return fraction * math.exp(a * math.log(x) - x - math.lgamma(a))


def _root(falling: Callable[[float], float]) -> float:
    """Where a falling function of x > 0 crosses zero, by bisection."""
    low, high = 0.0, 1.0
    while falling(high) > 0:
        low, high = high, high * 2
    for _ in range(200):
        middle = (low + high) / 2
        if falling(middle) > 0:
            low = middle
        else:
            high = middle
        if high - low <= 1e-11 * high:
            break
    return high
