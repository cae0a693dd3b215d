"""Certification at temperature > 0: what the loop draws against the target's own distribution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from xsd_edge.certify.draws import Drawing, Task
from xsd_edge.certify.g_test import LEVEL, Found, draws_for
from xsd_edge.certify.replay import Context
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


class _Asked(NamedTuple):
    """Contexts to be drawn from, so often all in all, and after how many tokens to compare."""

    group: Sequence[Context]
    depths: tuple[int, ...]
    draws: int

    @property
    def each(self) -> int:
        """Draws of one context."""
        return math.ceil(self.draws / len(self.group))

    def tasks(
        self, subject: Subject, modes: tuple[str, ...], seed: tuple[int, int]
    ) -> Iterator[Task]:
        """One a context."""
        for number, context in enumerate(self.group):
            yield Task(context, subject, modes, self.depths, self.each, (*seed, number))


class Sampled:
    """Draws from groups of contexts in both modes, and again where a test flags."""

    def __init__(
        self,
        drawing: Drawing,
        subject: Subject,
        modes: Sequence[str],
        seed: int,
        progress: Progress = lambda done, all_: None,
    ) -> None:
        self._drawing, self._subject, self._modes, self._seed = drawing, subject, modes, seed
        self._progress = progress
        self.findings = SampledFindings()

    def check(self, contexts: Sequence[Context], small: Sequence[Context]) -> None:
        """Next tokens in `contexts`, whole answers in `small`.

        Each test is made at LEVEL, so one in a hundred flags a target that is right. What flags is
        drawn again from scratch, with draws enough for LEVEL over all tests; it fails if that
        fails.
        """
        found = self.findings
        asked = [
            _Asked(group, depths, draws_for(len(group)))
            for group, depths in ((contexts, (1, 2)), (small, (WHOLE,)))
            if group
        ]
        for one, sums in zip(asked, self._run(asked, self._modes, 0), strict=True):
            for (mode, depth), outcome in sums.items():
                name = NAMES.get(depth, "whole answer")
                found.tests.append(Test(name, mode, len(one.group), outcome))
        flagged = [n for n, test in enumerate(found.tests) if test.flagged]
        for number in sorted(flagged, key=lambda n: found.tests[n].first.p):
            test = found.tests[number]
            depth = next((d for d, name in NAMES.items() if name == test.name), WHOLE)
            group = small if depth == WHOLE else contexts
            more = _Asked(group, (depth,), draws_for(len(group), found.level))
            (again,) = self._run((more,), (test.mode,), 1)
            found.tests[number] = Test(
                test.name, test.mode, test.contexts, test.first, again[test.mode, depth]
            )
            if found.failed():
                return  # one is enough

    def _run(
        self, asked: Sequence[_Asked], modes: Sequence[str], stage: int
    ) -> list[dict[tuple[str, int], Found]]:
        """Draw all contexts of some groups; each group's findings, summed up by mode and depth."""
        tasks = [
            (at, task)
            for at, one in enumerate(asked)
            for task in one.tasks(self._subject, tuple(modes), (self._seed, stage))
        ]
        # The longest first: a process that began it last would keep the others waiting.
        tasks.sort(key=lambda pair: -pair[1].each)
        sums = [{(m, d): Found() for m in modes for d in one.depths} for one in asked]
        drawing = self._drawing([task for _, task in tasks])
        for done, ((at, _), drawn) in enumerate(zip(tasks, drawing, strict=True), 1):
            for tested, found in drawn.found.items():
                sums[at][tested] += found
            self.findings.covered.append(drawn.covered)
            self.findings.passes += drawn.passes
            self._progress(done, len(tasks))
        return sums
