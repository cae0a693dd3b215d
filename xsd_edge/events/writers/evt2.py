"""EVT2: one 32-bit word an event; see decoders.evt2 for the layout."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.decoders.evt2 import HIGH_BITS, LOW_BITS, TIME_HIGH
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.writers.ticks import Ticks
from xsd_edge.events.writers.writer import ByteFormat


class Evt2Encoder:
    """Says TIME_HIGH wherever it changes, first of all before the first event."""

    def __init__(self) -> None:
        self._ticks = Ticks("EVT2", HIGH_BITS)
        self._said = 0  # which is said before anything relies on it

    def encode(self, packet: EventPacket) -> bytes:
        high: NDArray[np.int64] = packet.t >> LOW_BITS
        parts = []
        for lo, hi, before in self._ticks.stretches(high):
            parts.append(_time_high(np.array(before, np.int64)))
            events = (
                packet.p[lo:hi].astype(np.uint32) << 28
                | (packet.t[lo:hi] & 0x3F).astype(np.uint32) << 22
                | packet.x[lo:hi].astype(np.uint32) << 11
                | packet.y[lo:hi]
            )
            said = before[-1] if before else self._said
            changes = np.flatnonzero(np.diff(high[lo:hi], prepend=said))
            parts.append(np.insert(events, changes, _time_high(high[lo:hi][changes])))
            self._said = int(high[hi - 1])
        return np.concatenate(parts).astype("<u4").tobytes()


def _time_high(high: NDArray[np.int64]) -> NDArray[np.uint32]:
    low = (high & ((1 << HIGH_BITS) - 1)).astype(np.uint32)
    words: NDArray[np.uint32] = low | np.uint32(TIME_HIGH << 28)
    return words


def header(geometry: Geometry, t0_us: int) -> bytes:
    """What Prophesee's tools and faery read; `t0` only where time does not fit."""
    return evt_header("2.0", "EVT2", geometry, t0_us)


def evt_header(version: str, name: str, geometry: Geometry, t0_us: int) -> bytes:
    """The lines in front of either EVT format."""
    size = f"width={geometry.width};height={geometry.height}"
    t0 = f"% t0 {t0_us}\n" if t0_us else ""
    lines = f"% evt {version}\n% format {name};{size}\n% geometry {geometry}\n{t0}% end\n"
    return lines.encode()


EVT2: Final = ByteFormat("EVT2", 1 << 11, 1 << (LOW_BITS + HIGH_BITS), header, Evt2Encoder)
