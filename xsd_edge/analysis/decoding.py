"""What p and q were wherever a draft was judged, collected while answers are really decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.analysis import bounds
from xsd_edge.runtime.sampling import Sampling, distribution
from xsd_edge.runtime.verifier import Proposal, Verdict, Verifier

TEMPERATURE = Sampling(temperature=1.0)


class Prefix(NamedTuple):
    """One prefix at which a draft was judged. Entropies and divergences in nats."""

    position: int  # in its round, the first draft is 0
    accepted: bool
    target_entropy: float
    drafter_entropy: float
    overlap: float
    kl_pq: float  # infinite where the reduced draft vocabulary leaves out something that p says
    kl_qp: float


@dataclass
class Recorder:
    """A verifier that decides as the one inside it, and writes down p and q on the way."""

    inner: Verifier
    prefixes: list[Prefix] = field(default_factory=list)

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        verdict = self.inner.judge(logits, proposal)
        for position in range(min(verdict.accepted + 1, len(proposal.tokens))):
            p = distribution(logits[position], TEMPERATURE)
            assert proposal.weights is not None
            assert proposal.support is not None
            q = np.zeros_like(p)
            q[proposal.support] = proposal.weights[position]
            self.prefixes.append(_measured(position, position < verdict.accepted, p, q))
        return verdict


def _measured(
    position: int, accepted: bool, p: bounds.Distribution, q: bounds.Distribution
) -> Prefix:
    return Prefix(
        position,
        accepted,
        bounds.entropy(p),
        bounds.entropy(q),
        bounds.overlap(p, q),
        bounds.divergence(p, q),
        bounds.divergence(q, p),
    )


class Promises(NamedTuple):
    """Means over prefixes: what was accepted, and lower bounds on it from each divergence."""

    prefixes: int
    accepted: float  # the verifier's decisions
    one_minus_tv: float  # their expectation: alpha = 1 - E[TV(p, q)]
    pinsker_pq: float
    pinsker_qp: float
    bretagnolle_huber_pq: float
    bretagnolle_huber_qp: float
    half_exponential_pq: float
    half_exponential_qp: float
    target_entropy: float
    drafter_entropy: float
    two_to_minus_entropy: float  # 2^-H(p) with H in bits: not a bound, whatever is said of it
    below_two_to_minus_entropy: float  # share of prefixes that refute it
    kl_pq_infinite: float  # share of prefixes


def promises(prefixes: list[Prefix]) -> Promises:
    """Average a non-empty list; each bound is taken at its prefix and then averaged."""

    def mean(values: list[float]) -> float:
        return float(np.mean(values))

    pq, qp = [f.kl_pq for f in prefixes], [f.kl_qp for f in prefixes]
    guesses = [float(np.exp(-f.target_entropy)) for f in prefixes]
    refuted = [f.overlap < guess - 1e-6 for f, guess in zip(prefixes, guesses, strict=True)]
    return Promises(
        len(prefixes),
        mean([float(f.accepted) for f in prefixes]),
        mean([f.overlap for f in prefixes]),
        mean([bounds.pinsker(kl) for kl in pq]),
        mean([bounds.pinsker(kl) for kl in qp]),
        mean([bounds.bretagnolle_huber(kl) for kl in pq]),
        mean([bounds.bretagnolle_huber(kl) for kl in qp]),
        mean([bounds.half_exponential(kl) for kl in pq]),
        mean([bounds.half_exponential(kl) for kl in qp]),
        mean([f.target_entropy for f in prefixes]),
        mean([f.drafter_entropy for f in prefixes]),
        mean(guesses),
        mean([float(r) for r in refuted]),
        mean([float(np.isinf(kl)) for kl in pq]),
    )
