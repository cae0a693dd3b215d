"""EVT3 one word after another: compiled by numba where it is installed, three times as fast."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.evt3 import (
    ADDR_X,
    POPULATION,
    TIME_HIGH,
    TRIGGER,
    UNKNOWN,
    VECT_12,
    Evt3Decoder,
)
from xsd_edge.events.decoders.words import WordCutter, Words
from xsd_edge.events.packet import Counters, EventPacket, Geometry

# What the loop remembers between blocks, by place in its state.
HIGH, LOW, LOOP, Y, BASE_X, BASE_P, STATE = range(7)
BEYOND: Final = 0xFFFF  # an x outside every sensor


class Loop(Protocol):
    """Decodes `words` into t, x, y, p from 0 on; returns how many events those were."""

    def __call__(
        self,
        words: NDArray[np.uint16],
        state: NDArray[np.int64],
        t: NDArray[np.int64],
        x: NDArray[np.uint16],
        y: NDArray[np.uint16],
        p: NDArray[np.uint8],
    ) -> int: ...


def decode_words(words, state, t, x, y, p):  # type: ignore[no-untyped-def]  # numba infers them
    """The format's definition, see evt3; plain Python, and what numba compiles."""
    high, low, loop = state[HIGH], state[LOW], state[LOOP]
    row, base, polarity = state[Y], state[BASE_X], state[BASE_P]
    now = loop << 24 | high << 12 | low
    n = 0
    for word in words:
        kind = word >> 12
        if kind == 2:
            t[n] = now
            x[n] = word & 0x7FF
            y[n] = row
            p[n] = word >> 11 & 1
            n += 1
        elif kind == 0:
            row = np.int64(word & 0x7FF)
        elif kind == 6:
            low = np.int64(word & 0xFFF)
            now = loop << 24 | high << 12 | low
        elif kind == 8:
            value = np.int64(word & 0xFFF)
            if value != high:
                if high - value >= 2048:
                    loop += 1
                high, low = value, 0
                now = loop << 24 | high << 12
        elif kind == 3:
            base, polarity = np.int64(word & 0x7FF), np.int64(word >> 11 & 1)
        elif kind == 4 or kind == 5:
            width = 12 if kind == 4 else 8
            for bit in range(width):
                if word >> bit & 1:
                    t[n] = now
                    x[n] = min(base + bit, BEYOND)
                    y[n] = row
                    p[n] = polarity
                    n += 1
            base = min(base + width, BEYOND)
    state[HIGH], state[LOW], state[LOOP] = high, low, loop
    state[Y], state[BASE_X], state[BASE_P] = row, base, polarity
    return n


@cache
def compiled() -> Loop | None:
    """`decode_words` in machine code, kept on disk where there is a place for it; None without
    numba, or with one that this NumPy is too new for.
    """
    try:
        from numba import int64, njit, types, uint8, uint16
    except ImportError:
        return None
    words = types.Array(uint16, 1, "C", readonly=True)
    signature = int64(words, int64[::1], int64[::1], uint16[::1], uint16[::1], uint8[::1])
    loop: Loop
    try:
        loop = njit(signature, cache=True, nogil=True)(decode_words)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        loop = njit(signature, nogil=True)(decode_words)
    return loop


class Evt3LoopDecoder:
    """Evt3Decoder's twin around a loop over words."""

    def __init__(self, geometry: Geometry, counters: Counters, loop: Loop) -> None:
        self._cutter = WordCutter("<u2", UNKNOWN, counters)
        self._continuity = Continuity(geometry, counters)
        self._counters = counters
        self._loop = loop
        self._state: NDArray[np.int64] | None = None  # nothing counts before the first TIME_HIGH

    def feed(self, data: bytes) -> list[EventPacket]:
        """Events that `data` completes."""
        return [packet for words in self._cutter.feed(data) for packet in self._decode(words)]

    def finish(self) -> None:
        """The stream has ended."""
        self._cutter.finish()

    def _decode(self, block: Words) -> list[EventPacket]:
        words: NDArray[Any] = block.words
        kinds = block.kinds
        if self._state is None:
            at = np.flatnonzero(kinds == TIME_HIGH)
            if not len(at):
                return []
            words, kinds = words[at[0] :], kinds[at[0] :]
            self._state = np.zeros(STATE, np.int64)
            self._state[HIGH] = words[0] & 0xFFF
        self._counters.triggers += int(np.count_nonzero(kinds == TRIGGER))
        vectors = words[(kinds & 0xE) == VECT_12]  # VECT_12 or VECT_8
        most = int(np.count_nonzero(kinds == ADDR_X) + POPULATION[vectors & 0xFFF].sum())
        t, x, y = np.empty(most, np.int64), np.empty(most, np.uint16), np.empty(most, np.uint16)
        p = np.empty(most, np.uint8)
        aligned = words if words.flags.aligned else words.copy()  # else behind a lost odd byte
        count = self._loop(aligned, self._state, t, x, y, p)
        return self._continuity.packets(t[:count], x[:count], y[:count], p[:count])


def fastest_evt3(geometry: Geometry, counters: Counters) -> Evt3Decoder | Evt3LoopDecoder:
    """The compiled loop where numba is installed, else the vectorised decoder."""
    loop = compiled()
    if loop is None:
        return Evt3Decoder(geometry, counters)
    return Evt3LoopDecoder(geometry, counters, loop)
