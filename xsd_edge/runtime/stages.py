"""Where the time of a clip goes: a stopwatch per stage, which can keep every single call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from xsd_edge.runtime.loop import Round


class Call(NamedTuple):
    """One run of a stage; `began` is on perf_counter's clock."""

    stage: str
    began: float
    seconds: float


class RoundCall(NamedTuple):
    """One round of an answer, without its arrays. Draft, verify and judge ran in this order."""

    ended: float  # on perf_counter's clock
    emitted: int
    drafted: int
    accepted: int
    draft_s: float
    verify_s: float
    judge_s: float


class Recording(NamedTuple):
    """Everything timed while recording was on."""

    calls: list[Call]
    rounds: list[RoundCall]


class Stages:
    """Seconds per named stage since the last `take`; after `record`, every call as well."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._recording: Recording | None = None

    @contextmanager
    def time(self, stage: str) -> Iterator[None]:
        began = perf_counter()
        try:
            yield
        finally:
            self.add(stage, perf_counter() - began)

    def add(self, stage: str, seconds: float) -> None:
        """A run of a stage that has just ended."""
        self._total(stage, seconds)
        if self._recording is not None:
            self._recording.calls.append(Call(stage, perf_counter() - seconds, seconds))

    def add_round(self, done: Round) -> None:
        """A round that has just ended."""
        self._total("draft", done.draft_s)
        self._total("verify", done.verify_s)
        self._total("judge", done.judge_s)
        if self._recording is not None:
            figures = (len(done.tokens), *done[1:6])
            self._recording.rounds.append(RoundCall(perf_counter(), *figures))

    def take(self) -> dict[str, float]:
        """The seconds so far, and start anew."""
        taken, self._seconds = self._seconds, {}
        return taken

    def record(self) -> Recording:
        """What was recorded so far, and start anew; nothing is before the first time."""
        recorded, self._recording = self._recording, Recording([], [])
        return recorded or Recording([], [])

    def _total(self, stage: str, seconds: float) -> None:
        self._seconds[stage] = self._seconds.get(stage, 0.0) + seconds
