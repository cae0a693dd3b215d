"""Datagrams: event formats that travel over UDP, each datagram whole in itself.

spif     32-bit little-endian words. Bit 31 set: bits 30..16 x, 15 polarity, 14..0 y, and the event
         happened when it arrived. Bit 31 of a datagram's first word clear: after every event word
         comes one with its time in microseconds. (SpiNNaker's interface, as AEStream sends it.)
faery64  13 bytes: t uint64, x uint16, y uint16, on uint8; little-endian.
faery32  8 bytes: t uint32, x uint16, uint16 of y << 1 | on; little-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

FAERY64: Final = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "u1")])
FAERY32: Final = np.dtype([("t", "<u4"), ("x", "<u2"), ("y_on", "<u2")])
LATEST: Final = 1 << 62  # a later time is a lie; differences of times must fit int64
TIMED: Final = 0x80  # bit 31 of the first word, in its last byte; clear where times follow


class Arrived(NamedTuple):
    """Events of some datagrams, each [n]."""

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.uint8]


class Batch(NamedTuple):
    """Datagrams laid end to end in `data`; of each its length in bytes and when it came."""

    data: memoryview
    lengths: list[int]
    arrivals_us: list[int]


class DatagramDecoder(Protocol):
    """Stateful only in its clock. A datagram has a whole number of `record` bytes."""

    record: int

    def decode(self, batch: Batch) -> list[Arrived]: ...


class Clock32:
    """Unwraps a clock of 32 bits, which runs over every 71 minutes; a step is the shorter way."""

    def __init__(self) -> None:
        self._last: int | None = None

    def unwrap(self, t: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Microseconds that go on from the last call's."""
        last = int(t[0]) if self._last is None else self._last
        before = np.concatenate(([np.uint32(last & 0xFFFFFFFF)], t[:-1]))
        unwrapped: NDArray[np.int64] = last + np.cumsum((t - before).view(np.int32), dtype=np.int64)
        self._last = int(unwrapped[-1])
        return unwrapped


class Spif:
    """AEStream's words, with times or without."""

    record = 4

    def __init__(self) -> None:
        self._clock = Clock32()

    def decode(self, batch: Batch) -> list[Arrived]:
        found: list[Arrived] = []
        at = 0
        pairs = zip(batch.lengths, batch.arrivals_us, strict=True)
        starts = np.cumsum([0, *batch.lengths])
        flags = [batch.data[start + 3] & TIMED for start in starts[:-1]]
        for flag, group in groupby(zip(flags, pairs, strict=True), key=lambda item: item[0]):
            lengths, arrivals = zip(*(pair for _, pair in group), strict=True)
            words = np.frombuffer(batch.data, "<u4", sum(lengths) // 4, at)
            at += sum(lengths)
            if flag:
                counts = np.array(lengths) // 4
                found.append(_events(words, np.repeat(np.array(arrivals, np.int64), counts)))
            elif len(words) > 1:
                times = words[1::2]
                found.append(_events(words[0::2][: len(times)], self._clock.unwrap(times)))
        return found


def _events(words: NDArray[np.uint32], t: NDArray[np.int64]) -> Arrived:
    return Arrived(
        t,
        ((words >> 16) & 0x7FFF).astype(np.uint16),
        (words & 0x7FFF).astype(np.uint16),
        ((words >> 15) & 1).astype(np.uint8),
    )


class Faery64:
    """faery's t64_x16_y16_on8."""

    record = FAERY64.itemsize

    def decode(self, batch: Batch) -> list[Arrived]:
        events = np.frombuffer(batch.data, FAERY64, sum(batch.lengths) // self.record)
        x, y = (events[key].astype(np.uint16) for key in ("x", "y"))
        t = np.minimum(events["t"], np.uint64(LATEST)).astype(np.int64)
        return [Arrived(t, x, y, (events["on"] != 0).astype(np.uint8))]


class Faery32:
    """faery's t32_x16_y15_on1."""

    record = FAERY32.itemsize

    def __init__(self) -> None:
        self._clock = Clock32()

    def decode(self, batch: Batch) -> list[Arrived]:
        events = np.frombuffer(batch.data, FAERY32, sum(batch.lengths) // self.record)
        t = self._clock.unwrap(events["t"].astype(np.uint32))
        y, on = events["y_on"] >> 1, events["y_on"] & 1
        return [Arrived(t, events["x"].astype(np.uint16), y.astype(np.uint16), on.astype(np.uint8))]


DATAGRAMS: Final[dict[str, Callable[[], DatagramDecoder]]] = {
    "spif": Spif,
    "faery64": Faery64,
    "faery32": Faery32,
}
