"""Certification at temperature > 0: what the loop draws against the target's own distribution."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from xsd_edge.certify.bench import Bench
from xsd_edge.certify.g_test import LEAST_EXPECTED, LEVEL, Found, Outcome, draws_for, g_of
from xsd_edge.certify.replay import Context, Replay
from xsd_edge.certify.subject import Subject

NAMES = {1: "next token", 2: "next two tokens"}
WHOLE = 3  # tokens of a small answer
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Test:
    """One hypothesis: in these contexts, in this mode, the loop draws what the target says."""

    __test__ = False  # for pytest this is no test class

    name: str
    mode: str
    contexts: int
    first: Found
    again: Found | None = None  # fresh draws, where the first ones flagged

    @property
    def flagged(self) -> bool:
        return self.first.p < LEVEL


@dataclass
class SampledFindings:
    """All tests; `covered` is the share of the target's probability that cut vocabularies kept."""

    tests: list[Test] = field(default_factory=list)
    covered: list[float] = field(default_factory=list)
    passes: int = 0  # of the real target

    @property
    def level(self) -> float:
        """What the repetition of a flagged test is judged by: LEVEL for all tests together."""
        return LEVEL / max(len(self.tests), 1)

    def failed(self) -> list[Test]:
        return [t for t in self.tests if t.again is not None and t.again.p < self.level]


class Sampled:
    """Draws from groups of contexts in both modes, and again where a test flags."""

    def __init__(
        self,
        bench: Bench,
        subject: Subject,
        modes: Sequence[str],
        seed: int,
        progress: Progress = lambda done, all_: None,
    ) -> None:
        self._bench, self._subject, self._modes, self._seed = bench, subject, modes, seed
        self._progress = progress
        self.findings = SampledFindings()

    def check(self, contexts: Sequence[Context], small: Sequence[Context]) -> None:
        """Next tokens in `contexts`, whole answers in `small`.

        Each test is made at LEVEL, so one in a hundred flags a target that is right. What flags is
        drawn again from scratch, with draws enough for LEVEL over all tests; it fails if that
        fails.
        """
        found = self.findings
        for depths, group in (((1, 2), contexts), ((WHOLE,), small)):
            if not group:
                continue
            for mode, tested in self._run(group, depths, draws_for(len(group)), self._modes, 0):
                for depth, one in tested.items():
                    name = NAMES.get(depth, "whole answer")
                    found.tests.append(Test(name, mode, len(group), one))
        flagged = [n for n, test in enumerate(found.tests) if test.flagged]
        for number in sorted(flagged, key=lambda n: found.tests[n].first.p):
            test = found.tests[number]
            depth = next((d for d, name in NAMES.items() if name == test.name), WHOLE)
            group = small if depth == WHOLE else contexts
            draws = draws_for(len(group), found.level)
            ((_, again),) = self._run(group, (depth,), draws, (test.mode,), 1)
            found.tests[number] = Test(
                test.name, test.mode, test.contexts, test.first, again[depth]
            )
            if found.failed():
                return  # one is enough

    def _run(
        self,
        group: Sequence[Context],
        depths: tuple[int, ...],
        draws: int,
        modes: Sequence[str],
        stage: int,
    ) -> Iterable[tuple[str, dict[int, Found]]]:
        """Draw all contexts of a group in some modes, and sum up each depth's findings."""
        each = math.ceil(draws / len(group))
        sums = {mode: dict.fromkeys(depths, Found()) for mode in modes}
        for number, context in enumerate(group):
            replay = Replay(self._bench, context, self._seed)
            expected = {d: replay.reference(d, LEAST_EXPECTED / each) for d in depths}
            lean = replay.lean()
            for at, mode in enumerate(modes):
                rng = np.random.default_rng((self._seed, stage, depths[-1], number, at))
                drawn = Counter(replay.draws(self._subject, mode, depths[-1], each, rng))
                for depth in depths:
                    p = expected[depth]
                    leans = [lean[outcome[0]] for outcome in p]
                    sums[mode][depth] += g_of(binned(drawn, p), p, leans)
            self.findings.covered.append(replay.covered)
            self.findings.passes += replay.cut.target.passes
            self._progress(number + 1, len(group))
        return sums.items()


def binned(
    drawn: Mapping[Outcome, int], probabilities: Mapping[Outcome, float]
) -> Counter[Outcome]:
    """Drawn outcomes as the ones that have a probability: cut off where those end.

    What begins like none of them stays as it is.
    """
    counts: Counter[Outcome] = Counter()
    for outcome, count in drawn.items():
        lengths = range(len(outcome), 0, -1)
        cut = next((outcome[:n] for n in lengths if outcome[:n] in probabilities), outcome)
        counts[cut] += count
    return counts
