"""EVT2: Prophesee's 32-bit words, one event each.

Layout (Prophesee, "EVT 2.0 Format"): bits 31..28 the kind, then
  0 CD_OFF, 1 CD_ON  27..22 the low bits of time, 21..11 x, 10..0 y: one event
  8 TIME_HIGH        27..0 the high bits of time
  A EXT_TRIGGER      an edge, counted
and E OTHERS, F CONTINUED, which carry no events.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.clock import Unwrapped
from xsd_edge.events.decoders.words import WordCutter, Words, held
from xsd_edge.events.packet import Counters, EventPacket, Geometry

ON, TIME_HIGH, TRIGGER = 1, 8, 10
UNKNOWN: Final = (2, 3, 4, 5, 6, 7, 9, 11, 12, 13)
LOW_BITS: Final = 6
HIGH_BITS: Final = 28


def events_before(at: NDArray[np.intp], event: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many words before each of those `at`, which are none, are events."""
    others = np.flatnonzero(~event)  # few: a sum over all words would take longer
    return at - np.searchsorted(others, at)


class Timed(NamedTuple):
    """The words of a block that are events, [n], their times, and where the other arrays of the
    same block are to be cut alike: from `start` on, where `event` says so.
    """

    words: NDArray[np.uint32]
    t: NDArray[np.int64]
    start: int
    event: NDArray[np.bool_]

    @property
    def x(self) -> NDArray[np.uint16]:
        return ((self.words >> 11) & 0x7FF).astype(np.uint16)

    @property
    def y(self) -> NDArray[np.uint16]:
        return (self.words & 0x7FF).astype(np.uint16)

    @property
    def p(self) -> NDArray[np.uint8]:
        return (self.words >> 28).astype(np.uint8)


class Clock:
    """Puts times to words, and counts triggers; what comes before the first TIME_HIGH is lost."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._high = Unwrapped(HIGH_BITS)

    def timed(self, words: NDArray[np.uint32], kinds: NDArray[np.uint8]) -> Timed | None:
        """The events among a block's words; None before the first TIME_HIGH."""
        at, start = np.flatnonzero(kinds == TIME_HIGH), 0
        if self._high.last is None:
            if not len(at):
                return None
            start = int(at[0])
            words, kinds, at = words[start:], kinds[start:], at - start
            self._high.begin(int(words[0]))
        self._counters.triggers += int(np.count_nonzero(kinds == TRIGGER))
        highs = self._high.follow(words[at])
        event = kinds <= ON
        words, before = words[event], events_before(at, event)
        t = held(highs << LOW_BITS, before, len(words))
        t |= (words >> 22) & 0x3F
        return Timed(words, t, start, event)


class Evt2Decoder:
    """Stateful: bytes in portions of any size give the same events. Times are unwrapped."""

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._cutter = WordCutter("<u4", UNKNOWN, counters)
        self._continuity = Continuity(geometry, counters)
        self._clock = Clock(counters)

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        return [packet for words in self._cutter.feed(data) for packet in self._decode(words)]

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()

    def _decode(self, block: Words) -> list[EventPacket]:
        timed = self._clock.timed(*block)
        if timed is None:
            return []
        return self._continuity.packets(timed.t, timed.x, timed.y, timed.p)
