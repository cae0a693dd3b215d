"""Datagrams: each format byte by byte, and over a real socket."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tests.events.encoders import random_events, rows
from xsd_edge.errors import SourceError
from xsd_edge.events.live.datagrams import FAERY32, FAERY64, Batch, Clock32, Spif
from xsd_edge.events.live.udp import UdpSource
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import Wanted, open_source

EVENTS = random_events(5000, 1000, 90_000)


def spif_bytes(events: EventPacket, *, timed: bool) -> bytes:
    words = (events.x.astype(np.uint32) << 16) | (events.p.astype(np.uint32) << 15) | events.y
    made = words | np.uint32(1 << 31)
    if timed:
        made = np.stack((words, (events.t & 0xFFFFFFFF).astype(np.uint32)), axis=1)
    data: bytes = made.astype("<u4").tobytes()
    return data


def faery64_bytes(events: EventPacket) -> bytes:
    made = np.zeros(len(events), FAERY64)
    made["t"], made["x"], made["y"], made["on"] = events.t, events.x, events.y, events.p
    return made.tobytes()


def faery32_bytes(events: EventPacket) -> bytes:
    made = np.zeros(len(events), FAERY32)
    made["t"] = events.t & 0xFFFFFFFF
    made["x"], made["y_on"] = events.x, events.y << 1 | events.p
    return made.tobytes()


def listening(encoding: str | None = "faery64", size: str = "640x480") -> UdpSource:
    return UdpSource("udp", "127.0.0.1", 0, Wanted(encoding, Geometry.parse(size)))


@contextmanager
def sender(source: UdpSource) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.connect(("127.0.0.1", source.port))
        yield made


def some(packets: Iterator[EventPacket], count: int) -> list[EventPacket]:
    """Packets until `count` events have come."""
    found: list[EventPacket] = []
    deadline = time.monotonic() + 30
    while sum(map(len, found)) < count:
        assert time.monotonic() < deadline
        if len(packet := next(packets)):
            found.append(packet)
    return found


def heard(source: UdpSource, count: int) -> list[EventPacket]:
    """The source's first `count` events."""
    return some(source.packets(), count)


@pytest.mark.parametrize(
    ("encoding", "make", "record"),
    [
        ("faery64", faery64_bytes, 13),
        ("faery32", faery32_bytes, 8),
        ("spif", lambda events: spif_bytes(events, timed=True), 8),
    ],
)
def test_datagrams_with_times(encoding: str, make: object, record: int) -> None:
    source = listening(encoding)
    data, step = make(EVENTS), record * 60  # type: ignore[operator]  # a function of events
    with sender(source) as to:
        for at in range(0, len(data), step):
            to.send(data[at : at + step])
        found = heard(source, len(EVENTS))
    assert rows(EventPacket.concatenate(found)) == rows(EVENTS)
    assert source.counters.lost == 0
    source.close()


def test_spif_without_times_has_those_of_arrival() -> None:
    source = listening("spif")
    parts = [EVENTS.slice(0, 100), EVENTS.slice(100, 200)]
    packets = source.packets()
    with sender(source) as to:
        before = time.monotonic_ns() // 1000
        to.send(spif_bytes(parts[0], timed=False))
        found = some(packets, 100)
        between = time.monotonic_ns() // 1000
        to.send(spif_bytes(parts[1], timed=False))
        found += some(packets, 100)
    after = time.monotonic_ns() // 1000
    events = EventPacket.concatenate(found)
    assert [row[1:] for row in rows(events)] == [row[1:] for row in rows(EVENTS)[:200]]
    assert before <= events.t[0] == events.t[99] <= between <= events.t[100] <= after
    source.close()
    assert list(packets) == []


def test_the_example_of_the_spif_word() -> None:
    word = struct.pack("<I", 0x80038005)
    (found,) = Spif().decode(Batch(memoryview(word), [4], [77]))
    assert [column.tolist() for column in found] == [[77], [3], [5], [1]]


def test_a_clock_of_32_bits_runs_over() -> None:
    times = np.array([2**32 - 2, 2**32 - 1, 0, 5, 3, 2**31], np.uint64).astype(np.uint32)
    clock = Clock32()
    out = [*clock.unwrap(times[:2]), *clock.unwrap(times[2:])]
    base = 2**32
    assert [int(t) for t in out] == [base - 2, base - 1, base, base + 5, base + 3, base + 2**31]


def test_lying_datagrams_are_cut_and_counted() -> None:
    source = listening()
    with sender(source) as to:
        to.send(b"")
        to.send(b"abc")
        to.send(faery64_bytes(EVENTS.slice(0, 3)) + b"xy")
        to.send(struct.pack("<QHHB", 2**64 - 1, 1, 1, 1))  # a time that is none
        to.send(struct.pack("<QHHB", 7, 1, 1, 255))
        found = heard(source, 5)
    assert source.counters.resyncs == 2
    assert sum(map(len, found)) == 5
    assert [p.discontinuity for p in found if p.t[0] in (7, 2**62)] == [True, True]
    assert found[-1].p.tolist() == [1]
    source.close()


def test_silence_is_normal_and_close_wakes_it() -> None:
    source = listening()
    packets = source.packets()
    assert [len(next(packets)) for _ in range(3)] == [0, 0, 0]
    threading.Timer(0.1, source.close).start()
    begin = time.monotonic()
    assert sum(map(len, packets)) == 0
    assert time.monotonic() - begin < 1


def test_datagrams_that_found_no_room_are_counted_exactly() -> None:
    source = listening()
    source._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
    data = faery64_bytes(EVENTS.slice(0, 50))
    with sender(source) as to:
        for _ in range(2000):
            to.send(data)
        delivered = 0
        for packet in source.packets():
            delivered += len(packet)
            if not len(packet):  # all that found room has been read
                source.close()
    assert source.counters.lost > 0
    assert delivered + source.counters.lost * 50 == 2000 * 50


def test_what_cannot_be_listened_on() -> None:
    with pytest.raises(SourceError, match=r"does not tell its sensor's size; add it: \?size="):
        open_source("udp://:0")
    with pytest.raises(SourceError, match="unknown format 'evt3' for datagrams; known: spif"):
        open_source("udp://?format=evt3&size=640x480")
    with pytest.raises(SourceError, match="say udp://ADDRESS:PORT"):
        open_source("udp://no.such.host.invalid:4000?size=640x480")
    taken = listening()
    with pytest.raises(SourceError, match=r"cannot be listened on.*lsof -i udp:"):
        open_source(f"udp://127.0.0.1:{taken.port}?size=640x480")
    taken.close()
