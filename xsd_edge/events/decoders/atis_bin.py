"""bin: the 5-byte records of N-MNIST and N-Caltech101, one event each; no header, no sensor size.

Layout (Orchard et al., "Converting Static Image Datasets to Spiking Neuromorphic Datasets Using
Saccades", 2015, and its reader): x, y, then 24 big-endian bits: polarity and 23 of time in
microseconds. A record with y = 240 is no event: it moves the time of all that follow by 2^13.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import JITTER_US, Continuity
from xsd_edge.events.decoders.clock import Unwrapped
from xsd_edge.events.decoders.records import RecordCutter
from xsd_edge.events.packet import Counters, EventPacket, Geometry

RECORD: Final = np.dtype([("x", "u1"), ("y", "u1"), ("high", "u1"), ("low", ">u2")])
TIME_BITS: Final = 23
TIME_MARK: Final = 240  # a y that no event has
TIME_STEP: Final = 1 << 13
GEOMETRY: Final = Geometry(240, 180)  # the largest picture in either data set


class AtisBinDecoder:
    """Stateful: bytes in portions of any size give the same events. Times are unwrapped."""

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._cutter = RecordCutter(RECORD, counters)
        self._continuity = Continuity(geometry, counters)
        self._time = Unwrapped(TIME_BITS)
        self._moved = 0  # by records that only move time

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        records = self._cutter.feed(data)
        if not len(records):
            return []
        low = _times(records)
        if self._time.last is None:
            self._time.begin(int(low[0]))
        t = self._time.follow(low)[1:] + self._moved
        mark = records["y"] == TIME_MARK
        if mark.any():
            moved = np.cumsum(mark) * TIME_STEP
            self._moved += int(moved[-1])
            records, t = records[~mark], (t + moved)[~mark]
        x, y = records["x"].astype(np.uint16), records["y"].astype(np.uint16)
        p: NDArray[np.uint8] = records["high"] >> np.uint8(7)
        return self._continuity.packets(t, x, y, p)

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()


def fits(path: Path, head: bytes) -> bool:
    """Is it named so, of whole records, and in order of time? Its bytes bear no mark."""
    if path.suffix.lower() != ".bin" or path.stat().st_size % RECORD.itemsize:
        return False
    t = _times(np.frombuffer(head, RECORD, len(head) // RECORD.itemsize))
    back = np.diff(t.astype(np.int64))
    return not ((back < -JITTER_US) & (back > -(1 << (TIME_BITS - 1)))).any()


def _times(records: NDArray[Any]) -> NDArray[np.uint32]:
    times: NDArray[np.uint32] = (records["high"] & 0x7F).astype(np.uint32) << 16 | records["low"]
    return times
