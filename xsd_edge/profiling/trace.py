"""The profile as a trace for ui.perfetto.dev and chrome://tracing: one track an arm, counters.

Format: Google's "Trace Event Format", JSON object form; complete events ("X") with ts and dur in
microseconds, counters ("C"), and metadata ("M") that names the tracks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xsd_edge.profiling.document import Measured
from xsd_edge.profiling.spans import Span, of_take

PROCESS = 1
TRACKS = {1: "drafted answers", 2: "plain answers", 3: "event reader (CPU time)"}
DRAFTED, PLAIN, READER = TRACKS


def write(path: Path, seen: Measured) -> None:
    """Write the trace of a whole profile run."""
    text = json.dumps({"traceEvents": list(events(seen)), "displayTimeUnit": "ms"})
    path.write_text(text + "\n", encoding="utf-8")


def events(seen: Measured) -> Iterator[dict[str, Any]]:
    """All events, in no order; the viewers sort."""
    began = [pair.drafted.began for pair in seen.pairs] + [call.began for call in seen.reading]
    zero = min(began)
    yield _named("process_name", "xsd-edge", 0)
    for track, name in TRACKS.items():
        yield _named("thread_name", name, track)
    for index, pair in enumerate(seen.pairs):
        for track, take in ((DRAFTED, pair.drafted), (PLAIN, pair.plain)):
            for span in of_take(take):
                yield _complete(track, span, zero, index)
        for round_ in pair.drafted.rounds:
            counts = {"drafted": round_.drafted, "accepted": round_.accepted}
            yield _counter("drafts", round_.ended - zero, counts)
    for call in seen.reading:
        if call.stage == "event_decode":
            yield _complete(READER, Span(0, call.stage, call.began, call.seconds, {}), zero, None)
    yield from _sensors(seen, zero)


def _sensors(seen: Measured, zero: float) -> Iterator[dict[str, Any]]:
    for fast in seen.sampler.fast:
        if fast.power.rails:
            yield _counter("power (W)", fast.at - zero, fast.power.rails)
    for slow in seen.sampler.slow:
        if slow.temperatures:
            yield _counter("temperature (C)", slow.at - zero, slow.temperatures)
        if slow.clocks:
            yield _counter("clocks (MHz)", slow.at - zero, slow.clocks)
        if slow.resident is not None:
            yield _counter("resident (MB)", slow.at - zero, {"rss": slow.resident / 1e6})


def _complete(track: int, span: Span, zero: float, clip: int | None) -> dict[str, Any]:
    args = span.args if clip is None else {"clip": clip, **span.args}
    return {
        "ph": "X",
        "name": span.name,
        "pid": PROCESS,
        "tid": track,
        "ts": round((span.began - zero) * 1e6, 3),
        "dur": round(span.seconds * 1e6, 3),
        "args": args,
    }


def _counter(name: str, seconds: float, values: dict[str, Any]) -> dict[str, Any]:
    at = round(max(seconds, 0.0) * 1e6, 3)
    return {"ph": "C", "name": name, "pid": PROCESS, "ts": at, "args": values}


def _named(kind: str, name: str, track: int) -> dict[str, Any]:
    return {"ph": "M", "name": kind, "pid": PROCESS, "tid": track, "args": {"name": name}}
