"""Chooses drafter and draft length of each round by expected speed, and stops where drafting
loses.

A round plans a handful of numbers while the target waits: plain floats, since behind a pass that
fills every cache a NumPy call costs more than what it would compute here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.costs import Costs
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.engine import Engine, prepared
from xsd_edge.runtime.lookup import LONGEST, Lookup
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.verifier import NOTHING, Proposal

RECENT = 0.05  # weight of the newest round in a running mean
PATIENCE = 0.98  # a refused drafter is mistrusted a little less with every refusal


@dataclass(frozen=True, slots=True)
class FixedLength:
    """A drafter that always drafts as many tokens, or as many as still fit."""

    drafter: Drafter
    length: int

    def begin(self, memory: EventMemory) -> None:
        self.drafter.begin(memory)

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        self.drafter.observe(hidden, following)

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        length = min(self.length, gamma)
        return self.drafter.propose(length, sampling, rng) if length else NOTHING


class Plan(NamedTuple):
    """A draft length and the tokens per plain step's time that it promises; 1 is plain decoding."""

    gamma: int
    speed: float


def best_plan(acceptance: Sequence[float], c: float, v: Sequence[float]) -> Plan:
    """The gamma of the highest expected speed, given P(draft i accepted | those before were).

    Speed is E(gamma) / (gamma c + v(gamma + 1)) with E(gamma) = 1 + sum over i <= gamma of P(first
    i accepted) (Leviathan et al. 2023, arXiv 2211.17192, with v measured instead of 1).
    """
    best, fastest = 0, 1.0 / v[0]
    expected = prefix = 1.0
    for gamma, chance in enumerate(acceptance, 1):
        prefix *= chance
        expected += prefix
        speed = expected / (gamma * c + v[gamma])
        if speed > fastest:
            best, fastest = gamma, speed
    return Plan(best, fastest)


class Trust:
    """Predicted log-odds of acceptance, corrected by what the verifier then decided.

    One shift per bucket, stepped along the gradient of the log-likelihood: online logistic
    regression of an intercept.
    """

    RATE = 0.3

    def __init__(self, buckets: int) -> None:
        self._shift = [0.0] * buckets

    def chances(self, log_odds: Sequence[float], buckets: Sequence[int]) -> list[float]:
        shift = self._shift
        return [_chance(odds + shift[at]) for odds, at in zip(log_odds, buckets, strict=True)]

    def learn(self, chances: Sequence[float], buckets: Sequence[int], accepted: int) -> None:
        """Of these drafts the first `accepted` stood; behind the first to fall nothing is known."""
        for position in range(min(accepted + 1, len(chances))):
            error = float(position < accepted) - chances[position]
            self._shift[buckets[position]] += self.RATE * error

    def relent(self, share: float) -> None:
        """Keep only this share of what was learnt, where refusing to draft teaches nothing."""
        self._shift = [share * shift for shift in self._shift]


def _chance(log_odds: float) -> float:
    """The logistic function; `exp` raises where its result is too large for a float."""
    return 1.0 / (1.0 + exp(min(-log_odds, 700.0)))


