"""V4L2: MIPI event sensors, whose drivers hand out EVT bytes as if they were pictures."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.decoders.encodings import DECODERS, Decoder
from xsd_edge.events.live.base import LiveSource, Silence, Waiter
from xsd_edge.events.live.failures import UNPLUGGED
from xsd_edge.events.live.v4l2_device import Buffer, Calls, V4l2Device
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import HEARTBEAT_S, Wanted

BUFFERS: Final = 32  # as Prophesee's own reader asks for
FOURCC: Final = {"PSEE": "evt2", "PSE1": "evt21-legacy", "PSE2": "evt21", "PSE3": "evt3"}
SENSORS: Final = {"imx636": Geometry(1280, 720), "genx320": Geometry(320, 320)}

# Where buffers have one size whatever is in them, valid data end at this word: type of a word,
# the bits that tell, and their value (OTHERS, subtype 0x019).
END_OF_FRAME: Final = {
    "evt2": ("<u4", 0xF00000FF, 0xE0000019),
    "evt21": ("<u8", 0xF0000FFF << 32, 0xE0000019 << 32),
    "evt21-legacy": ("<u8", 0xF0000FFF, 0xE0000019),
    "evt3": ("<u2", 0xFFFF, 0xE019),
}


class V4l2Camera(LiveSource):
    """A capture node that gives event bytes."""

    def __init__(self, device: V4l2Device, name: str, encoding: str, geometry: Geometry) -> None:
        super().__init__(name)
        self.geometry = geometry
        self._device = device
        self.encoding = encoding
        self._decoder = self._new_decoder()
        self._sequence: int | None = None
        self._gap = False
        self._waiter = Waiter(device.fd)

    def _new_decoder(self) -> Decoder:
        return DECODERS[self.encoding](self.geometry, self.counters)

    def _packets(self) -> Iterator[EventPacket]:
        try:
            self._device.start(BUFFERS)
            silence = Silence()
            while True:
                ready = self._waiter.wait(HEARTBEAT_S)
                if self._closed.is_set():
                    return
                self._gap |= silence.ended(ready) and self.counters.events > 0
                yield from (self._take() if ready else None) or [EventPacket.empty()]
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise SourceError(
                    f"{self.name} is used by another program; end that one "
                    f"(sudo lsof {self.name} names it)"
                ) from error
            raise CameraAbsentError(f"{self.name} failed: {error.strerror}; {UNPLUGGED}") from error

    def _take(self) -> list[EventPacket]:
        """Events of one buffer, which goes back to the driver at once."""
        try:
            buffer = self._device.take()
        except BlockingIOError:
            return []
        data = self._device.data(buffer)
        fixed = self._device.fixed(buffer)
        self._device.queue(buffer.number)
        self._notice_gap(buffer)
        packets = self._decoder.feed(_valid(data, self.encoding) if fixed else data)
        if packets and self._gap:
            self._gap = False
            packets[0] = replace(packets[0], discontinuity=True)
        return packets

    def _notice_gap(self, buffer: Buffer) -> None:
        """What a decoder remembers is worth nothing after buffers that it did not see."""
        last, self._sequence = self._sequence, buffer.sequence
        missed = 0 if last is None else (buffer.sequence - last - 1) & 0xFFFFFFFF
        if missed or buffer.damaged:
            self.counters.lost += missed + buffer.damaged
            self._decoder, self._gap = self._new_decoder(), self.counters.events > 0

    def _wake(self) -> None:
        self._waiter.wake()

    def _release(self) -> None:
        self._waiter.close()
        self._device.close()


def _valid(data: bytes, encoding: str) -> bytes:
    """What stands before the end marker; everything if there is none."""
    if encoding not in END_OF_FRAME:
        return data
    kind, bits, value = END_OF_FRAME[encoding]
    dtype = np.dtype(kind)
    words = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    ends = np.flatnonzero((words & dtype.type(bits)) == dtype.type(value))
    return data[: int(ends[0]) * dtype.itemsize] if len(ends) else data


def open_v4l2(path: Path, wanted: Wanted, calls: Calls | None = None) -> V4l2Camera:
    """Open a video node of an event sensor.

    Raises:
        SourceError: it is an ordinary camera, or cannot be read the way we do.
        OSError: it cannot be opened.
    """
    device = V4l2Device(path, calls)
    try:
        encoding, geometry = _judge(device, path, wanted)
        return V4l2Camera(device, str(path), encoding, geometry)
    except OSError as error:
        device.close()
        raise SourceError(
            f"{path} answers no video requests ({error.strerror}); give the sensor's capture "
            "node: v4l2-ctl --list-devices names it"
        ) from error
    except BaseException:
        device.close()
        raise


def _judge(device: V4l2Device, path: Path, wanted: Wanted) -> tuple[str, Geometry]:
    """The encoding and the sensor's size."""
    card, streams = device.capability()
    if not streams:
        raise SourceError(
            f"{path} ({card}) has no capture buffers of one plane; pipe it in: "
            f"v4l2-ctl -d {path} --stream-mmap --stream-to=- | xsd-edge run --camera - ..."
        )
    picture = device.picture()
    encoding = wanted.encoding or FOURCC.get(picture.fourcc)
    if encoding is None:
        raise SourceError(
            f"{path} ({card}) is an ordinary camera, its pictures are {picture.fourcc!r}; give it "
            f"as --video {path}, simulate events with --camera '{path}?as=frames', or say what an "
            "event sensor's driver sends: ?format=evt3"
        )
    if encoding not in DECODERS:
        raise SourceError(f"unknown format {encoding!r} for {path}; known: {', '.join(DECODERS)}")
    known = next((size for name, size in SENSORS.items() if name in card.lower()), None)
    named = Geometry(picture.width, picture.height) if picture.fourcc in FOURCC else None
    geometry = wanted.geometry or known or named
    if geometry is None:
        raise SourceError(f"{path} ({card}) does not tell its sensor's size; add ?size=1280x720")
    return encoding, geometry
