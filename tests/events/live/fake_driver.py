"""neuromorphic-drivers with a scripted device: its own classes, its own signatures and texts."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
import pytest

drivers = pytest.importorskip(
    "neuromorphic_drivers", reason="neuromorphic-drivers is not installed"
)

EVENT = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "?")])
STOP = object()  # in a script: from here on nothing comes


def events(*times: int, x: int = 1) -> np.ndarray[Any, Any]:
    made = np.zeros(len(times), EVENT)
    made["t"], made["x"], made["y"], made["on"] = times, x, 2, True
    return made


def packet(
    polarity: np.ndarray[Any, Any] | None,
    overflows: Sequence[int] | None = None,
    frames: Sequence[Any] = (),
) -> Any:
    """A packet as a DAVIS gives it; the others' have fewer fields."""
    made = drivers.Davis346Packet()
    made.polarity_events = polarity
    made.polarity_events_overflow_indices = None if overflows is None else np.array(overflows)
    made.trigger_events, made.imu_events = None, None
    made.frames = list(frames)
    return made


def frame(t: int, level: int, exposure: tuple[int, int] | None) -> Any:
    made = drivers.Frame()
    made.start_t, made.t = t - 1000, t
    made.exposure_start_t, made.exposure_end_t = exposure or (None, None)
    made.pixels = np.full((260, 346), level << 6, np.uint16)
    return made


def status(delay_s: float = 0.0, backlog: int = 0, dropped: int = 0) -> Any:
    module = drivers.status
    ring = module.RingStatus(100.0, backlog, 1, False, 0, dropped)
    return module.Status(100.0 + delay_s, ring)


class Device:
    """Iterates over its script: (status, packet) pairs, errors to raise, then STOP or its end."""

    def __init__(self, name: Any, script: Sequence[Any]) -> None:
        self._name, self._script = name, list(script)
        self.cleared: list[int] = []
        self.configured: list[Any] = []
        self.exited = 0

    def __enter__(self) -> Device:
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self.exited += 1

    def __iter__(self) -> Device:
        return self

    def __next__(self) -> Any:
        if not self._script:
            raise StopIteration
        if self._script[0] is STOP:
            return drivers.status.Status(100.0, None), None
        step = self._script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step

    def name(self) -> Any:
        return self._name

    def properties(self) -> Any:
        return drivers.name_to_properties(self._name)

    def serial(self) -> str:
        return "00051195"

    def update_configuration(self, configuration: Any) -> None:
        configuration.serialize()  # as the driver does, and refuses what does not fit
        self.configured.append(configuration)

    def clear_backlog(self, until: int) -> None:
        self.cleared.append(until)


class FakeDriver:
    """Stands in for the module; `opened` are the keyword arguments of every `open`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.devices: list[Device | Exception] = []
        self.listed: list[Any] | Exception = []
        self.opened: list[dict[str, Any]] = []
        module = ModuleType("neuromorphic_drivers")
        module.__dict__.update(
            {key: value for key, value in vars(drivers).items() if not key.startswith("__")}
        )
        module.open = self._open  # type: ignore[attr-defined]  # a module takes what it is given
        module.list_devices = self._list_devices  # type: ignore[attr-defined]  # likewise
        monkeypatch.setitem(__import__("sys").modules, "neuromorphic_drivers", module)

    def plug(self, *scripts: Sequence[Any], name: str = "PROPHESEE_EVK4") -> list[Device]:
        """Devices that `open` hands out one after another; the first one is listed."""
        made = [Device(drivers.Name[name], script) for script in scripts]
        self.devices += made
        self.listed = [self.entry(name, "00051195")]
        return made

    @staticmethod
    def entry(name: str, serial: str | None, error: str | None = None) -> Any:
        speed = drivers.Connection.USB_SUPER
        return drivers.ListedDevice(drivers.Name[name], speed, "1:4", serial, error)

    def _open(
        self,
        configuration: Any = None,
        iterator_timeout: float | None = None,
        raw: bool = False,
        serial: str | None = None,
        address: str | None = None,
        ring_configuration: Any = None,
        iterator_maximum_raw_packets: int = 64,
    ) -> Device:
        self.opened.append(
            {"serial": serial, "address": address, "ring": ring_configuration,
             "timeout": iterator_timeout}
        )  # fmt: skip
        assert isinstance(ring_configuration.serialize(), bytes)
        if not self.devices:
            raise RuntimeError("no device found")
        device = self.devices.pop(0)
        if isinstance(device, Exception):
            raise device
        return device

    def _list_devices(self) -> list[Any]:
        if isinstance(self.listed, Exception):
            raise self.listed
        return self.listed


__all__ = ["STOP", "Device", "FakeDriver", "events", "frame", "packet", "status"]
