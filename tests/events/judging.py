"""Reads a source to its end and holds it to what every source promises."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from xsd_edge.errors import SourceError
from xsd_edge.events.continuity import GAP_US
from xsd_edge.events.packet import EventPacket
from xsd_edge.events.source import EventSource

TYPES = {"t": np.int64, "x": np.uint16, "y": np.uint16, "p": np.uint8}


@contextmanager
def little_allocated(most: int = 1 << 22) -> Iterator[None]:
    """What happens inside never holds more than `most` bytes, whatever a small file claims."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def judged_refusal(error: SourceError) -> None:
    """One line that a terminal shows as it is, whatever the file wrote into it."""
    assert str(error).isprintable()
    assert len(str(error)) < 1000


def judged(source: EventSource) -> list[EventPacket]:
    """All packets: in order of time and inside the sensor, jumps marked, every event counted."""
    packets = [packet for packet in source.packets() if len(packet)]
    last: int | None = None
    for packet in packets:
        for key, dtype in TYPES.items():
            column = getattr(packet, key)
            assert column.dtype == dtype
            assert column.shape == packet.t.shape
        assert (np.diff(packet.t) >= 0).all()
        if last is not None and not packet.discontinuity:
            assert 0 <= int(packet.t[0]) - last <= GAP_US
        last = int(packet.t[-1])
        assert int(packet.x.max()) < source.geometry.width
        assert int(packet.y.max()) < source.geometry.height
        assert int(packet.p.max()) <= 1
    counters = source.counters
    assert counters.events == sum(map(len, packets))
    assert min(counters.dropped_geometry, counters.resyncs, counters.triggers) >= 0
    return packets


def everything(source: EventSource) -> EventPacket:
    """All events of a source as one packet, borders between packets forgotten."""
    return EventPacket.concatenate(judged(source))
