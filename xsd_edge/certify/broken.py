"""Loops that are wrong on purpose: a certificate is worth what it would have caught.

Each goes in where the product's own part goes, through what `generate` takes; the product has no
switch that breaks it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from xsd_edge.certify.subject import Subject
from xsd_edge.runtime.decoder import Decoder
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.sampling import Sampling, distribution, pick
from xsd_edge.runtime.verifier import NOTHING, Proposal, Verdict, Verifier, verifier_for


@dataclass(frozen=True, slots=True)
class AcceptsAlways:
    """Lets every draft stand."""

    inner: Verifier

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        drafted = len(proposal.tokens)
        return Verdict(drafted, self.inner.judge(logits[drafted:], NOTHING).token)


@dataclass(frozen=True, slots=True)
class ResidualFromP:
    """After a rejection draws from p, not from what p has more than q."""

    inner: Verifier

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        accepted, token = self.inner.judge(logits, proposal)
        if accepted < len(proposal.tokens):
            token = self.inner.judge(logits[accepted : accepted + 1], NOTHING).token
        return Verdict(accepted, token)


@dataclass(frozen=True, slots=True)
class BonusOffByOne:
    """Takes the bonus token from the row of the last draft."""

    inner: Verifier

    def judge(self, logits: NDArray[np.float32], proposal: Proposal) -> Verdict:
        accepted, token = self.inner.judge(logits, proposal)
        if 0 < accepted == len(proposal.tokens):
            token = self.inner.judge(logits[accepted - 1 : accepted], NOTHING).token
        return Verdict(accepted, token)


class _Wrapped:
    """A drafter whose proposals are tampered with."""

    def __init__(self, inner: Drafter) -> None:
        self._inner = inner

    def begin(self, memory: EventMemory) -> None:
        self._inner.begin(memory)

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self._inner.observe(hidden, following)


class WeightsBeforeTopP(_Wrapped):
    """Draws after top-p, but hands on the q from before it."""

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        whole = self._inner.propose(1, replace(sampling, top_p=1.0), rng)
        if whole.weights is None or whole.support is None:
            return whole
        with np.errstate(divide="ignore"):
            logits = np.log(whole.weights[0])
        drawn_from = distribution(logits, Sampling(1.0, top_p=sampling.top_p))
        drawn = int(whole.support[pick(drawn_from, rng.random())])
        return Proposal((drawn,), whole.weights, whole.support)


class DropsDrafts(_Wrapped):
    """Looks at what it has drawn, and submits only what was the likeliest."""

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        tokens, weights, support = self._inner.propose(gamma, sampling, rng)
        if weights is None or support is None:
            return Proposal(tokens)
        favourites = support[weights.argmax(-1)]
        likeliest = [a == b for a, b in zip(tokens, favourites, strict=True)]
        kept = likeliest.index(False) if False in likeliest else len(tokens)
        return Proposal(tokens[:kept], weights[:kept], support) if kept else NOTHING


class KeepsRejected(Decoder):
    """Leaves rejected drafts in the KV cache. Shares all else with the decoder it is made from."""

    def __init__(self, whole: Decoder) -> None:
        self.__dict__ = whole.__dict__

    def trim(self, offset: int) -> None:
        pass


def _breaking(how: type[AcceptsAlways | ResidualFromP | BonusOffByOne], name: str) -> Subject:
    """Greedy decoding and rejection sampling go wrong; exact match, which could be compared with
    plain sampling token for token, does not give it away.
    """

    def make(sampling: Sampling, mode: str, rng: np.random.Generator) -> Verifier:
        whole = verifier_for(sampling, mode, rng)
        return how(whole) if mode == "rejection" else whole

    return Subject(name, verifier=make)


BROKEN = (
    _breaking(AcceptsAlways, "accept always"),
    _breaking(ResidualFromP, "residual from p instead of p - q"),
    Subject("q taken before top-p", drafter=WeightsBeforeTopP),
    Subject("a dropped draft", drafter=DropsDrafts),
    _breaking(BonusOffByOne, "off-by-one bonus token"),
    Subject("KV not trimmed", decoder=KeepsRejected),
)
