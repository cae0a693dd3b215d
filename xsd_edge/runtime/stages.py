"""Where the time of a clip goes: a stopwatch per stage, which can keep every single call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple


class Call(NamedTuple):
    """One run of a stage; `began` is on perf_counter's clock."""

    stage: str
    began: float
    seconds: float


class Stages:
    """Seconds per named stage since the last `take`; after `record`, every timed call as well."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._calls: list[Call] | None = None

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            seconds = perf_counter() - began
            self.add(stage, seconds)
            if self._calls is not None:
                self._calls.append(Call(stage, began, seconds))

    def add(self, stage: str, seconds: float) -> None:
        """Seconds that were timed elsewhere."""
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds

    def absorb(self, other: Stages) -> None:
        """Take over what another stopwatch has, which starts anew."""
        for stage, seconds in other.take().items():
            self.add(stage, seconds)
        calls = other.record()
        if self._calls is not None:
            self._calls += calls

    def take(self) -> dict[str, float]:
        """The seconds so far, and start anew."""
        taken, self._seconds = self._seconds, {}
        return taken

    def record(self) -> list[Call]:
        """The calls so far, and start anew; none are kept before the first time."""
        calls, self._calls = self._calls, []
        return calls or []
