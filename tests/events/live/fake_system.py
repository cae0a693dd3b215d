"""A sysfs and device nodes as a kernel would show them, for tests of what a name means."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xsd_edge.events.live.place import System


class FakeSystem:
    """Nodes are plain files; their status says that they are devices."""

    def __init__(self, root: Path) -> None:
        self.sysfs, self.dev = root / "sys", root / "dev"
        self.dev.mkdir()
        self._devices: dict[str, int] = {}

    @property
    def system(self) -> System:
        return System(self.sysfs, self._status)

    def node(self, name: str, major: int, minor: int, subsystem: str, /, **values: str) -> Path:
        """A character device, and what sysfs says of it."""
        path = self.dev / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        self._devices[str(path)] = os.makedev(major, minor)
        folder = self.sysfs / "dev" / "char" / f"{major}:{minor}"
        folder.mkdir(parents=True)
        kind = self.sysfs / "kinds" / subsystem
        kind.mkdir(parents=True, exist_ok=True)
        (folder / "subsystem").symlink_to(kind)
        for key, value in values.items():
            (folder / key).write_text(f"{value}\n")
        return path

    def usb(self, vendor: str, product: str, bus: int, device: int, serial: str = "") -> Path:
        """A USB device, also where sysfs lists the bus."""
        values = {
            "idVendor": vendor,
            "idProduct": product,
            "busnum": f"{bus}",
            "devnum": f"{device}",
        }
        if serial:
            values["serial"] = serial
        path = self.node(
            f"bus/usb/{bus:03d}/{device:03d}", 189, bus * 128 + device, "usb", **values
        )
        listed = self.sysfs / "bus" / "usb" / "devices" / f"{bus}-{device}"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.symlink_to(self.sysfs / "dev" / "char" / f"189:{bus * 128 + device}")
        return path

    def video(self, number: int, name: str) -> Path:
        """A video node."""
        path = self.node(f"video{number}", 81, number, "video4linux", name=name)
        listed = self.sysfs / "class" / "video4linux" / f"video{number}"
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.symlink_to(self.sysfs / "dev" / "char" / f"81:{number}")
        return path

    def _status(self, path: str) -> os.stat_result:
        real = os.path.realpath(path)
        if real not in self._devices:
            return os.stat(path)
        fields = (stat.S_IFCHR | 0o660, 0, 0, 1, 0, 0, 0, 0, 0, 0)
        return os.stat_result(fields, {"st_rdev": self._devices[real]})
