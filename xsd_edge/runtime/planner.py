"""Chooses the draft length of each round from measured costs and predicted acceptance."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.runtime.decoder import EXACT_ROWS, Decoder
from xsd_edge.runtime.drafter import Drafter, EventMemory
from xsd_edge.runtime.engine import Engine
from xsd_edge.runtime.sampling import Sampling

REPEATS = 3  # of each timing; the least counts, since noise only adds


class Costs(NamedTuple):
    """Seconds on this very machine, as ratios to one plain target step."""

    c: float  # one drafted token
    v: tuple[float, ...]  # v[m - 1]: a pass of m rows; v[0] is 1 by definition

    def round(self, gamma: int) -> float:
        """A whole round in plain steps: gamma c + v(gamma + 1)."""
        return gamma * self.c + self.v[gamma]


class Planner(Protocol):
    """Says how many tokens to draft next; 0 is plain decoding."""

    def begin(self, memory: EventMemory) -> None:
        """The next answer is about this clip."""

    def gamma(self, hidden: NDArray[np.float32]) -> int:
        """`hidden` [D] is the target's newest hidden state."""


@dataclass(frozen=True, slots=True)
class FixedPlanner:
    """Always the same draft length."""

    length: int

    def begin(self, memory: EventMemory) -> None:
        pass

    def gamma(self, hidden: NDArray[np.float32]) -> int:
        return self.length


class AdaptivePlanner:
    """Maximises expected tokens per cost: E(gamma) / (gamma c + v(gamma + 1)) over gamma in
    0..gamma_max.

    E(gamma) = 1 + sum over i <= gamma of P(first i drafts accepted), from the acceptance predictor.
    The choice falls before anything is drafted, so it cannot bias the output.
    """

    def __init__(self, predictor: Engine, gamma_max: int, costs: Costs) -> None:
        self._predictor, self.costs = predictor, costs
        self._logits = np.zeros((1, gamma_max), np.float32)
        self._aligned: NDArray[np.float32] | None = None

    def begin(self, memory: EventMemory) -> None:
        self._aligned = memory.aligned

    def gamma(self, hidden: NDArray[np.float32]) -> int:
        assert self._aligned is not None, "begin() comes before gamma()"
        feeds = {"hidden": hidden[None], "aligned": self._aligned}
        self._predictor.run(feeds, {"logits": self._logits})
        accepted = 1.0 / (1.0 + np.exp(-self._logits[0].astype(np.float64)))
        return best_gamma(accepted, self.costs)


def best_gamma(acceptance: NDArray[np.float64], costs: Costs) -> int:
    """The gamma of the highest expected speed, given P(draft i accepted | those before were)."""
    expected = 1.0 + np.concatenate(([0.0], np.cumsum(np.cumprod(acceptance))))
    price = np.array([costs.round(gamma) for gamma in range(len(expected))])
    return int(np.argmax(expected / price))


def measure_costs(decoder: Decoder, drafter: Drafter, gamma_max: int) -> Costs:
    """Time passes of 1..gamma_max+1 rows and a draft step, on this machine, where the cache now
    stands.
    """
    start = decoder.offset
    row = decoder.embed([0])

    def fastest_pass(rows: int) -> float:
        best = float("inf")
        for _ in range(REPEATS):
            began = time.perf_counter()
            decoder.forward(np.repeat(row, rows, 0), last=rows)
            best = min(best, time.perf_counter() - began)
            decoder.trim(start)
        return best

    fastest_pass(EXACT_ROWS)  # the first pass also pays for warming up
    passes = [fastest_pass(rows) for rows in range(1, gamma_max + 2)]
    hidden = decoder.forward(row, last=1).hidden.copy()
    decoder.trim(start)
    per_token = float("inf")
    for _ in range(REPEATS):
        drafter.observe(hidden, [0])
        began = time.perf_counter()
        drawn = drafter.propose(gamma_max, Sampling(), np.random.default_rng(0))
        per_token = min(per_token, (time.perf_counter() - began) / max(len(drawn.tokens), 1))
    return Costs(per_token / passes[0], tuple(p / passes[0] for p in passes))
