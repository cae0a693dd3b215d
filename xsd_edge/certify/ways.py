"""The ways of drafting that are certified: every drafter, every length, and garbage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.planner import FixedLength
from xsd_edge.runtime.sampling import Sampling
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
    garbage: NDArray[np.int64]  # tokens to draw nonsense from
    seed: int


@dataclass(frozen=True, slots=True)
class Way:
    """A drafter by name, and its length; None where the product chooses both, as `run` does."""

    name: str
    gamma: int | None

    def __str__(self) -> str:
        return f"{self.name}, gamma {'auto' if self.gamma is None else self.gamma}"


class Garbage:
    """Uniform tokens that have nothing to do with anything."""

    def __init__(self, tokens: NDArray[np.int64]) -> None:
        self._tokens = tokens
        self._weights = np.full((1, len(tokens)), 1 / len(tokens), np.float32)

    def begin(self, memory: EventMemory) -> None:
        pass

    def observe(self, hidden: NDArray[np.float32], following: Sequence[int]) -> None:
        pass

    def propose(self, gamma: int, sampling: Sampling, rng: np.random.Generator) -> Proposal:
        drawn = tuple(int(token) for token in rng.choice(self._tokens, gamma))
        if sampling.greedy:
            return Proposal(drawn)
        return Proposal(drawn, self._weights.repeat(gamma, 0), self._tokens)


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
    early = tuple(int(token) for token in rng.choice(given.garbage, gamma))
    return Drafting(FixedLength(Garbage(given.garbage), gamma), early)


# A further drafter is a further row.
DRAFTERS: dict[str, Callable[[Materials, int], Drafting]] = {
    "draft head": _head,
    "lookup": _lookup,
    "early draft": _early,
    "garbage": _garbage,
}
AUTO = Way("planned", None)


def all_ways(gamma_max: int) -> list[Way]:
    """Every drafter at every length that `run` can use; the product's own choice as often as one
    drafter.
    """
    names: list[str | None] = [*DRAFTERS, None]
    return [
        Way(name, gamma) if name else AUTO for gamma in range(1, gamma_max + 1) for name in names
    ]