@dataclass
class Guard:
    """Turns drafting off when its last rounds lost, and tries again after ever longer pauses.

    A pause costs nothing and a trial a few rounds, so that a hopeless drafter's share of the time
    goes to zero while one that recovers is found again.
    """

    WINDOW = 16  # rounds judged together
    LEAST = 6  # rounds before judging
    FIRST_PAUSE = 32  # rounds
    LONGEST_PAUSE = 4096

    _tokens: deque[int] = field(default_factory=lambda: deque(maxlen=Guard.WINDOW))
    _price: deque[float] = field(default_factory=lambda: deque(maxlen=Guard.WINDOW))
    _pause: int = FIRST_PAUSE
    _left: int = 0  # plain rounds until the next trial

    def resting(self) -> bool:
        """Is this round to be plain? Counts it."""
        if self._left == 0:
            return False
        self._left -= 1
        return True

    def add(self, tokens: int, price: float) -> None:
        """A round brought so many tokens for so many plain steps' time."""
        self._tokens.append(tokens)
        self._price.append(price)
        if len(self._tokens) < self.LEAST:
            return
        if sum(self._tokens) < sum(self._price):
            self.rest()
        elif len(self._tokens) == self.WINDOW:
            self._pause = self.FIRST_PAUSE

    def rest(self) -> None:
        self._left = self._pause
        self._pause = min(2 * self._pause, self.LONGEST_PAUSE)
        self._tokens.clear()
        self._price.clear()


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A drafter, what a token of it costs, and how it has done so far."""

    drafter: Drafter
    c: float
    trust: Trust
    guard: Guard


class _Offer(NamedTuple):
    """What a candidate could do this round."""

    candidate: _Candidate
    buckets: Sequence[int]
    chances: Sequence[float]
    plan: Plan


class _Drafted(NamedTuple):
    offer: _Offer
    length: int


class Planned:
    """Draft head and lookup, whichever promises more this round, as long as that pays at all.

    Everything is decided before anything is drawn (or about a deterministic proposal), so no choice
    can bias the output.
    """

    def __init__(
        self, head: Drafter, lookup: Lookup, predictor: Engine | None, costs: Costs
    ) -> None:
        """Without a predictor there is no draft head either, whatever `head` is."""
        self.speed = 1.0  # tokens per plain step's time, a running mean over rounds that drafted
        self._predictor, self._lookup, self._costs = predictor, lookup, costs
        gamma_max = len(costs.v) - 1
        self._logits = np.zeros((1, gamma_max), np.float32)
        self._positions = range(gamma_max)
        self._head = _Candidate(head, costs.c, Trust(gamma_max), Guard())
        self._match = _Candidate(lookup, 0.0, Trust(LONGEST + 1), Guard())
        self._refused = 0  # rounds in a row for which no plan promised a gain
        self._drafted: _Drafted | None = None
        # What the predictor reads, where it looks for it.
        self._aligned = np.zeros((1, 0, 0), np.float32)
        self._hidden = np.zeros((1, 0), np.float32)
        self._predict: Callable[[], None] | None = None

    def begin(self, memory: EventMemory) -> None:
        self._drafted = None
        if self._predictor is not None:
            self._show(self._predictor, memory.aligned)
        for candidate in (self._head, self._match):
            candidate.drafter.begin(memory)

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        if self._drafted is not None:
            self._learn(self._drafted, len(following) - 1)  # the last token is the target's own
            self._drafted = None
        for candidate in (self._head, self._match):
            candidate.drafter.observe(hidden, following)
        if self._predict is not None:
            self._hidden[0] = hidden[-1]

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        offers = self._offers(gamma)
        if not offers:
            return NOTHING
        offer = max(offers, key=lambda o: o.plan.speed)
        length = offer.plan.gamma
        if length == 0:
            for refused in offers:
                refused.candidate.trust.relent(PATIENCE)
            self._refused += 1
            if self._refused < Guard.LEAST:
                return NOTHING
            # A pessimist never learns that it was wrong: draft one token, then rest.
            offer.candidate.guard.rest()
            length = 1
        self._refused = 0
        proposal = offer.candidate.drafter.propose(length, sampling, rng)
        if proposal.tokens:
            self._drafted = _Drafted(offer, len(proposal.tokens))
        return proposal

    def _offers(self, most: int) -> list[_Offer]:
        most, offers = min(most, len(self._positions)), []
        if self._predict is not None and not self._head.guard.resting():
            self._predict()
            odds: list[float] = self._logits[0].tolist()
            offers.append(self._offer(self._head, self._positions[:most], odds[:most]))
        match = self._lookup.match()
        if match.length and not self._match.guard.resting():
            count = min(most, len(match.following))
            offers.append(self._offer(self._match, [match.length] * count, [0.0] * count))
        return offers

    def _show(self, predictor: Engine, aligned: NDArray[np.float32]) -> None:
        """Let the predictor read a clip's event tokens [1, E, D]; its run is made ready once."""
        if aligned.shape != self._aligned.shape:
            self._aligned = np.zeros_like(aligned)
            self._hidden = np.zeros((1, aligned.shape[2]), np.float32)
            feeds = {"hidden": self._hidden, "aligned": self._aligned}
            self._predict = prepared(predictor, feeds, {"logits": self._logits})
        self._aligned[:] = aligned

    def _offer(
        self, candidate: _Candidate, buckets: Sequence[int], odds: Sequence[float]
    ) -> _Offer:
        chances = candidate.trust.chances(odds, buckets)
        return _Offer(candidate, buckets, chances, best_plan(chances, candidate.c, self._costs.v))

    def _learn(self, drafted: _Drafted, accepted: int) -> None:
        offer, count = drafted
        candidate = offer.candidate
        candidate.trust.learn(offer.chances[:count], offer.buckets[:count], accepted)
        price = count * candidate.c + self._costs.v[count]
        candidate.guard.add(accepted + 1, price)
        self.speed += RECENT * ((accepted + 1) / price - self.speed)
