"""The G-test of drawn outcomes against their probabilities, summed over contexts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xsd_edge.certify.chi_square import draws_needed, tail

DISTANCE = 0.02  # the total-variation distance that a test must find
LEVEL = 0.01  # how often it may find one that is not there
POWER = 0.99  # how often it finds one that is
OWN_BINS = 8  # for a context's likeliest outcomes
POOLED_BINS = 4  # for all others
MOST_FREEDOM = OWN_BINS + POOLED_BINS - 1  # of one context
LEAST_EXPECTED = 20.0  # draws of a bin, where G still follows its limit distribution

Outcome = tuple[int, ...]  # tokens; a shorter one stands for all that begin so


@dataclass(frozen=True, slots=True)
class Found:
    """G of one context, or of several together: independent ones add up."""

    g: float = 0.0
    freedom: int = 0
    draws: int = 0

    @property
    def p(self) -> float:
        """How likely so large a G is where nothing is wrong."""
        return tail(self.g, self.freedom) if self.freedom else 1.0

    def __add__(self, other: Found) -> Found:
        return Found(self.g + other.g, self.freedom + other.freedom, self.draws + other.draws)


def draws_for(contexts: int, level: float = LEVEL) -> int:
    """Draws of one test over so many contexts, all in all.

    A verdict has two stages (a test that flags is drawn again), so each has half of the error that
    POWER leaves. Contexts' distances count by their root mean square.
    """
    return draws_needed(contexts * MOST_FREEDOM, DISTANCE, level, 1 - (1 - POWER) / 2)


def g_of(
    counts: Mapping[Outcome, int],
    probabilities: Mapping[Outcome, float],
    lean: Sequence[float] | NDArray[np.float64],
) -> Found:
    """G = 2 sum O ln(O / E) over bins of one context's outcomes.

    `lean` says of each outcome how much likelier the drafter proposed it than the target: what a
    wrong verifier moves, it moves along that ratio, so rare outcomes are pooled by it. An outcome
    that has no probability makes G infinite.
    """
    outcomes = list(probabilities)
    p = np.array([probabilities[outcome] for outcome in outcomes], np.float64)
    draws = sum(counts.values())
    if set(counts) - {outcome for outcome, q in probabilities.items() if q > 0}:
        return Found(math.inf, max(len(outcomes) - 1, 1), draws)
    bins = bins_of(p, np.asarray(lean, np.float64), draws)
    observed = np.bincount(bins, [counts.get(outcome, 0) for outcome in outcomes])
    expected = np.bincount(bins, p) * (draws / p.sum())
    some = observed > 0
    g = 2.0 * float((observed[some] * np.log(observed[some] / expected[some])).sum())
    return Found(max(g, 0.0), len(expected) - 1, draws)


def bins_of(p: NDArray[np.float64], lean: NDArray[np.float64], draws: int) -> NDArray[np.intp]:
    """Which bin each outcome belongs to: likely ones have their own, the others share by `lean`."""
    order = np.argsort(-p, kind="stable")
    own = order[: int((p[order[:OWN_BINS]] * draws >= LEAST_EXPECTED).sum())]
    bins = np.zeros(len(p), np.intp)
    bins[own] = np.arange(len(own))
    rest = np.setdiff1d(order, own)
    mass = p[rest].sum()
    shared = min(POOLED_BINS, int(mass * draws / LEAST_EXPECTED))
    if shared == 0:  # too rare even together: they join the least likely of the others
        bins[rest] = max(len(own) - 1, 0)
        return bins
    group, filled = len(own), 0.0
    for index in rest[np.argsort(lean[rest], kind="stable")]:
        if filled >= mass / shared and group < len(own) + shared - 1:
            group, filled = group + 1, 0.0
        bins[index] = group
        filled += p[index]
    return _last_filled(bins, p * draws)


def _last_filled(bins: NDArray[np.intp], expected: NDArray[np.float64]) -> NDArray[np.intp]:
    """Coarse outcomes can leave too little for the last bin: then it joins the one before."""
    last = bins.max()
    if last and expected[bins == last].sum() < LEAST_EXPECTED:
        bins[bins == last] = last - 1
    return bins
