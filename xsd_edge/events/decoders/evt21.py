"""EVT2.1: Prophesee's 64-bit words, up to 32 events of one row, time and polarity each.

Layout (Prophesee, "EVT 2.1 Format"): bits 63..60 the kind, then
  0 CD_OFF, 1 CD_ON  59..54 the low bits of time, 53..43 x of the first pixel, 42..32 y,
                     31..0 one bit a pixel
  8 TIME_HIGH        59..32 the high bits of time
  A EXT_TRIGGER      an edge, counted
and E OTHERS, F CONTINUED, which carry no events. The GenX320 sends words in little-endian order;
the IMX636 ("legacy") sends the upper half first, each half in little-endian order.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.evt2 import TIME_HIGH, UNKNOWN, Clock
from xsd_edge.events.decoders.words import Unsigned, WordCutter, Words
from xsd_edge.events.packet import Counters, EventPacket, Geometry

WIDTH: Final = 32  # pixels of one word
LEGACY_SHIFT: Final = 28  # of the kind, where the halves are swapped


class Evt21Decoder:
    """Stateful: bytes in portions of any size give the same events. Times are unwrapped."""

    def __init__(self, geometry: Geometry, counters: Counters, *, legacy: bool = False) -> None:
        shift = LEGACY_SHIFT if legacy else None
        anchor = _legacy_time_high if legacy else _time_high
        self._cutter = WordCutter("<u8", UNKNOWN, counters, shift=shift, anchor=anchor)
        self._upper = 0 if legacy else 1
        self._continuity = Continuity(geometry, counters)
        self._clock = Clock(counters)

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        return [packet for words in self._cutter.feed(data) for packet in self._decode(words)]

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()

    def _decode(self, block: Words) -> list[EventPacket]:
        words, kinds = block
        halves = words.view("<u4").reshape(-1, 2)
        timed = self._clock.timed(halves[:, self._upper], kinds)
        if timed is None:
            return []
        mask = halves[timed.start :, 1 - self._upper][timed.event]
        word, bit = _set_bits(mask)
        x, y, p = timed.x[word] + bit, timed.y[word], timed.p[word]
        return self._continuity.packets(timed.t[word], x, y, p)


# Cut at a wrong byte, EVT2.1 still looks like events. Only TIME_HIGH, half of which is zero, tells.
def _time_high(words: Unsigned) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = ((words >> 60) == TIME_HIGH) & ((words & 0xFFFFFFFF) == 0)
    return found


def _legacy_time_high(words: Unsigned) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (words >> LEGACY_SHIFT) == TIME_HIGH
    return found


def _set_bits(mask: NDArray[np.uint32]) -> tuple[NDArray[np.intp], NDArray[np.uint16]]:
    """For each bit set, in order: of which mask, and which bit."""
    if ((mask & (mask - np.uint32(1))) == 0).all() and mask.all():  # one pixel a word: common
        _, exponent = np.frexp(mask.astype(np.float64))
        return np.arange(len(mask)), (exponent - 1).astype(np.uint16)
    bits = np.unpackbits(mask.astype("<u4").view(np.uint8), bitorder="little")
    word, bit = np.nonzero(bits.reshape(-1, WIDTH))
    return word, bit.astype(np.uint16)
