"""Clips are handed out in order; what is late is dropped whole; every event is accounted for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from tests.events.encoders import random_events, rows
from xsd_edge.errors import SourceError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import Extent


class Script:
    """A source that gives prepared packets; an Event among them is waited for, a number slept."""

    geometry = Geometry(640, 480)
    encoding = "script"
    frames = None

    def __init__(
        self,
        *steps: EventPacket | threading.Event | float | Exception,
        extent: Extent | None = None,
    ) -> None:
        self.counters = Counters()
        self.live = extent is None
        self._steps, self._extent = steps, extent
        self._closed = threading.Event()

    def extent(self, enough_us: int) -> Extent | None:
        return self._extent

    def packets(self) -> Iterator[EventPacket]:
        for step in self._steps:
            if isinstance(step, threading.Event):
                step.wait()
            elif isinstance(step, Exception):
                raise step
            elif isinstance(step, float):
                end = time.monotonic() + step
                while time.monotonic() < end and not self._closed.wait(0.01):
                    yield EventPacket.empty()
            else:
                yield step
            if self._closed.is_set():
                return

    def close(self) -> None:
        self._closed.set()


def clip_of(events: EventPacket, number: int, clip_us: int = 1000) -> EventPacket:
    return events.between(number * clip_us, (number + 1) * clip_us)


def jump(events: EventPacket) -> EventPacket:
    return EventPacket(events.t, events.x, events.y, events.p, discontinuity=True)


def steady(clips: int, clip_us: int = 1000) -> EventPacket:
    """One event a microsecond from 0 on, for whole clips and one event more."""
    events = random_events(clips * clip_us + 1, 0, 1)
    t = np.arange(clips * clip_us + 1)
    return EventPacket(t, events.x, events.y, events.p)


def balance(totals: dict[str, int]) -> None:
    assert totals["events"] == (
        totals["events_delivered"] + totals["events_dropped"] + totals["events_tail"]
    )


def tags(slices: list[Slice]) -> list[tuple[int, int]]:
    return [(s.clip, s.index) for s in slices]


@pytest.mark.parametrize("drop_late", [True, False])
def test_slices_in_order_with_all_events(drop_late: bool) -> None:
    events = steady(3)
    ready = threading.Event()
    reader = ClipReader(Script(events, ready), 1000, 4, drop_late=drop_late)
    found = []
    for part in reader:
        found.append(part)
        ready.set()
        if drop_late and len(found) == 4:
            break
    reader.close()
    if drop_late:  # all three were complete before the first was asked for
        assert tags(found) == [(2, 0), (2, 1), (2, 2), (2, 3)]
        assert found[0].events_dropped == 2000
    else:
        assert tags(found) == [(c, i) for c in range(3) for i in range(4)]
        whole = EventPacket.concatenate([part.events for part in found])
        assert rows(whole) == rows(events.slice(0, 3000))
        assert all(a.t1_us == b.t0_us for a, b in pairwise(found))
    balance(reader.totals())


def test_a_slow_consumer_gets_the_newest_clip_and_every_drop_is_counted() -> None:
    events = steady(6)
    begun, rest = threading.Event(), threading.Event()
    source = Script(events.between(0, 1001), begun, events.between(1001, 6001), rest)
    reader = ClipReader(source, 1000, 4, drop_late=True)
    found = [next(reader)]
    begun.set()
    while reader.totals()["windows_dropped"] < 4:
        time.sleep(0.001)
    rest.set()
    found += list(reader)
    # The clip that was begun is finished; of the five others only the last is left.
    assert tags(found) == [(c, i) for c in (0, 5) for i in range(4)]
    assert [part.events_dropped for part in found] == [0, 0, 0, 0, 4000, 0, 0, 0]
    totals = reader.totals()
    assert totals["windows_dropped"] == 4
    assert (totals["events_dropped"], totals["events_tail"]) == (4000, 1)
    balance(totals)


def test_the_source_waits_when_nothing_may_be_dropped() -> None:
    events = steady(50)
    source = Script(*(clip_of(events, n) for n in range(50)))
    reader = ClipReader(source, 1000, 4, drop_late=False)
    next(reader)
    time.sleep(0.1)
    assert reader.totals()["events"] <= 4000
    assert len(list(reader)) == 50 * 4 - 1
    balance(reader.totals())


def test_a_jump_gives_up_the_clip_begun() -> None:
    events = steady(3)
    first, second = events.between(0, 600), jump(events.between(1500, 2600))
    reader = ClipReader(Script(first, second), 1000, 4, drop_late=False)
    found = list(reader)
    assert tags(found) == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert found[0].discontinuity
    assert not found[1].discontinuity
    totals = reader.totals()
    assert (totals["windows_dropped"], totals["events_dropped"]) == (1, 600)
    balance(totals)


def test_a_jump_in_the_middle_of_a_clip_that_is_being_consumed() -> None:
    events = steady(4)
    taken = threading.Event()
    source = Script(events.between(0, 700), taken, jump(events.between(2000, 3100)))
    reader = ClipReader(source, 1000, 4, drop_late=True)
    found = [next(reader)]
    taken.set()
    found += list(reader)
    assert tags(found)[-4:] == [(1, 0), (1, 1), (1, 2), (1, 3)]
    assert all(part.clip == 0 and not part.last for part in found[:-4])
    balance(reader.totals())


@pytest.mark.parametrize("length", [1, 7, 8, 777])
def test_a_short_recording_is_one_clip(length: int) -> None:
    events = random_events(50, 300, 300 + length)
    extent = Extent(int(events.t[0]), int(events.t[-1]) + 1)
    reader = ClipReader(Script(events, extent=extent), 1_000_000, 8, drop_late=False)
    found = list(reader)
    assert tags(found) == [(0, i) for i in range(8)]
    assert found[0].t0_us == extent.t0_us
    assert found[-1].t1_us == max(extent.t1_us, extent.t0_us + 8)
    assert reader.totals()["events_delivered"] == 50


def test_a_short_recording_with_a_jump_is_its_longest_stretch() -> None:
    events = steady(3)
    parts = (
        events.between(0, 300),
        jump(events.between(1000, 1700)),
        jump(events.between(2500, 2600)),
    )
    for order in (parts, parts[1:]):
        reader = ClipReader(Script(*order, extent=Extent(1000, 1700)), 10_000, 8, drop_late=False)
        found = list(reader)
        assert (found[0].t0_us, found[-1].t1_us) == (1000, 1700)
        assert len(found) == 8
        balance(reader.totals())


def test_a_recording_with_frames_starts_and_ends_with_them() -> None:
    events = random_events(100, 20, 1990)
    reader = ClipReader(Script(events, extent=Extent(0, 2000)), 1000, 4, drop_late=False)
    found = list(reader)
    assert (found[0].t0_us, found[-1].t1_us) == (0, 2000)
    assert reader.totals()["events_delivered"] == 100


def test_silence_gives_empty_slices_on_the_wall_clock() -> None:
    now = time.monotonic()
    events = random_events(100, 0, 50_000)
    reader = ClipReader(Script(events, 60.0), 400_000, 4, drop_late=True)
    found = [(next(reader), time.monotonic() - now) for _ in range(4)]
    reader.close()
    assert [len(part.events) for part, _ in found] == [100, 0, 0, 0]
    assert found[3][0].last
    for part, seconds in found:
        assert seconds >= part.t1_us * 1e-6 - 0.05
    balance(reader.totals())


def test_late_events_after_a_silence_start_a_new_clip() -> None:
    """A writer that was stopped and goes on where it was."""
    events = steady(4, 100_000)
    source = Script(events.between(0, 30_000), 0.4, events.between(30_000, 350_000))
    reader = ClipReader(source, 100_000, 4, drop_late=True)
    found = list(reader)
    assert found[-1].last
    assert found[-1].events.t[0] >= 30_000
    balance(reader.totals())


def test_errors_come_after_what_was_complete() -> None:
    events = steady(2)
    source = Script(events.between(0, 1500), SourceError("unplugged; plug it in"))
    reader = ClipReader(source, 1000, 4, drop_late=True)
    found: list[Slice] = []
    with pytest.raises(SourceError, match="plug it in"):
        found.extend(reader)
    assert tags(found)[:4] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    balance(reader.totals())
    assert list(reader) == []


def test_close_ends_iteration_from_another_thread() -> None:
    reader = ClipReader(Script(60.0), 1000, 4, drop_late=True)
    threading.Timer(0.1, reader.close).start()
    start = time.monotonic()
    assert list(reader) == []
    assert time.monotonic() - start < 10  # the source has a minute to say


def test_close_before_the_start_and_twice() -> None:
    reader = ClipReader(Script(steady(2)), 1000, 4, drop_late=True)
    reader.close()
    reader.close()
    assert list(reader) == []


def test_memory_stays_bounded_whatever_the_rate() -> None:
    """A hundred clips while the consumer is stuck inside of one."""
    events = steady(1)
    release = threading.Event()
    shifted = [
        EventPacket(events.t[:1000] + n * 1000, events.x[:1000], events.y[:1000], events.p[:1000])
        for n in range(100)
    ]
    reader = ClipReader(Script(*shifted, release), 1000, 4, drop_late=True)
    first = next(reader)
    while reader.totals()["events"] < 100_000:
        time.sleep(0.001)
    assert len(reader._queue) <= 3 * 4
    release.set()
    rest = list(reader)
    assert {part.clip for part in rest} <= {first.clip, 98, 99}
    balance(reader.totals())
