"""EVT3: Prophesee's 16-bit words; y, time and vectors of up to 12 events are words of their own.

Layout (Prophesee, "EVT 3.0 Format"): bits 15..12 the kind, then
  0 ADDR_Y      10..0 y of what follows
  2 ADDR_X      11 polarity, 10..0 x: one event
  3 VECT_BASE_X 11 polarity, 10..0 x of the next vector's first pixel
  4 VECT_12     11..0 one bit a pixel; the base moves on by 12
  5 VECT_8      7..0 likewise; the base moves on by 8
  6 TIME_LOW    11..0 low bits of time
  8 TIME_HIGH   11..0 high bits of time; as in OpenEB a new value resets the low bits
  A EXT_TRIGGER an edge, counted
and 7 CONTINUED_4, 9 padding, E OTHERS, F CONTINUED_12, which carry no events.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.clock import Unwrapped
from xsd_edge.events.decoders.words import Unsigned, WordCutter, Words, held
from xsd_edge.events.packet import Counters, EventPacket, Geometry

ADDR_Y, ADDR_X, VECT_BASE_X, VECT_12, VECT_8, TIME_LOW, TIME_HIGH = 0, 2, 3, 4, 5, 6, 8
TRIGGER: Final = 10
UNKNOWN: Final = (1, 11, 12, 13)
TIME_BITS: Final = 12  # each of low and high
BEYOND: Final = 0xFFFF  # an x outside every sensor

# The numbers of the bits set in every 12-bit mask, one after another; a mask's from FIRST[mask].
_SET: Final = (np.arange(1 << 12)[:, None] >> np.arange(12)) & 1
POPULATION: Final = _SET.sum(axis=1)  # np.bitwise_count needs NumPy 2
FIRST: Final = np.cumsum(POPULATION) - POPULATION
BITS: Final = np.nonzero(_SET)[1]


class _State(NamedTuple):
    """The words that are no single event, [k], and how many events come before each."""

    words: Unsigned
    kinds: NDArray[np.uint8]
    before: NDArray[np.intp]


class _Columns(NamedTuple):
    """x and p of events, both [n]."""

    x: NDArray[np.uint16]
    p: NDArray[np.uint8]


class Evt3Decoder:
    """Stateful: bytes in portions of any size give the same events. Times are unwrapped."""

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._cutter = WordCutter("<u2", UNKNOWN, counters)
        self._continuity = Continuity(geometry, counters)
        self._counters = counters
        self._high = Unwrapped(TIME_BITS)  # nothing counts before the first TIME_HIGH
        self._t = 0
        self._y = 0
        self._base_x = 0
        self._base_p = 0

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        return [packet for words in self._cutter.feed(data) for packet in self._decode(words)]

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()

    def _decode(self, block: Words) -> list[EventPacket]:
        if self._high.last is None:
            at = np.flatnonzero(block.kinds == TIME_HIGH)
            if not len(at):
                return []
            block = Words(block.words[at[0] :], block.kinds[at[0] :])
            self._high.begin(int(block.words[0]))
            self._t = self._high.low_bits << TIME_BITS
        self._counters.triggers += int(np.count_nonzero(block.kinds == TRIGGER))
        others = np.flatnonzero(block.kinds != ADDR_X)
        words, kinds = block.words[others], block.kinds[others]
        if ((kinds & 0xE) == VECT_12).any():  # VECT_12 or VECT_8
            (x, p), count = self._with_vectors(block)
            before = (np.cumsum(count) - count)[others]
        else:
            x, p = self._singles(block)
            before = others - np.arange(len(others))
        state = _State(words, kinds, before)
        t, y = self._times(state, len(x)), self._rows(state, len(x))
        return self._continuity.packets(t, x, y, p)

    def _rows(self, state: _State, events: int) -> NDArray[np.uint16]:
        """y of each event."""
        at = np.flatnonzero(state.kinds == ADDR_Y)
        rows = np.empty(len(at) + 1, np.uint16)
        rows[0], rows[1:] = self._y, state.words[at] & 0x7FF
        self._y = int(rows[-1])
        return held(rows, state.before[at], events)

    def _times(self, state: _State, events: int) -> NDArray[np.int64]:
        """t of each event, without wraps."""
        lows, highs = self._lows_and_new_highs(state)
        high = self._high.follow(state.words[highs]) << TIME_BITS
        place = np.searchsorted(lows, highs)  # of each new TIME_HIGH among the TIME_LOWs
        low = np.repeat(high, np.diff(np.concatenate(([0], place, [len(lows)]))))
        low += state.words[lows] & 0xFFF
        times = np.insert(low, np.concatenate(([0], place)), np.concatenate(([self._t], high[1:])))
        self._t = int(times[-1])
        return held(times, state.before[np.insert(lows, place, highs)], events)

    def _lows_and_new_highs(self, state: _State) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Numbers of TIME_LOW, and of TIME_HIGH where it changes (most only repeat the last)."""
        highs = np.flatnonzero(state.kinds == TIME_HIGH)
        known = np.uint16(self._high.low_bits)
        value = np.concatenate(([known], state.words[highs] & 0xFFF))
        return np.flatnonzero(state.kinds == TIME_LOW), highs[value[1:] != value[:-1]]

    def _singles(self, block: Words) -> _Columns:
        self._bases(block, np.empty(0, np.intp))  # for vectors to come
        words = block.words[np.flatnonzero(block.kinds == ADDR_X)]
        return _Columns((words & 0x7FF).astype(np.uint16), ((words >> 11) & 1).astype(np.uint8))

    def _with_vectors(self, block: Words) -> tuple[_Columns, NDArray[np.intp]]:
        """Columns of a block that has vectors, and how many events each word is, [words]."""
        vectors = np.flatnonzero((block.kinds & 0xE) == VECT_12)
        first_x, polarity = self._bases(block, vectors)
        mask = block.words[vectors] & np.where(block.kinds[vectors] == VECT_8, 0xFF, 0xFFF)
        count = (block.kinds == ADDR_X).astype(np.intp)
        count[vectors] = POPULATION[mask]
        x, p = (block.words & 0x7FF).astype(np.int64), ((block.words >> 11) & 1).astype(np.uint8)
        x[vectors], p[vectors] = first_x, polarity
        bits = np.full(len(count), FIRST[1])  # a single event is a vector with its first bit set
        bits[vectors] = FIRST[mask]
        word = np.repeat(np.arange(len(count)), count)
        nth = np.arange(len(word)) - (np.cumsum(count) - count)[word]
        x = x[word] + BITS[bits[word] + nth]
        return _Columns(np.minimum(x, BEYOND).astype(np.uint16), p[word]), count

    def _bases(
        self, block: Words, vectors: NDArray[np.intp]
    ) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
        """First x and polarity of each vector: the last base's, moved on by the vectors since."""
        at = np.flatnonzero(block.kinds == VECT_BASE_X)
        x = np.concatenate(([self._base_x], block.words[at] & 0x7FF)).astype(np.int64)
        p = np.concatenate(([self._base_p], (block.words[at] >> 11) & 1)).astype(np.uint8)
        width = np.where(block.kinds[vectors] == VECT_8, 8, 12)
        moved = np.concatenate(([0], np.cumsum(width)))
        x[1:] -= moved[np.searchsorted(vectors, at)]
        base = np.searchsorted(at, vectors)
        self._base_x, self._base_p = min(int(x[-1] + moved[-1]), BEYOND), int(p[-1])
        return x[base] + moved[:-1], p[base]
