"""Sources: what every source of events offers, and how the name of a camera or file becomes one."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import Counters, EventPacket, Geometry

HEARTBEAT_S: Final = 0.02  # how often a live source speaks when there are no events
PACE_US: Final = 10_000  # events of a paced recording come in portions of this length


class Frames(Protocol):
    """A source's own frames, on its events' clock."""

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """RGB [H, W, 3], the newest one at t_us; ask in order of time.

        Raises:
            SourceError: there is none.
        """


class Images(Protocol):
    """RGB images by number: an array of them, or something that decodes one when it is asked."""

    def __getitem__(self, index: int, /) -> NDArray[np.uint8]: ...


@dataclass(frozen=True, slots=True, eq=False)
class FrameTrack:
    """Frames that are all there: t_us int64 [T], images RGB uint8 [T, H, W, 3]."""

    t_us: NDArray[np.int64]
    images: Images

    def newest(self, t_us: int) -> NDArray[np.uint8]:
        """The newest at t_us, the first before that; one of exactly that time counts."""
        index = int(np.searchsorted(self.t_us, t_us, side="right")) - 1
        image: NDArray[np.uint8] = self.images[max(index, 0)]
        return image


class Extent(NamedTuple):
    """A stretch of a recording without jumps, [t0_us, t1_us)."""

    t0_us: int
    t1_us: int

    @property
    def length_us(self) -> int:
        return self.t1_us - self.t0_us


class EventSource(Protocol):
    """Anything that gives event packets, once, in order."""

    @property
    def encoding(self) -> str:
        """What its events come as, like "evt3" or "npz"; "live" where a driver hands them over."""

    @property
    def geometry(self) -> Geometry: ...

    @property
    def live(self) -> bool:
        """Do events come in real time? Then an empty packet comes every HEARTBEAT_S of silence."""

    @property
    def counters(self) -> Counters: ...

    @property
    def frames(self) -> Frames | None: ...

    def extent(self, enough_us: int) -> Extent | None:
        """The longest stretch known so far; reads ahead until it is `enough_us` or all there is.

        None where nobody can know: a camera.
        """

    def packets(self) -> Iterator[EventPacket]:
        """The events. Ends when the recording does, the camera goes away or `close` is called.

        Raises:
            SourceError: nothing (more) can be read, or there was no event at all.
        """

    def close(self) -> None:
        """End `packets` at once, from any thread; again and again if you like."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user said about a source; None where the source itself has to say it."""

    encoding: str | None = None
    geometry: Geometry | None = None


def open_source(
    spec: str, *, geometry: Geometry | None = None, encoding: str | None = None
) -> EventSource:
    """Open a recording, camera or stream: PATH, PATH?format=evt3&size=640x480, or a URI.

    A recording is told by its content. A stream may begin with a Prophesee header; without one its
    format is EVT3 unless said otherwise, and its size must be said. Opening a stream whose size was
    not said waits for its first bytes.

    Raises:
        CameraAbsentError: it is not there (yet).
        CameraDeniedError: this user may not open it.
        SourceError: it is not readable, or not what was said.
    """
    from xsd_edge.events.live.failures import system_error
    from xsd_edge.events.live.kinds import KINDS
    from xsd_edge.events.live.place import resolve

    place = resolve(spec)
    kind = KINDS[place.kind]
    for key in place.options:
        if key not in kind.options:
            known = ", ".join(kind.options) or "none"
            raise SourceError(f"unknown option {key!r} in {spec}; known: {known}")
    wanted = Wanted(encoding or place.options.get("format"), geometry or place.geometry)
    try:
        return kind.open(place, wanted)
    except OSError as error:
        raise system_error(place.path, error) from error


class Paced:
    """A recording in real time: an event of time t comes t after the first one did."""

    live = True

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._closed = threading.Event()
        self.encoding = source.encoding
        self.geometry = source.geometry
        self.counters = source.counters
        self.frames = source.frames

    def extent(self, enough_us: int) -> Extent | None:
        """The recording's."""
        return self._source.extent(enough_us)

    def packets(self) -> Iterator[EventPacket]:
        """The recording's events, never early; after a jump of its clock the pace starts anew."""
        start: float | None = None
        for packet in self._source.packets():
            if start is None or packet.discontinuity:
                start = time.monotonic() - int(packet.t[0]) * 1e-6
            for part in _portions(packet):
                due = start + int(part.t[-1]) * 1e-6
                while (wait := due - time.monotonic()) > 0:
                    if self._closed.wait(min(wait, HEARTBEAT_S)):
                        return
                    if wait > HEARTBEAT_S:
                        yield EventPacket.empty()
                yield part

    def close(self) -> None:
        """Wake a sleeping `packets`, and close the recording."""
        self._closed.set()
        self._source.close()


def _portions(packet: EventPacket) -> Iterator[EventPacket]:
    number = (packet.t - packet.t[0]) // PACE_US
    borders = [0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(packet)]
    for lo, hi in pairwise(borders):
        yield packet.slice(lo, hi)
