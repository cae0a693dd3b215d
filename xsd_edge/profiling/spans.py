"""When what ran: the nested spans of every answer, for the trace and for the report's timeline."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from xsd_edge.profiling.arms import Take
from xsd_edge.profiling.durations import STAGES
from xsd_edge.profiling.taps import RoundCall

_NAMES = {theirs: ours for ours, theirs in STAGES.items()}
QUESTION_PASS = "question"


class Span(NamedTuple):
    """One stretch of time; `depth` 0 holds what is deeper. Seconds on perf_counter's clock."""

    depth: int
    name: str
    began: float
    seconds: float
    args: dict[str, int]


def of_take(take: Take) -> Iterator[Span]:
    """The whole take, its stages and rounds, what a round consists of, and the engines' runs."""
    yield Span(0, "clip", take.began, take.seconds, {"answers": len(take.answers)})
    for call in take.stages:
        yield Span(1, _NAMES.get(call.stage, call.stage), call.began, call.seconds, {})
    for round_ in take.rounds:
        yield from _of_round(round_)
    for call in take.engines:
        yield Span(3, call.stage, call.began, call.seconds, {})


def _of_round(done: RoundCall) -> Iterator[Span]:
    parts = (("draft", done.draft_s), ("verify", done.verify_s), ("accept", done.judge_s))
    began = done.ended - sum(seconds for _, seconds in parts)
    args = {"drafted": done.drafted, "accepted": done.accepted, "emitted": done.emitted}
    yield Span(1, "round", began, done.ended - began, args)
    for name, seconds in parts:
        if seconds:
            yield Span(2, name, began, seconds, {})
        began += seconds
