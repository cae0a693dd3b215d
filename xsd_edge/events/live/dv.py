"""DV: iniVation's network streams, and its cameras that only dv-processing drives."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final

import numpy as np

from xsd_edge.errors import CameraAbsentError, ExtraMissingError, SourceError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.live.base import LiveSource
from xsd_edge.events.live.failures import UNPLUGGED
from xsd_edge.events.live.frames import LiveFrames
from xsd_edge.events.live.place import Place
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import HEARTBEAT_S

POLL_S: Final = 0.002  # dv-processing has no way to wait


class DvSource(LiveSource):
    """A camera or network reader of dv-processing."""

    def __init__(self, reader: Any, name: str, *, network: bool) -> None:
        super().__init__(name)
        self._reader = reader
        self._network = network
        width, height = reader.getEventResolution()
        self.geometry = Geometry(int(width), int(height))
        self._continuity = Continuity(self.geometry, self.counters)
        if reader.isFrameStreamAvailable():
            self.frames = LiveFrames(name)

    def _packets(self) -> Iterator[EventPacket]:
        quiet = 0.0
        while self._reader.isRunning():
            found = self._events()
            yield from found
            if found:
                quiet = 0.0
                continue
            if self._closed.wait(POLL_S):
                return
            quiet += POLL_S
            if quiet >= HEARTBEAT_S:
                quiet = 0.0
                yield EventPacket.empty()
        raise CameraAbsentError(
            f"{self.name} ended the connection; start its sender again"
            if self._network
            else f"{self.name} was unplugged; {UNPLUGGED}"
        )

    def _events(self) -> list[EventPacket]:
        if isinstance(self.frames, LiveFrames):
            while (frame := self._reader.getNextFrame()) is not None:
                # OpenCV's order of colours is blue, green, red.
                image = frame.image if frame.image.ndim == 2 else frame.image[..., ::-1]
                self.frames.add(int(frame.timestamp), np.ascontiguousarray(image, np.uint8))
        batch = self._reader.getNextEventBatch()
        if batch is None or not len(batch):
            return []
        events = batch.numpy()
        return self._continuity.packets(
            events["timestamp"].astype(np.int64),
            events["x"].astype(np.uint16),
            events["y"].astype(np.uint16),
            events["polarity"].astype(np.uint8),
        )

    def _release(self) -> None:
        self._reader = None  # its destructor closes the device or connection


def open_dv_stream(place: Place) -> DvSource:
    """Connect to DV or to a program that uses dv-processing: HOST:PORT, or a UNIX socket's path.

    Raises:
        ExtraMissingError: dv-processing is not installed.
        CameraAbsentError: nobody listens there.
        SourceError: what is sent there is no event stream.
    """
    io = _dv().io
    where = (place.address, place.port) if place.port else (place.address,)
    try:
        reader = io.NetworkReader(*where)
    except RuntimeError as error:
        said = str(error).partition(" [")[0]
        raise CameraAbsentError(
            f"{place.name} does not answer ({said}); start the program that sends, "
            "or wait for it with --wait 60"
        ) from error
    if not reader.isEventStreamAvailable():
        raise SourceError(f"{place.name} sends no events; give the port of an event stream")
    return DvSource(reader, place.name, network=True)


def open_dv_camera(place: Place) -> DvSource:
    """Open an iniVation camera by its serial number, or the only one.

    Raises:
        ExtraMissingError: dv-processing is not installed.
        CameraAbsentError: it cannot be opened.
    """
    camera = _dv().io.camera
    serial = place.usb.serial if place.usb is not None else None
    try:
        reader = camera.open(serial) if serial else camera.open()
    except (RuntimeError, IndexError) as error:
        said = next((line for line in str(error).splitlines() if "Error:" in line), str(error))
        raise CameraAbsentError(
            f"{place.name} cannot be opened ({said}); plug it in again, end other programs that "
            "use it, or run: sudo xsd-edge setup-udev"
        ) from error
    return DvSource(reader, place.name, network=False)


def _dv() -> ModuleType:
    try:
        import dv_processing
    except ModuleNotFoundError as error:
        raise ExtraMissingError("reading from DV or such a camera", "dv") from error
    module: ModuleType = dv_processing
    return module
