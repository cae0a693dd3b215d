"""The cost curve of this machine: c, and v(m) for every number of rows a round may verify."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from xsd_edge.profiling.statistics import LEVEL, RESAMPLES, Estimate
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session

REPEATS = 25  # of each timing, taken in turns


@dataclass(frozen=True, slots=True)
class Curve:
    """Seconds: `passes` [repeats, M] of 1..M rows, `drafts` [repeats] per drafted token."""

    passes: NDArray[np.float64]
    drafts: NDArray[np.float64]

    @property
    def step_s(self) -> float:
        """A plain step: the median pass of one row."""
        return float(np.median(self.passes[:, 0]))

    @property
    def draft_s(self) -> float:
        """One drafted token."""
        return float(np.median(self.drafts))

    @property
    def c_value(self) -> float:
        return self.draft_s / self.step_s

    @property
    def v_values(self) -> list[float]:
        return [float(each) for each in np.median(self.passes, 0) / self.step_s]

    @property
    def c(self) -> Estimate:
        return self._in_steps(self.drafts[:, None])[0]

    @property
    def v(self) -> list[Estimate]:
        """v[m - 1]: a pass of m rows; v[0] is 1 by definition."""
        first, *others = self._in_steps(self.passes)
        return [Estimate(first.value, 1.0, 1.0), *others]

    def _in_steps(self, seconds: NDArray[np.float64]) -> list[Estimate]:
        """Ratios of medians to the plain step's, with bootstrap intervals over the repeats."""
        rows = np.random.default_rng(0).integers(0, len(seconds), (RESAMPLES // 4, len(seconds)))
        drawn = np.median(seconds[rows], 1) / np.median(self.passes[rows, 0], 1)[:, None]
        lows, highs = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
        values = np.median(seconds, 0) / self.step_s
        return [Estimate(*map(float, each)) for each in zip(values, lows, highs, strict=True)]


def measure_curve(session: Session) -> Curve:
    """Time passes and draft steps in turns, where the session's last answer began."""
    session.rewind()
    decoder, head = session.decoder, session.draft_head
    gamma_max = session.manifest.drafter.gamma_max
    start, most = decoder.offset, min(gamma_max + 1, decoder.room)
    row = decoder.embed([0])

    def timed_pass(rows: int) -> float:
        inputs = np.repeat(row, rows, 0)
        began = perf_counter()
        decoder.forward(inputs, last=rows)
        seconds = perf_counter() - began
        decoder.trim(start)
        return seconds

    hidden = decoder.forward(row, last=1).hidden.copy()
    decoder.trim(start)
    rng = np.random.default_rng(0)
    memory = session.silence()

    def timed_draft() -> float:
        head.begin(memory)
        head.observe(hidden, [0])
        began = perf_counter()
        drawn = head.propose(gamma_max, Sampling(), rng)
        return (perf_counter() - began) / max(len(drawn.tokens), 1)

    timed_draft()  # the first ones also pay for warming up
    for rows in range(1, most + 1):
        timed_pass(rows)
    passes, drafts = [], []
    for _ in range(REPEATS):
        passes.append([timed_pass(rows) for rows in range(1, most + 1)])
        drafts.append(timed_draft())
    return Curve(np.array(passes), np.array(drafts))
