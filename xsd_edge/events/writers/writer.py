"""Writer: what every format's writer offers, and the byte streams among them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Final, NamedTuple, Protocol

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import FrameTrack


class Writer(Protocol):
    """Takes packets in order; nothing counts before `finish`."""

    def write(self, packet: EventPacket) -> None:
        """Append events, at least one.

        Raises:
            SourceError: the format cannot say their times or places.
        """

    def finish(self, frames: FrameTrack | None) -> None:
        """All events are written; `frames` go with them where the format can hold frames."""

    def close(self) -> None:
        """Release files, finished or not; again and again if you like."""


class Encoder(Protocol):
    """Turns packets into a format's bytes, header apart. Times are relative to the header's."""

    def encode(self, packet: EventPacket) -> bytes: ...


class ByteFormat(NamedTuple):
    """A format that is a header and a stream; `period_us` is when its times wrap."""

    name: str
    largest_side: int
    period_us: int
    header: Callable[[Geometry, int], bytes]
    encoder: Callable[[], Encoder]


class ByteWriter:
    """Writes one of the byte formats."""

    def __init__(self, path: Path, geometry: Geometry, kind: ByteFormat) -> None:
        if max(geometry.width, geometry.height) > kind.largest_side:
            raise SourceError(
                f"{kind.name} has no place for {geometry}; convert to npz or h5 instead"
            )
        self._file: Final[IO[bytes]] = path.open("wb")
        self._geometry = geometry
        self._kind = kind
        self._encoder = kind.encoder()
        self._t0_us: int | None = None

    def write(self, packet: EventPacket) -> None:
        """Append events; the first ones decide what time zero is."""
        if self._t0_us is None:
            # Only whole periods, so that readers who know no t0 see the sensor's own clock.
            self._t0_us = int(packet.t[0]) // self._kind.period_us * self._kind.period_us
            self._file.write(self._kind.header(self._geometry, self._t0_us))
        since = EventPacket(
            packet.t - self._t0_us, packet.x, packet.y, packet.p, packet.discontinuity
        )
        self._file.write(self._encoder.encode(since))

    def finish(self, frames: FrameTrack | None) -> None:
        """These formats have no frames."""
        self._file.close()

    def close(self) -> None:
        self._file.close()
