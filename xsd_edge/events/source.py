"""Sources: what every source of events offers, and how the name of a camera or file becomes one."""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import Counters, EventPacket, Geometry

HEARTBEAT_S: Final = 0.02  # how often a live source speaks when there are no events
PACE_US: Final = 10_000  # events of a paced recording come in portions of this length


@dataclass(frozen=True, slots=True, eq=False)
class FrameTrack:
    """Frames on the events' clock: t_us int64 [T], images RGB uint8 [T, H, W, 3]."""

    t_us: NDArray[np.int64]
    images: NDArray[np.uint8]


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
    def geometry(self) -> Geometry: ...

    @property
    def live(self) -> bool:
        """Do events come in real time? Then an empty packet comes every HEARTBEAT_S of silence."""

    @property
    def counters(self) -> Counters: ...

    @property
    def frames(self) -> FrameTrack | None: ...

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
    """Open a recording, FIFO or character device: PATH or PATH?format=evt3&size=640x480.

    A recording is told by its content. A stream may begin with a Prophesee header; without one its
    format is EVT3 unless said otherwise, and its size must be said. Opening a stream whose size was
    not said waits for its first bytes.

    Raises:
        SourceError: it is not there, not readable or not what was said.
    """
    place, asked = _resolve(spec)
    wanted = Wanted(encoding or asked.encoding, geometry or asked.geometry)
    for fits, opener in OPENERS:
        if fits(place):
            try:
                return opener(place, wanted)
            except OSError as error:
                raise _refusal(place.path, error) from error
    raise _nothing_to_open(place)


class _Place(NamedTuple):
    """What the user named, and what is there if it is a path (None: nothing)."""

    name: str
    status: os.stat_result | None

    @property
    def path(self) -> Path:
        return Path(self.name)

    def is_a(self, kind: int) -> bool:
        """Is it of this kind (stat.S_IFREG, ...)?"""
        return self.status is not None and stat.S_IFMT(self.status.st_mode) == kind


def _open_recording(place: _Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.formats import open_recording

    return open_recording(place.path, wanted)


def _open_stream(place: _Place, wanted: Wanted) -> EventSource:
    from xsd_edge.events.stream import open_stream

    return open_stream(place.path, wanted)


# The first row that fits opens it; each imports what it needs only then.
OPENERS: Final[
    tuple[tuple[Callable[[_Place], bool], Callable[[_Place, Wanted], EventSource]], ...]
] = (
    (lambda place: place.is_a(stat.S_IFREG), _open_recording),
    (lambda place: place.is_a(stat.S_IFIFO), _open_stream),
    (lambda place: place.is_a(stat.S_IFCHR), _open_stream),
)


def _resolve(spec: str) -> tuple[_Place, Wanted]:
    """Split PATH?key=value&... unless all of it is a path that exists."""
    name, mark, query = spec.rpartition("?")
    if not mark or os.path.lexists(spec):
        return _Place(spec, _status(Path(spec))), Wanted()
    said = dict(parse_qsl(query, keep_blank_values=True))
    encoding, size = said.pop("format", None), said.pop("size", None)
    if said:
        raise SourceError(f"unknown option {next(iter(said))!r} in {spec}; known: format, size")
    wanted = Wanted(encoding, None if size is None else Geometry.parse(size))
    return _Place(name, _status(Path(name))), wanted


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _refusal(path, error) from error


def _nothing_to_open(place: _Place) -> SourceError:
    path = place.path
    if place.status is not None:
        what = "a directory" if place.is_a(stat.S_IFDIR) else "neither a file, a FIFO nor a device"
        return SourceError(f"{path} is {what}; give a recording, a FIFO or a character device")
    if path.is_symlink():
        return SourceError(f"{path} points at nothing; is the camera plugged in?")
    return SourceError(f"{path} does not exist; check the path, or plug the camera in")


def _refusal(path: Path, error: OSError | ValueError) -> SourceError:
    if isinstance(error, PermissionError):
        return SourceError(f"no permission to read {path}; change its mode, or join its group")
    return SourceError(f"cannot read {path}: {getattr(error, 'strerror', None) or error}")


class Paced:
    """A recording in real time: an event of time t comes t after the first one did."""

    live = True

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._closed = threading.Event()
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
