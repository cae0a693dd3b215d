"""EVT2 against known events, and across the wrap of its 34-bit time."""

from __future__ import annotations

import struct

from tests.events.encoders import evt2_bytes, random_events, rows
from xsd_edge.events.decoders.evt2 import Evt2Decoder
from xsd_edge.events.packet import Counters, EventPacket, Geometry

VGA = Geometry(640, 480)


def decode(data: bytes, counters: Counters | None = None) -> EventPacket:
    return EventPacket.concatenate(Evt2Decoder(VGA, counters or Counters()).feed(data))


def test_round_trip() -> None:
    events = random_events(5000, 10**6, 10**6 + 50_000)
    assert rows(decode(evt2_bytes(events))) == rows(events)


def test_byte_by_byte() -> None:
    events = random_events(50, 0, 500)
    decoder = Evt2Decoder(VGA, Counters())
    data = evt2_bytes(events)
    parts = [part for i in range(len(data)) for part in decoder.feed(data[i : i + 1])]
    assert rows(EventPacket.concatenate(parts)) == rows(events)


def test_nothing_counts_before_the_first_time_high() -> None:
    events = random_events(100, 64, 128)
    assert rows(decode(evt2_bytes(events)[4:])) == []
    data = evt2_bytes(events)[4:] + evt2_bytes(random_events(10, 640, 704))
    assert len(decode(data)) == 10


def test_time_wraps_after_2_to_the_34_microseconds() -> None:
    start = 3 * 2**34 - 1000
    events = random_events(500, start, start + 2000)
    decoded = decode(evt2_bytes(events))
    # The first loops cannot be known; the distance from the first event can.
    assert (decoded.t - decoded.t[0]).tolist() == (events.t - events.t[0]).tolist()
    assert decoded.t[-1] > 2**34


def test_triggers_and_others_carry_no_events() -> None:
    words = [8 << 28, 10 << 28 | 5, 14 << 28 | 0x19, 15 << 28, 1 << 28 | 7 << 11 | 9]
    assert rows(decode(struct.pack("<5I", *words))) == [(0, 7, 9, 1)]


def test_events_outside_the_sensor_are_counted() -> None:
    counters = Counters()
    words = [8 << 28, 1 << 28 | 700 << 11, 1 << 28 | 5 << 11 | 480, 1 << 28 | 5 << 11]
    assert len(decode(struct.pack("<4I", *words), counters)) == 1
    assert counters.dropped_geometry == 2
