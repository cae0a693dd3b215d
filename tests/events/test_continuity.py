"""Continuity against the rule applied one event at a time, in any portions."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import packet, rows
from xsd_edge.events.continuity import GAP_US, JITTER_US, Continuity
from xsd_edge.events.packet import Counters, EventPacket, Geometry

VGA = Geometry(640, 480)
STEPS = st.one_of(
    st.integers(0, 50),
    st.integers(-JITTER_US, 0),
    st.sampled_from([-JITTER_US - 1, -5 * JITTER_US, GAP_US, GAP_US + 1, 10**9, -(10**9)]),
)


def slow_continuity(times: list[int]) -> list[list[int]]:
    """Stretches of flattened times; a jump starts a new one."""
    stretches: list[list[int]] = []
    for i, t in enumerate(times):
        step = t - times[i - 1] if i else 0
        if i == 0 or step < -JITTER_US or step > GAP_US:
            stretches.append([t])
        else:
            stretches[-1].append(max(t, stretches[-1][-1]))
    return stretches


def stretches_of(packets: list[EventPacket]) -> list[list[int]]:
    stretches: list[list[int]] = []
    for part in packets:
        assert (np.diff(part.t) >= 0).all()
        if part.discontinuity or not stretches:
            stretches.append([])
        stretches[-1] += part.t.tolist()
    return stretches


@settings(max_examples=100, deadline=None)
@given(
    st.lists(STEPS, min_size=1, max_size=40),
    st.lists(st.integers(0, 40), max_size=4),
    st.booleans(),
)
def test_equals_the_rule_in_any_portions(steps: list[int], cuts: list[int], late: bool) -> None:
    times = np.cumsum([10**10 * late, *steps]).tolist()
    counters = Counters()
    continuity = Continuity(VGA, counters)
    events = packet(times, *([[1] * len(times)] * 3))
    out = []
    borders = sorted({0, len(times), *(min(cut, len(times)) for cut in cuts)})
    for lo, hi in pairwise(borders):
        part = events.slice(lo, hi)
        out += continuity.packets(part.t, part.x, part.y, part.p)
    assert stretches_of(out) == slow_continuity(times)
    assert counters.events == len(times)
    assert counters.backward_jumps == sum(step < 0 for step in steps)


def test_events_outside_the_sensor_are_dropped_and_counted() -> None:
    counters = Counters()
    events = packet([1, 2, 3, 4], [639, 640, 0, 65535], [479, 0, 480, 65535], [1, 1, 1, 1])
    out = Continuity(VGA, counters).packets(events.t, events.x, events.y, events.p)
    assert [rows(part) for part in out] == [[(1, 639, 479, 1)]]
    assert (counters.events, counters.dropped_geometry) == (1, 3)


def test_nothing_in_nothing_out() -> None:
    none = EventPacket.empty()
    assert Continuity(VGA, Counters()).packets(none.t, none.x, none.y, none.p) == []


def test_many_jumps_take_linear_time() -> None:
    times = np.tile([0, 10**8], 5_000)
    counters = Counters()
    column = np.zeros(len(times), np.uint16)
    out = Continuity(VGA, counters).packets(times, column, column, column.astype(np.uint8))
    assert len(out) == len(times)


def test_an_interruption_marks_the_next_event_whatever_its_time() -> None:
    continuity = Continuity(VGA, Counters())

    def pack(*times: int) -> list[tuple[list[int], bool]]:
        events = packet(list(times), *([[1] * len(times)] * 3))
        made = continuity.packets(events.t, events.x, events.y, events.p)
        return [(part.t.tolist(), part.discontinuity) for part in made]

    continuity.interrupt()
    assert pack(100, 200) == [([100, 200], False)]  # nothing was before
    continuity.interrupt()
    assert pack() == []
    assert pack(150) == [([150], True)]  # not flattened to 200
    continuity.interrupt()
    assert pack(160, 160 + GAP_US + 1) == [([160], True), ([160 + GAP_US + 1], True)]
    assert pack(170 + GAP_US) == [([170 + GAP_US], False)]
