"""EVT2: Prophesee's 32-bit words, one event each.

Layout (Prophesee, "EVT 2.0 Format"): bits 31..28 the kind, then
  0 CD_OFF, 1 CD_ON  27..22 the low bits of time, 21..11 x, 10..0 y: one event
  8 TIME_HIGH        27..0 the high bits of time
and A EXT_TRIGGER, E OTHERS, F CONTINUED, which carry no events.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.words import Unsigned, WordCutter, Words, held
from xsd_edge.events.packet import Counters, EventPacket, Geometry

ON, TIME_HIGH = 1, 8
UNKNOWN: Final = (2, 3, 4, 5, 6, 7, 9, 11, 12, 13)
LOW_BITS: Final = 6
HIGH_BITS: Final = 28
WRAP: Final = 1 << (HIGH_BITS - 1)  # a fall of the high bits by this much or more is a wrap


class Evt2Decoder:
    """Stateful: bytes in portions of any size give the same events. Times are unwrapped."""

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._cutter = WordCutter("<u4", UNKNOWN, counters)
        self._continuity = Continuity(geometry, counters)
        self._high: int | None = None  # unwrapped; nothing counts before the first TIME_HIGH

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        return [packet for words in self._cutter.feed(data) for packet in self._decode(words)]

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()

    def _decode(self, block: Words) -> list[EventPacket]:
        words, kinds = block
        at = np.flatnonzero(kinds == TIME_HIGH)
        if self._high is None:
            if not len(at):
                return []
            words, kinds, at = words[at[0] :], kinds[at[0] :], at - at[0]
            self._high = int(words[0] & 0xFFFFFFF)
        highs = self._unwrapped(words[at])
        event = kinds <= ON
        t = held(highs << LOW_BITS, at, np.cumsum(event, dtype=np.intp))
        words = words[event]
        t |= (words >> 22) & 0x3F
        x = ((words >> 11) & 0x7FF).astype(np.uint16)
        y = (words & 0x7FF).astype(np.uint16)
        return self._continuity.packets(t, x, y, (words >> 28).astype(np.uint8))

    def _unwrapped(self, words: Unsigned) -> NDArray[np.int64]:
        """The high bits of time known so far, then those of each TIME_HIGH, without wraps."""
        assert self._high is not None
        loop, last = divmod(self._high, 1 << HIGH_BITS)
        unwrapped = np.concatenate(([last], words & 0xFFFFFFF)).astype(np.int64)
        wraps = np.cumsum(np.diff(unwrapped) <= -WRAP)
        unwrapped[1:] += wraps << HIGH_BITS
        unwrapped += loop << HIGH_BITS
        self._high = int(unwrapped[-1])
        return unwrapped
