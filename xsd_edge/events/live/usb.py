"""USB: Prophesee, CenturyArks and iniVation cameras through neuromorphic-drivers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from itertools import pairwise
from types import ModuleType
from typing import Any, Final

import numpy as np

from xsd_edge.errors import CameraAbsentError, ExtraMissingError, SourceError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.live.base import LiveSource
from xsd_edge.events.live.failures import driver_error
from xsd_edge.events.live.frames import LiveFrames
from xsd_edge.events.live.place import Place
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import HEARTBEAT_S

RING_BYTES: Final = 32 << 20  # the driver's default of 512 MiB is half of a small Jetson's memory
USB_BUFFER: Final = 1 << 17
ETHERNET_BUFFER: Final = 1400
SUBMISSIONS: Final = 16  # with its default of 32, two cameras exceed usbfs_memory_mb
LATE_S: Final = 0.1  # what waited longer in the driver is thrown away
LIMIT_PERIOD_US: Final = 200  # over which a sensor counts its events; none takes more
MOST_MEV_PER_S: Final = 1000.0  # no sensor's bus carries more
APS_BITS: Final = 8  # frames come as 16 bits, of which the sensor's ten are the upper ones


class UsbCamera(LiveSource):
    """An open device of neuromorphic-drivers."""

    def __init__(self, device: Any, name: str) -> None:
        super().__init__(name)
        self._device = device
        properties = device.properties()
        self.geometry = Geometry(int(properties.width), int(properties.height))
        self._continuity = Continuity(self.geometry, self.counters)
        self._dropped_before = 0
        if device.name().name == "INIVATION_DAVIS346":
            self.frames = LiveFrames(name)

    def _packets(self) -> Iterator[EventPacket]:
        try:
            for status, packet in self._device:
                if self._closed.is_set():
                    return
                yield from self._events(packet) or [EventPacket.empty()]
                if status.ring is not None:
                    self._catch_up(status)
        except RuntimeError as error:
            raise driver_error(self.name, error) from error

    def _events(self, packet: Any) -> list[EventPacket]:
        if packet is None:
            return []
        for frame in getattr(packet, "frames", ()):
            self._keep(frame)
        events = packet.polarity_events
        if packet.trigger_events is not None:
            self.counters.triggers += len(packet.trigger_events)
        if getattr(packet, "imu_events", None) is not None:  # not every camera has the sensor
            self.counters.imu += len(packet.imu_events)
        if events is None:
            return []
        lost = packet.polarity_events_overflow_indices
        gaps = [] if lost is None else sorted({int(index) for index in lost})
        found: list[EventPacket] = []
        for lo, hi in pairwise([0, *(gap for gap in gaps if gap), len(events)]):
            if lo in gaps:
                self._continuity.interrupt()
            part = events[lo:hi]
            found += self._continuity.packets(
                part["t"].astype(np.int64),
                part["x"].astype(np.uint16),
                part["y"].astype(np.uint16),
                part["on"].astype(np.uint8),
            )
        return found

    def _keep(self, frame: Any) -> None:
        """A DAVIS's frame belongs to the middle of its exposure."""
        assert isinstance(self.frames, LiveFrames)
        begin, end = frame.exposure_start_t, frame.exposure_end_t
        t = frame.t if begin is None or end is None else (begin + end) // 2
        self.frames.add(int(t), (frame.pixels >> APS_BITS).astype(np.uint8))

    def _catch_up(self, status: Any) -> None:
        """Count what the driver dropped; drop what has waited too long to be worth a look."""
        self.counters.lost += int(status.ring.dropped_packets) - self._dropped_before
        self._dropped_before = int(status.ring.dropped_packets)
        delay = status.delay()
        if delay is not None and delay > LATE_S and status.ring.backlog:
            self._device.clear_backlog(0)
            self.counters.lost += int(status.ring.backlog)
            self._continuity.interrupt()

    def _release(self) -> None:
        with suppress(RuntimeError):  # an unplugged camera cannot be told to stop
            self._device.__exit__(None, None, None)


