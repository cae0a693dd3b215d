"""DAT: Prophesee's 8-byte records, one event each.

Layout (Prophesee, "DAT File Format"): a little-endian 32-bit time in microseconds, then a 32-bit
word: bits 31..28 polarity, 27..14 y, 13..0 x. What stands before the records is the header's.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.clock import Unwrapped
from xsd_edge.events.decoders.records import RecordCutter
from xsd_edge.events.packet import Counters, EventPacket, Geometry

RECORD: Final = np.dtype([("t", "<u4"), ("xyp", "<u4")])
TIME_BITS: Final = 32  # 71.6 minutes


class DatDecoder:
    """Stateful: bytes in portions of any size give the same events. Times are unwrapped."""

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._cutter = RecordCutter(RECORD, counters)
        self._continuity = Continuity(geometry, counters)
        self._time = Unwrapped(TIME_BITS)

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        records = self._cutter.feed(data)
        if not len(records):
            return []
        if self._time.last is None:
            self._time.begin(int(records["t"][0]))
        t = self._time.follow(records["t"])[1:]
        word = records["xyp"].copy()  # side by side: the records' stride is twice as long
        x, y = (word & 0x3FFF).astype(np.uint16), ((word >> 14) & 0x3FFF).astype(np.uint16)
        return self._continuity.packets(t, x, y, (word >> 28 != 0).astype(np.uint8))

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()
