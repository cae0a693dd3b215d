"""Continuity: what turns decoded events into packets: inside the sensor, in order, jumps marked."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.packet import Counters, EventPacket, Geometry

JITTER_US: Final = 10_000  # sensors run TIME_LOW over before TIME_HIGH: 4096 us back, then forth
GAP_US: Final = 1_000_000  # a longer silence in a stream is lost data, or cannot be told from it


class Continuity:
    """Takes a source's events in portions of any size; the result does not depend on the portions.

    Events outside the sensor are dropped. Steps back of up to JITTER_US are flattened (the event
    gets the latest time seen); steps back beyond that, and forward beyond GAP_US, are
    discontinuities. Everything is counted.
    """

    def __init__(self, geometry: Geometry, counters: Counters) -> None:
        self._geometry = geometry
        self._counters = counters
        self._before: int | None = None  # time of the event before, as decoded
        self._latest = 0  # the latest time since the last discontinuity
        self._broken = False  # something was lost since the last event

    def interrupt(self) -> None:
        """Data were lost here: the next event begins a new stretch, whatever its time."""
        self._broken = True

    def packets(
        self,
        t: NDArray[np.int64],
        x: NDArray[np.uint16],
        y: NDArray[np.uint16],
        p: NDArray[np.uint8],
    ) -> list[EventPacket]:
        """Packets of the given events, each [n]; several where time jumps, none for no events."""
        if len(t) and (x.max() >= self._geometry.width or y.max() >= self._geometry.height):
            inside = (x < self._geometry.width) & (y < self._geometry.height)
            self._counters.dropped_geometry += len(t) - int(np.count_nonzero(inside))
            t, x, y, p = t[inside], x[inside], y[inside], p[inside]
        if not len(t):
            return []
        self._counters.events += len(t)
        broken, self._broken = self._broken and self._before is not None, False
        if self._before is None or broken:
            self._before = self._latest = int(t[0])
        steps = np.empty_like(t)
        steps[0] = t[0] - self._before
        np.subtract(t[1:], t[:-1], out=steps[1:])
        self._before = int(t[-1])
        # Seen as unsigned, a step back is larger than any gap: one pass over them instead of two.
        if steps.view(np.uint64).max() <= GAP_US and t[0] >= self._latest:
            self._latest = self._before
            return [EventPacket(t, x, y, p, broken)]
        return self._split(EventPacket(t, x, y, p, broken), steps)

    def _split(self, events: EventPacket, steps: NDArray[np.int64]) -> list[EventPacket]:
        self._counters.backward_jumps += int(np.count_nonzero(steps < 0))
        jumps = np.flatnonzero((steps < -JITTER_US) | (steps > GAP_US)).tolist()
        packets = []
        for number, (lo, hi) in enumerate(pairwise([0, *jumps, len(events)])):
            if lo == hi:  # the first event is a jump
                continue
            t = np.maximum.accumulate(events.t[lo:hi])
            if number == 0:
                t = np.maximum(t, self._latest)
            part = events.slice(lo, hi)
            packets.append(EventPacket(t, part.x, part.y, part.p, number > 0 or part.discontinuity))
            self._latest = int(t[-1])
        return packets
