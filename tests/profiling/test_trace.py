"""The trace has the form that Perfetto reads, and its spans nest."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.profiling.conftest import CLIPS
from xsd_edge.profiling import trace
from xsd_edge.profiling.document import Measured

TOLERANCE_US = 50.0  # between the clock readings that end one part and begin the next


def spans(seen: Measured, track: int) -> list[dict[str, Any]]:
    return [e for e in trace.events(seen) if e["ph"] == "X" and e["tid"] == track]


def test_written_file(seen: Measured, tmp_path: Path) -> None:
    trace.write(tmp_path / "t.json", seen)
    written = json.loads((tmp_path / "t.json").read_text())
    assert written["displayTimeUnit"] == "ms"
    kinds = {event["ph"] for event in written["traceEvents"]}
    assert kinds == {"M", "X", "C"}
    for event in written["traceEvents"]:
        assert {"name", "ph", "pid", "args"} <= set(event)
        if event["ph"] == "X":
            assert event["ts"] >= 0
            assert event["dur"] >= 0
    names = {e["args"]["name"] for e in written["traceEvents"] if e["ph"] == "M"}
    assert "drafted answers" in names


def test_every_clip_is_on_both_tracks(seen: Measured) -> None:
    for track in (trace.DRAFTED, trace.PLAIN):
        assert [e["name"] for e in spans(seen, track)].count("clip") == CLIPS


def test_spans_of_a_track_nest(seen: Measured) -> None:
    """A viewer stacks what lies inside; what only overlaps it would draw wrongly."""
    for track in (trace.DRAFTED, trace.PLAIN):
        ordered = sorted(spans(seen, track), key=lambda e: (e["ts"], -e["dur"]))
        open_ends: list[float] = []
        for event in ordered:
            while open_ends and open_ends[-1] <= event["ts"] + TOLERANCE_US:
                open_ends.pop()
            end = event["ts"] + event["dur"]
            assert not open_ends or end <= open_ends[-1] + TOLERANCE_US, event
            open_ends.append(end)


def test_counters_show_the_board(seen: Measured) -> None:
    counters = [e for e in trace.events(seen) if e["ph"] == "C"]
    power = [e for e in counters if e["name"] == "power (W)"]
    assert power[0]["args"]["VDD_IN"] == 7.5
    assert all(a["ts"] <= b["ts"] for a, b in pairwise(power))
    assert {"drafts", "temperature (C)", "clocks (MHz)"} <= {e["name"] for e in counters}
