"""Acceptance at one prefix, and what divergences promise about it."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Distribution: TypeAlias = NDArray[np.floating]  # [V], sums to 1


def overlap(p: Distribution, q: Distribution) -> float:
    """The chance that a draft x ~ q is accepted: sum of min(p, q) = 1 - TV(p, q).

    Leviathan et al. 2023, arXiv 2211.17192, corollary 3.6.
    """
    return float(np.minimum(p, q).sum(dtype=np.float64))


def total_variation(p: Distribution, q: Distribution) -> float:
    """Half the L1 distance, in 0..1."""
    return float(np.abs(p.astype(np.float64) - q).sum()) / 2


def entropy(p: Distribution) -> float:
    """Shannon entropy in nats."""
    some = p[p > 0].astype(np.float64)
    return float(-(some * np.log(some)).sum())


def divergence(p: Distribution, q: Distribution) -> float:
    """KL(p || q) in nats; infinite where p says what q cannot."""
    at = p > 0
    if (q[at] <= 0).any():
        return float("inf")
    some = p[at].astype(np.float64)
    return max(float((some * np.log(some / q[at].astype(np.float64))).sum()), 0.0)


def pinsker(kl: float) -> float:
    """overlap >= 1 - sqrt(KL / 2) (Pinsker); says nothing from KL = 2 nats on, then 0."""
    return max(1 - float(np.sqrt(kl / 2)), 0.0)


def bretagnolle_huber(kl: float) -> float:
    """overlap >= 1 - sqrt(1 - e^-KL) (Bretagnolle and Huber 1979); never quite nothing."""
    return 1 - float(np.sqrt(-np.expm1(-kl)))


def half_exponential(kl: float) -> float:
    """overlap >= e^-KL / 2, which follows from Bretagnolle-Huber and is always the weaker."""
    return float(np.exp(-kl)) / 2
