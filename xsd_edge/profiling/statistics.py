"""Numbers out of many measurements: percentiles, intervals by resampling, tests of difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
LEVEL = 0.95
Z = 1.959963984540054  # of a two-sided normal interval at LEVEL


class Spread(NamedTuple):
    """How a stage's duration is spread, in the unit of what was given."""

    n: int
    mean: float
    p50: float
    p95: float
    p99: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """None for no values: an average of nothing is not 0."""
        if not len(values):
            return None
        array = np.asarray(values, np.float64)
        p50, p95, p99 = np.percentile(array, (50, 95, 99))
        return cls(len(array), *map(float, (array.mean(), p50, p95, p99, array.max())))


class Estimate(NamedTuple):
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


def ratio(upper: NDArray[np.float64], lower: NDArray[np.float64], seed: int = 0) -> Estimate | None:
    """The ratio of two products of sums, with a percentile bootstrap over paired rows.

    upper, lower [n, k]: row i holds the k factors that pair i adds to each sum; the ratio is
    prod_k(sum_i upper) / prod_k(sum_i lower). Rows are resampled whole, so what belongs to one
    clip stays together (Efron and Tibshirani 1993, chapters 8 and 13). None where a sum is 0.
    """
    assert upper.shape == lower.shape
    if not len(upper) or not (upper.sum(0).all() and lower.sum(0).all()):
        return None
    value = float(upper.sum(0).prod() / lower.sum(0).prod())
    rows = np.random.default_rng(seed).integers(0, len(upper), (RESAMPLES, len(upper)))
    over, under = upper[rows].sum(1).prod(1), lower[rows].sum(1).prod(1)
    drawn = over[under > 0] / under[under > 0]
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(value, float(low), float(high))


def proportion(successes: int, trials: int) -> Estimate | None:
    """A share with Wilson's score interval (Wilson 1927): honest near 0 and 1, and for few."""
    if not trials:
        return None
    share, z2 = successes / trials, Z * Z
    middle = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    spread = share * (1 - share) / trials + z2 / (4 * trials * trials)
    half = Z * float(np.sqrt(spread)) / (1 + z2 / trials)
    return Estimate(share, max(middle - half, 0.0), min(middle + half, 1.0))


def change(before: Sequence[float], after: Sequence[float], seed: int = 0) -> Estimate:
    """Mean of `after` over mean of `before`, with a bootstrap interval."""
    rng = np.random.default_rng(seed)
    means = [
        np.asarray(values)[rng.integers(0, len(values), (RESAMPLES, len(values)))].mean(1)
        for values in (before, after)
    ]
    drawn = means[1][means[0] > 0] / means[0][means[0] > 0]
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return Estimate(float(np.mean(after) / np.mean(before)), float(low), float(high))


def permutation_p(before: Sequence[float], after: Sequence[float], seed: int = 0) -> float:
    """How often a random split of all values differs in mean at least as much: a two-sided
    permutation test, with the observed split counted (Phipson and Smyth 2010), so never 0.
    """
    values = np.concatenate([np.asarray(before, np.float64), np.asarray(after, np.float64)])
    count = len(before)
    seen = abs(values[:count].mean() - values[count:].mean())
    shuffled = np.random.default_rng(seed).permuted(np.tile(values, (RESAMPLES, 1)), axis=1)
    differs = np.abs(shuffled[:, :count].mean(1) - shuffled[:, count:].mean(1))
    return float((1 + np.count_nonzero(differs >= seen * (1 - 1e-12))) / (RESAMPLES + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that hold for all tests together (Holm 1979)."""
    adjusted, floor = [1.0] * len(p_values), 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = floor
    return adjusted
