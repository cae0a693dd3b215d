"""The lossless verifier: decides which drafted tokens stand, and which token follows them.

Two rules keep the target's distribution exactly (docs/lossless.md has the proofs):
rejection sampling (Leviathan et al. 2023, arXiv 2211.17192; Chen et al. 2023, arXiv 2302.01318)
accepts x ~ q with min(1, p(x) / q(x)) and else draws from max(0, p - q) / Z; exact match draws y ~
p and goes on while y is the draft, which reproduces the plain token stream with a shared random
generator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.sampling import Probabilities, Sampling, chance, distribution, pick


class Proposal(NamedTuple):
    """g drafted tokens, and the distribution each was drawn from.

    `weights[i, j]` is q of token `support[j]` at position i, zero outside the support. Without
    weights the tokens are a deterministic proposal: q is a point mass on each.
    """

    tokens: tuple[int, ...]
    weights: Probabilities | None = None  # [g, Vd]
    support: NDArray[np.int64] | None = None  # [Vd], distinct token ids


NOTHING = Proposal(())


class Verdict(NamedTuple):
    """The first `accepted` drafts stand, then comes `token`, which is the target's own choice."""

    accepted: int
    token: int


class Verifier(Protocol):
    """Judges a proposal by the target's logits at its g + 1 rows."""

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        """`logits[i]` [V] predicts what stands at drafted position i; the last row what follows
        them all.
        """


class GreedyVerifier:
    """Temperature 0: a draft stands where it is the target's argmax."""

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        for position, drafted in enumerate(proposal.tokens):
            best = int(logits[position].argmax())
            if best != drafted:
                return Verdict(position, best)
        return Verdict(len(proposal.tokens), int(logits[len(proposal.tokens)].argmax()))


@dataclass
class RejectionVerifier:
    """Speculative sampling at temperature > 0."""

    sampling: Sampling
    rng: np.random.Generator

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        for position, drafted in enumerate(proposal.tokens):
            q = _drawn_from(proposal, position, drafted)
            # u < p/q without the division: a draft of q = 0 cannot have been drawn.
            if self.rng.random() * q.of_drafted < chance(logits[position], drafted, self.sampling):
                continue
            left = residual(distribution(logits[position], self.sampling), q)
            return Verdict(position, pick(left, self.rng.random()))
        p = distribution(logits[len(proposal.tokens)], self.sampling)
        return Verdict(len(proposal.tokens), pick(p, self.rng.random()))


@dataclass
class ExactMatchVerifier:
    """Draws from the target and keeps drafts that agree: one uniform per emitted token, as plain
    decoding.
    """

    sampling: Sampling
    rng: np.random.Generator

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        for position in range(len(proposal.tokens) + 1):
            p = distribution(logits[position], self.sampling)
            drawn = pick(p, self.rng.random())
            if position == len(proposal.tokens) or drawn != proposal.tokens[position]:
                return Verdict(position, drawn)
        raise AssertionError("unreachable: the last row always returns")


class Drawn(NamedTuple):
    """One position's q, on its support."""

    tokens: NDArray[np.int64]  # [Vd]
    weights: Probabilities  # [Vd]
    of_drafted: float


def _drawn_from(proposal: Proposal, position: int, drafted: int) -> Drawn:
    if proposal.weights is None or proposal.support is None:
        one = np.ones(1, np.float32)
        return Drawn(np.array([drafted], np.int64), one, 1.0)
    weights = proposal.weights[position]
    at = proposal.support == drafted
    assert at.any(), "a draft outside its own support"
    return Drawn(proposal.support, weights, float(weights[at][0]))


def residual(p: Probabilities, q: Drawn) -> Probabilities:
    """max(0, p - q), unnormalised. [V]

    Its mass is P(reject), so a rejection at zero mass can only come from rounding (p = q to the
    last bit); then p itself is the limit distribution.
    """
    left = p.copy()
    left[q.tokens] -= q.weights
    np.maximum(left, 0.0, out=left)
    return left if left.any() else p


def verifier_for(sampling: Sampling, mode: str, rng: np.random.Generator) -> Verifier:
    """`mode` is "rejection" or "exact-match"; greedy decoding needs neither."""
    if sampling.greedy:
        return GreedyVerifier()
    if mode == "exact-match":
        return ExactMatchVerifier(sampling, rng)
    return RejectionVerifier(sampling, rng)