def open_usb(place: Place) -> UsbCamera:
    """Open the camera that `place` names: by serial number, by model, by address, or the only one.

    Raises:
        ExtraMissingError: neuromorphic-drivers is not installed.
        CameraAbsentError: it is not plugged in.
        CameraDeniedError: this user may not open it.
        SourceError: it is in use, nobody here can drive it, or it cannot do what ?limit= asks for.
    """
    limit = _limit(place)
    model = place.usb.model if place.usb is not None else None
    if model is not None and model.driver == "openeb":
        raise SourceError(
            f"{place.name} is a {model.title}, which only Prophesee's OpenEB can read; "
            "let its driver write RAW into a pipe, and give that as --camera -"
        )
    drivers = _drivers()
    ethernet = place.kind == "lucid"
    options = {"address": place.address} if ethernet else {"serial": _serial(drivers, place)}
    buffer = ETHERNET_BUFFER if ethernet else USB_BUFFER
    # All models' ring configurations are alike; the driver takes any of them.
    ring = drivers.prophesee_evk4.RingConfiguration(
        buffer, RING_BYTES // buffer, 1 if ethernet else SUBMISSIONS
    )
    try:
        device = drivers.open(iterator_timeout=HEARTBEAT_S, ring_configuration=ring, **options)
    except RuntimeError as error:
        raise driver_error(place.name, error) from error
    camera = UsbCamera(device, place.name)
    if limit is not None:
        try:
            _limit_rate(drivers, device, place.name, limit)
        except BaseException:
            camera.close()
            raise
    return camera


def no_limit(name: str, model: str) -> SourceError:
    """?limit= was said of a camera whose sensor has no such thing."""
    return SourceError(
        f"{name}: a {model} cannot limit its rate of events; leave out ?limit= "
        "(what is too much is then thinned here)"
    )


def _limit(place: Place) -> float | None:
    """`?limit=`, in million events a second."""
    said = place.options.get("limit")
    if said is None:
        return None
    try:
        limit = float(said)
    except ValueError:
        limit = 0.0
    if not 1 / LIMIT_PERIOD_US <= limit <= MOST_MEV_PER_S:
        raise SourceError(f"{place.name}: limit is in million events a second, like ?limit=20")
    return limit


def _limit_rate(drivers: ModuleType, device: Any, name: str, limit: float) -> None:
    """Let the sensor drop what exceeds the limit, before its bus is full and whole rows go dark."""
    model = device.name().name.lower()
    kind = getattr(drivers, model)
    if not hasattr(kind, "RateLimiter"):
        raise no_limit(name, model)
    limiter = kind.RateLimiter(LIMIT_PERIOD_US, round(limit * LIMIT_PERIOD_US))
    try:
        device.update_configuration(kind.Configuration(rate_limiter=limiter))
    except RuntimeError as error:
        raise driver_error(name, error) from error


def _drivers() -> ModuleType:
    try:
        import neuromorphic_drivers
    except ModuleNotFoundError as error:
        raise ExtraMissingError("reading a USB event camera", "camera") from error
    module: ModuleType = neuromorphic_drivers
    return module


def _serial(drivers: ModuleType, place: Place) -> str | None:
    """The driver selects by serial number only; None lets it take the one that is there."""
    if place.usb is not None and place.usb.serial is not None:
        return place.usb.serial
    try:
        listed = drivers.list_devices()
    except RuntimeError as error:
        raise driver_error(place.name, error) from error
    names = {name.lower() for name in drivers.Name.__members__}
    asked = place.address.lower()
    if asked and asked not in names:
        return place.address
    found = [one for one in listed if asked in ("", one.name.name.lower())]
    if not found:
        raise CameraAbsentError(
            f"{place.name} is not plugged in; xsd-edge cameras lists what is there"
        )
    if len(found) == 1:
        if found[0].serial is None:
            raise driver_error(place.name, RuntimeError(found[0].error or "no device found"))
        return str(found[0].serial)
    serials = " or ".join(f"usb:{one.serial}" for one in found if one.serial)
    raise SourceError(
        f"{len(found)} cameras fit {place.name}; say which: --camera {serials}, or free the others"
    )
