"""The ways of drafting that are certified: every drafter, every length, and garbage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import DrafterInfo
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.planner import FixedLength
from xsd_edge.runtime.sampling import Sampling, distribution, pick
from xsd_edge.runtime.verifier import Proposal


class Drafting(NamedTuple):
    """What drafts one answer."""

    drafter: Drafter
    early: tuple[int, ...] = ()  # rides in the question's pass


@dataclass(frozen=True, slots=True)
class Materials:
    """What drafters are made of, for one answer."""

    head: Drafter
    repeated: tuple[int, ...]  # an answer that those who repeat one repeat
    tokens: NDArray[np.int64]  # to guess from
    seed: int
    logits: NDArray[np.float32] | None = None  # of those tokens; None: all alike


@dataclass(frozen=True, slots=True)
class Way:
    """A drafter by name, and its length; None where the product chooses both, as `run` does."""

    name: str
    gamma: int | None

    def __str__(self) -> str:
        return f"{self.name}, gamma {'auto' if self.gamma is None else self.gamma}"


class Guesses:
    """Draws every token from the same q, whatever was said; greedily, from all tokens alike."""

    def __init__(self, tokens: NDArray[np.int64], logits: NDArray[np.float32] | None) -> None:
        self._tokens = tokens
        self._logits = np.zeros(len(tokens), np.float32) if logits is None else logits

    def begin(self, memory: EventMemory) -> None:
        pass

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        pass

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        if sampling.greedy:
            return Proposal(tuple(int(token) for token in rng.choice(self._tokens, gamma)))
        q = distribution(self._logits, sampling)
        drawn = tuple(int(self._tokens[pick(q, rng.random())]) for _ in range(gamma))
        return Proposal(drawn, q[None].repeat(gamma, 0), self._tokens)


def _head(given: Materials, gamma: int) -> Drafting:
    return Drafting(FixedLength(given.head, gamma))


def _lookup(given: Materials, gamma: int) -> Drafting:
    lookup = Lookup()
    lookup.remember(given.repeated)
    return Drafting(FixedLength(lookup, gamma))


def _early(given: Materials, gamma: int) -> Drafting:
    return Drafting(FixedLength(given.head, gamma), given.repeated)


def _garbage(given: Materials, gamma: int) -> Drafting:
    rng = np.random.default_rng(given.seed)
    early = tuple(int(token) for token in rng.choice(given.tokens, gamma))
    return Drafting(FixedLength(Guesses(given.tokens, given.logits), gamma), early)


def _noisy(given: Materials, gamma: int) -> Drafting:
    return Drafting(FixedLength(Guesses(given.tokens, given.logits), gamma))


HEAD = "draft head"
# A further drafter is a further row.
DRAFTERS: dict[str, Callable[[Materials, int], Drafting]] = {
    HEAD: _head,
    "lookup": _lookup,
    "early draft": _early,
    "garbage": _garbage,
}
# Those that contexts are drawn with. Garbage is nearly always rejected, and so may be a draft head
# that knows nothing; guesses from the target's own logits with noise on them are both, often.
NOISY = "noisy target"
DRAWN_WITH = {name: DRAFTERS[name] for name in DRAFTERS if name != "garbage"} | {NOISY: _noisy}
AUTO = Way("planned", None)


def drafters_of(info: DrafterInfo) -> list[str]:
    """The names of those that a bundle has."""
    return [name for name in DRAFTERS if info.has_head or name != HEAD]


def all_ways(info: DrafterInfo) -> list[Way]:
    """Every drafter at every length that `run` can use; the product's own choice as often as one
    drafter.
    """
    names: list[str | None] = [*drafters_of(info), None]
    lengths = range(1, info.gamma_max + 1)
    return [Way(name, gamma) if name else AUTO for gamma in lengths for name in names]
