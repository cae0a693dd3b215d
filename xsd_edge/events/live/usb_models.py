"""USB models: which event cameras there are, by vendor and product, and who drives each."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, NamedTuple

ND: Final = "neuromorphic-drivers"
Driver = Literal["neuromorphic-drivers", "dv-processing", "openeb"]


class UsbModel(NamedTuple):
    """`name` is what `usb:NAME` says; neuromorphic-drivers has a module of that name."""

    name: str
    title: str
    driver: Driver


EVK4: Final = UsbModel("prophesee_evk4", "Prophesee EVK4", ND)
SILKY: Final = UsbModel("centuryarks_vga", "CenturyArks SilkyEvCam", ND)

# 04b4:00f1 and :00f3 are left out on purpose: every bare Cypress chip has them.
MODELS: Final[dict[tuple[str, str], UsbModel]] = {
    ("04b4", "00f4"): UsbModel("prophesee_evk3_hd", "Prophesee EVK3 HD", ND),
    ("04b4", "00f5"): EVK4,
    ("1409", "8e00"): EVK4._replace(title="IDS uEye XCP-E"),
    ("31f7", "0002"): SILKY,
    ("31f7", "0003"): SILKY,
    ("31f7", "0004"): SILKY,
    ("152a", "8419"): UsbModel("inivation_dvxplorer", "iniVation DVXplorer", ND),
    ("152a", "841a"): UsbModel("inivation_davis346", "iniVation DAVIS346", ND),
    ("152a", "841b"): UsbModel("davis_fx2", "iniVation DAVIS (FX2)", "dv-processing"),
    ("152a", "8400"): UsbModel("dvs128", "iniVation DVS128", "dv-processing"),
    ("152a", "841e"): UsbModel("dvs132s", "iniVation DVS132S", "dv-processing"),
    ("03fd", "5832"): UsbModel("prophesee_evk2", "Prophesee EVK2", "openeb"),
    ("1fc9", "5838"): UsbModel("prophesee_usb", "Prophesee USB kit", "openeb"),
}


class UsbNode(NamedTuple):
    """A USB device as the kernel lists it; `serial` is None where it does not tell one."""

    vendor: str
    product: str
    bus: str
    device: str
    serial: str | None

    @property
    def model(self) -> UsbModel | None:
        return MODELS.get((self.vendor, self.product))

    @property
    def path(self) -> Path:
        return Path(f"/dev/bus/usb/{int(self.bus):03d}/{int(self.device):03d}")

    @classmethod
    def read(cls, folder: Path) -> UsbNode | None:
        """What sysfs says in `folder`; None if it is not a device's."""
        said = [attribute(folder, name) for name in ("idVendor", "idProduct", "busnum", "devnum")]
        if None in said:
            return None
        vendor, product, bus, device = (value or "" for value in said)
        return cls(vendor, product, bus, device, attribute(folder, "serial"))


def attribute(folder: Path, name: str) -> str | None:
    """One of a device's values in sysfs, None where it has no such value."""
    try:
        return (folder / name).read_text(encoding="utf-8", errors="replace").strip() or None
    except OSError:
        return None


def plugged(sysfs: Path) -> list[UsbNode]:
    """The event cameras among the USB devices."""
    nodes = (UsbNode.read(folder) for folder in sorted(sysfs.glob("bus/usb/devices/*")))
    return [node for node in nodes if node is not None and node.model is not None]
