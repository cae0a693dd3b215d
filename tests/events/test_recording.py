"""A recording that is closed by another thread than the one that reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator

import numpy as np

from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording


def slowly_closing(packet: EventPacket) -> Generator[EventPacket]:
    def frames() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            time.sleep(0.2)  # as a video file takes to close

    for _ in frames():
        yield from [packet, packet]


def test_closing_while_the_reader_closes_it_too() -> None:
    """Two threads in one generator's close end CPython 3.11 with a segmentation fault."""
    none = np.zeros(2, np.uint16)
    packet = EventPacket(np.arange(2, dtype=np.int64), none, none, np.zeros(2, np.uint8))
    recording = Recording("x", "sim", Geometry(4, 4), Counters(), slowly_closing(packet))
    handed, go_on = threading.Event(), threading.Event()

    def read() -> None:
        for _ in recording.packets():
            handed.set()
            go_on.wait()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert handed.wait(5)
    threading.Timer(0.05, go_on.set).start()
    recording.close()
    reader.join(5)
    assert not reader.is_alive()
