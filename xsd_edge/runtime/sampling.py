"""From logits to the distribution that is sampled: temperature, top-k, top-p, masked tokens, in
fp32.

The target's p and the drafter's q go through the same functions, as losslessness demands.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Probabilities = NDArray[np.float32]
NEVER = np.array(-np.inf, np.float32)  # an array: a number would first be made one
LIKELY = 64  # tokens that are sorted first in search of a nucleus


@dataclass(frozen=True, slots=True)
class Sampling:
    """How tokens are chosen. Temperature 0 is argmax, not a small temperature."""

    temperature: float = 0.0
    top_k: int = 0  # 0: all
    top_p: float = 1.0

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0

    def truncates(self, vocabulary: int) -> bool:
        """Are some of so many tokens cut off?"""
        return 0 < self.top_k < vocabulary or self.top_p < 1.0


def distribution(logits: NDArray[np.float32], sampling: Sampling) -> Probabilities:
    """The distribution sampled from, for one row of logits. [V] -> [V], sums to 1.

    Order as in transformers: temperature, top-k, top-p (smallest set whose mass reaches top_p;
    Holtzman et al. 2020, arXiv 1904.09751). Ties at the top-k border are all kept.
    """
    assert not sampling.greedy
    scaled: Probabilities = logits / np.float32(sampling.temperature)
    if 0 < sampling.top_k < len(scaled):
        border = np.partition(scaled, -sampling.top_k)[-sampling.top_k]
        scaled[scaled < border] = -np.inf
    probabilities = _powers(scaled)
    probabilities /= probabilities.sum(dtype=np.float64)
    return _nucleus(probabilities, sampling.top_p) if sampling.top_p < 1.0 else probabilities


def chance(logits: NDArray[np.float32], token: int, sampling: Sampling) -> float:
    """`distribution(logits, sampling)[token]`, from the row's log-sum-exp where nothing is cut
    off.
    """
    if sampling.truncates(len(logits)):
        return float(distribution(logits, sampling)[token])
    weights = _powers(logits / np.float32(sampling.temperature))
    return float(weights[token] / weights.sum(dtype=np.float64))


def _powers(scaled: NDArray[np.float32]) -> NDArray[np.float32]:
    """exp(x - max x), in place."""
    scaled -= scaled.max()
    return np.exp(scaled, out=scaled)


def _nucleus(probabilities: NDArray[np.float32], top_p: float) -> NDArray[np.float32]:
    """The likeliest tokens are sorted, ever more of them, until their mass suffices: of a large
    vocabulary that is a small part.
    """
    count, size = LIKELY, len(probabilities)
    while True:
        border = np.partition(probabilities, -count)[-count] if count < size else 0.0
        (likely,) = (probabilities >= border).nonzero()
        order = likely[(-probabilities[likely]).argsort(kind="stable")]
        mass = probabilities[order].cumsum(dtype=np.float64)
        if mass[-1] >= top_p or len(order) == size:
            break
        count *= 8
    kept = order[: int(mass.searchsorted(top_p)) + 1]
    nucleus = np.zeros_like(probabilities)
    nucleus[kept] = probabilities[kept] / probabilities[kept].sum(dtype=np.float64)
    return nucleus


def pick(weights: NDArray[np.float32], uniform: float) -> int:
    """The index that `uniform` in [0, 1) selects from unnormalised weights: inverse CDF, fp64."""
    (possible,) = weights.nonzero()
    mass = weights[possible].cumsum(dtype=np.float64)
    assert mass[-1] > 0
    # 'right' finds the first mass above the point; rounding may put the point at the very end.
    at = int(mass.searchsorted(uniform * mass[-1], side="right"))
    return int(possible[min(at, len(possible) - 1)])


def runs_of(tokens: Sequence[int]) -> list[slice]:
    """The same tokens as a few slices: padding rows of a vocabulary stand side by side."""
    runs: list[slice] = []
    for token in sorted(tokens):
        if runs and runs[-1].stop == token:
            runs[-1] = slice(runs[-1].start, token + 1)
        else:
            runs.append(slice(token, token + 1))
    return runs


def mask(logits: NDArray[np.float32], runs: Sequence[slice]) -> None:
    """Forbid tokens in place: padding rows of the vocabulary and placeholders. [k, V]"""
    for run in runs:  # slices write ten times faster than a list of indices
        logits[:, run] = NEVER
