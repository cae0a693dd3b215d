"""Recording: a finite source. Reads ahead to know its length; has at least one event."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator
from threading import Lock

import numpy as np

from xsd_edge.errors import FormatError
from xsd_edge.events.continuity import GAP_US
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import Extent, FrameTrack


class Recording:
    """Packets from a decoder that reads a file. `name` is what messages call it.

    `encoding` is what the file turned out to be, like "evt3" or "npz".
    """

    live = False

    def __init__(
        self,
        name: str,
        encoding: str,
        geometry: Geometry,
        counters: Counters,
        decoded: Generator[EventPacket],
        frames: FrameTrack | None = None,
    ) -> None:
        self.encoding = encoding
        self.geometry = geometry
        self.counters = counters
        self.frames = frames
        self._name = name
        self._decoded = decoded
        self._ahead: deque[EventPacket] = deque()
        self._stretch: Extent | None = None  # the one being read
        self._longest: Extent | None = None
        self._closed = False
        # CPython 3.11 crashes where two threads close a generator inside its `yield from`.
        self._turn = Lock()

    def extent(self, enough_us: int) -> Extent | None:
        """The longest stretch without jumps; with frames it includes the time they look back on."""
        while self._longest is None or self._longest.length_us < enough_us:
            packet = self._read()
            if packet is None:
                break
            self._ahead.append(packet)
        if self._longest is None or self.frames is None:
            return self._longest
        return _with_frames(self._longest, self.frames)

    def packets(self) -> Iterator[EventPacket]:
        """All events.

        Raises:
            SourceError: the file cannot be read on, or there is no event in it.
        """
        while not self._closed:
            packet = self._ahead.popleft() if self._ahead else self._read()
            if packet is None:
                return
            yield packet
        with self._turn:
            self._decoded.close()

    def close(self) -> None:
        """End `packets` before its next packet."""
        self._closed = True
        if self._turn.acquire(blocking=False):  # else it is decoding right now, and sees the flag
            try:
                self._decoded.close()
            finally:
                self._turn.release()

    def _read(self) -> EventPacket | None:
        with self._turn:
            packet = next(self._decoded, None)
        if packet is None:
            if not self.counters.events and not self._closed:
                raise FormatError(self._emptiness())
            return None
        t0, t1 = int(packet.t[0]), int(packet.t[-1]) + 1
        if self._stretch is not None and not packet.discontinuity:
            t0 = self._stretch.t0_us
        self._stretch = Extent(t0, t1)
        if self._longest is None or self._stretch.length_us > self._longest.length_us:
            self._longest = self._stretch
        return packet

    def _emptiness(self) -> str:
        outside = self.counters.dropped_geometry
        if outside:
            return (
                f"all {outside} events of {self._name} lie outside {self.geometry}; "
                "give the sensor's real size, like ?size=1280x720"
            )
        return f"{self._name} holds no events; record it again"


def _with_frames(events: Extent, frames: FrameTrack) -> Extent:
    """Widen to the frames' time, of which the first frame closes an interval, where it is near."""
    if len(frames.t_us) < 2:
        return events
    start = int(frames.t_us[0]) - int(np.median(np.diff(frames.t_us)))
    end = int(frames.t_us[-1])
    t0 = start if 0 <= events.t0_us - start <= GAP_US else events.t0_us
    t1 = end if 0 <= end - events.t1_us <= GAP_US else events.t1_us
    return Extent(t0, t1)
