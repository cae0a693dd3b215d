"""ES: Event Stream 2.0 of DVS events, 5 bytes each, times as differences.

Layout (neuromorphic-paris/event_stream, "Event Stream", version 2.0; its first 20 bytes are the
header's): a byte with the time since the last event in bits 7..1 and polarity in bit 0, then
little-endian 16-bit x and y. The byte 0xFE adds 127 microseconds and 0xFF nothing; neither is an
event. y counts from the bottom there; here, as everywhere, from the top.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.packet import Counters, EventPacket, Geometry

RECORD: Final = np.dtype([("tp", "u1"), ("x", "<u2"), ("y", "<u2")])
OVERFLOW, RESET = 0xFE, 0xFF
OVERFLOW_US: Final = 127
MARKS: Final = re.compile(rb"[\xfe\xff]+")


class _Run(NamedTuple):
    """`events` events in a row from byte `at`, `late_us` after what came before them."""

    at: int
    events: int
    late_us: int


class EsDecoder:
    """Stateful: bytes in portions of any size give the same events."""

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._bottom = geometry.height - 1
        self._counters = counters
        self._continuity = Continuity(geometry, counters)
        self._rest = b""
        self._t = 0

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        data = self._rest + data if self._rest else data
        runs, end, late_us = _runs(data)
        self._rest = data[end:]
        if not runs:
            self._t += late_us
            return []
        size = RECORD.itemsize
        records = np.frombuffer(
            b"".join([data[at : at + size * count] for at, count, _ in runs]), RECORD
        )
        steps = (records["tp"] >> 1).astype(np.int64)
        starts = np.cumsum([0, *(run.events for run in runs[:-1])])
        steps[starts] += [run.late_us for run in runs]
        steps[0] += self._t
        t: NDArray[np.int64] = np.cumsum(steps)
        self._t = int(t[-1]) + late_us
        # What lies below the bottom wraps to a y outside every sensor, and is dropped as such.
        y = np.uint16(self._bottom) - records["y"]
        p: NDArray[np.uint8] = records["tp"] & np.uint8(1)
        return self._continuity.packets(t, records["x"].astype(np.uint16), y, p)

    def finish(self) -> None:
        """The stream has ended."""
        self._counters.truncated |= bool(self._rest)


def _runs(data: bytes) -> tuple[list[_Run], int, int]:
    """Runs of whole events; where the first incomplete one begins; time after the last run."""
    marks = _marks_by_phase(data)
    runs: list[_Run] = []
    at, late_us, size = 0, 0, RECORD.itemsize
    while at < len(data):
        gap = MARKS.match(data, at)
        if gap is not None:
            late_us += OVERFLOW_US * gap.group().count(OVERFLOW)
            at = gap.end()
        phase = marks[at % size]
        place = bisect_left(phase, at)
        stop = phase[place] if place < len(phase) else len(data)
        count = (stop - at) // size
        if not count:
            break
        runs.append(_Run(at, count, late_us))
        at, late_us = at + count * size, 0
        if stop == len(data):
            break
    return runs, at, late_us


def _marks_by_phase(data: bytes) -> list[list[int]]:
    """Positions of bytes that would be no event where an event begins, by position modulo 5."""
    at = np.flatnonzero(np.frombuffer(data, np.uint8) >= OVERFLOW)
    return [at[at % RECORD.itemsize == phase].tolist() for phase in range(RECORD.itemsize)]
