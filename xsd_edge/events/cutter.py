"""Cutter: cuts packets into clips of equal slices. Knows no threads and no queue."""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Final

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import EventPacket

THIN_ABOVE: Final = 1 << 20  # events of one slice; a whole clip of eight then takes some 100 MB


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One of the equal parts of a clip: events with t0_us <= t < t1_us.

    `last` closes the clip. `discontinuity`: time jumped before this slice; only a clip's first can
    say so. `events_dropped` were thinned out of this slice, or lay between it and the one before.
    `ready_s` is when the slice was complete, on time.perf_counter's clock.
    """

    clip: int
    index: int
    t0_us: int
    t1_us: int
    events: EventPacket
    last: bool
    events_dropped: int
    discontinuity: bool
    ready_s: float


class Cutter:
    """Feed it packets; what it returns are the slices that are now complete.

    The first clip starts with the first event, each further one where the last ended. After a
    discontinuity the clip begun is given up, and a new one starts with the next event: a slice with
    index 0 then follows one that was not the last.
    """

    def __init__(self, clip_us: int, slices: int, *, thin: bool) -> None:
        if not 0 < slices <= clip_us:
            raise SourceError(f"a clip of {clip_us} us cannot be cut into {slices} slices")
        self.clip_us = clip_us
        self.origin_us: int | None = None  # where the first clip starts, if before its first event
        self.dropped = 0  # events of slices given up, and those thinned out
        self.clips_given_up = 0
        self._slices = slices
        self._thin = thin
        self._clip = -1
        self._index = 0
        self._t0 = 0
        self._jumped = False
        self._parts: list[EventPacket] = []
        self._count = 0
        self._stride = 1
        self._lost = 0  # dropped since the last slice was closed

    @property
    def open_events(self) -> int:
        """Events of the slice that is not complete yet."""
        return self._count

    def feed(self, packet: EventPacket) -> list[Slice]:
        """Cut one packet, which is not empty."""
        t0 = int(packet.t[0])
        if self._clip < 0 or packet.discontinuity or t0 < self._edge(self._index):
            self._start(t0)
        done: list[Slice] = []
        lo = 0
        while True:
            hi = lo + int(packet.t[lo:].searchsorted(self._edge(self._index + 1)))
            self._add(packet.slice(lo, hi))
            if hi == len(packet):
                return done
            done.append(self._close())
            lo = hi

    def advance(self, t_us: int) -> list[Slice]:
        """Close what ends by t_us: no event before that time will come."""
        done: list[Slice] = []
        while self._clip >= 0 and self._edge(self._index + 1) <= t_us:
            done.append(self._close())
        return done

    def _start(self, t_us: int) -> None:
        """Begin a clip; give up the one begun before."""
        if self._clip >= 0:
            self._jumped = True
            if self._index or self._count:
                self.clips_given_up += 1
            self._lose(self._count)
            self._parts, self._count, self._stride = [], 0, 1
        if self._clip < 0 or self._index:
            self._clip += 1
        self._index = 0
        origin = self.origin_us
        self._t0 = origin if origin is not None and 0 <= t_us - origin < self.clip_us else t_us

    def _edge(self, index: int) -> int:
        return self._t0 + self.clip_us * index // self._slices

    def _add(self, part: EventPacket) -> None:
        if not len(part):
            return
        kept = part if self._stride == 1 else _every(part, self._stride)
        self._parts.append(kept)
        self._count += len(kept)
        self._lose(len(part) - len(kept))
        while self._thin and self._count > THIN_ABOVE:
            whole = EventPacket.concatenate(self._parts)
            self._parts = [_every(whole, 2)]
            self._stride *= 2
            self._count = len(self._parts[0])
            self._lose(len(whole) - self._count)

    def _lose(self, events: int) -> None:
        self.dropped += events
        self._lost += events

    def _close(self) -> Slice:
        slice_ = Slice(
            clip=self._clip,
            index=self._index,
            t0_us=self._edge(self._index),
            t1_us=self._edge(self._index + 1),
            events=EventPacket.concatenate(self._parts),
            last=self._index == self._slices - 1,
            events_dropped=self._lost,
            discontinuity=self._jumped and self._index == 0,
            ready_s=perf_counter(),
        )
        self._parts, self._count, self._stride, self._lost = [], 0, 1, 0
        self._index += 1
        if slice_.last:
            self._t0, self._index, self._clip, self._jumped = slice_.t1_us, 0, self._clip + 1, False
        return slice_


def _every(packet: EventPacket, nth: int) -> EventPacket:
    t, x, y, p = (column[::nth].copy() for column in (packet.t, packet.x, packet.y, packet.p))
    return EventPacket(t, x, y, p, packet.discontinuity)
