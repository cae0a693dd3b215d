"""EVT3: 16-bit words of single events; see decoders.evt3 for the layout.

Vectors are not written: they would save a fifth of a usual scene, and change the order of events.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.decoders.evt3 import ADDR_X, TIME_BITS, TIME_HIGH, TIME_LOW
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.writers.evt2 import evt_header
from xsd_edge.events.writers.ticks import Ticks
from xsd_edge.events.writers.writer import ByteFormat


class Evt3Encoder:
    """Says time and row wherever they change, all of them before the first event."""

    def __init__(self) -> None:
        self._ticks = Ticks("EVT3", TIME_BITS)
        self._t = -1  # of the event before
        self._y = -1

    def encode(self, packet: EventPacket) -> bytes:
        high = packet.t >> TIME_BITS
        parts = []
        for lo, hi, before in self._ticks.stretches(high):
            parts.append(_words(TIME_HIGH, np.array(before, np.int64)))
            if before:  # which resets the low part
                self._t = -1
            parts.append(self._stretch(packet.slice(lo, hi), before[-1] if before else None))
        return np.concatenate(parts).astype("<u2").tobytes()

    def _stretch(self, events: EventPacket, said: int | None) -> NDArray[np.uint16]:
        """TIME_HIGH, TIME_LOW, ADDR_Y and ADDR_X of each event, without what is known already."""
        y = events.y.astype(np.int64)
        high = events.t >> TIME_BITS
        words = np.empty((len(events), 4), np.uint16)
        needed = np.ones((len(events), 4), bool)
        known = self._t >> TIME_BITS if said is None else said
        needed[:, 0] = np.diff(high, prepend=known) != 0
        needed[:, 1] = np.diff(events.t, prepend=self._t) != 0
        needed[:, 2] = np.diff(y, prepend=self._y) != 0
        words[:, 0] = _words(TIME_HIGH, high)
        words[:, 1] = _words(TIME_LOW, events.t)
        words[:, 2] = events.y
        words[:, 3] = np.uint16(ADDR_X << 12) | events.p.astype(np.uint16) << 11 | events.x
        self._t, self._y = int(events.t[-1]), int(y[-1])
        return words[needed]


def _words(kind: int, values: NDArray[np.int64]) -> NDArray[np.uint16]:
    words: NDArray[np.uint16] = (values & 0xFFF).astype(np.uint16) | np.uint16(kind << 12)
    return words


def header(geometry: Geometry, t0_us: int) -> bytes:
    """What Prophesee's tools and faery read."""
    return evt_header("3.0", "EVT3", geometry, t0_us)


EVT3: Final = ByteFormat("EVT3", 1 << 11, 1 << (2 * TIME_BITS), header, Evt3Encoder)
