"""What this machine says of itself: module, JetPack, power mode, clocks, memory.

Everything is read from files below a root directory, so that a test can stand in for a board.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from xsd_edge.boards import Board, known_boards

# L4T release -> JetPack, as the releases' own notes name them.
JETPACKS = {
    "36.4.3": "6.2",
    "36.4.4": "6.2.1",
    "36.4.7": "6.2.1",
    "36.5.0": "6.2.2",
    "36.5.2": "6.2.3",
    "38.2": "7.0",
    "38.4": "7.1",
    "39.2.0": "7.2",
    "39.2.1": "7.2.1",
    "39.2.2": "7.2.2",
}
_L4T = re.compile(r"R(\d+).*?REVISION:\s*([\d.]+)")
_MODULE = re.compile(r"p\d{4}-\d{4}")
_MODE = re.compile(r"<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>")
_STATUS = re.compile(r"pmode:(\d+)")


class MemoryState(NamedTuple):
    """Bytes, from /proc/meminfo; `available` is what can be used without swapping."""

    total: int
    available: int
    swap: int
    swap_free: int
    cma: int
    cma_free: int


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine, seen through `root`. Whatever it does not say is None."""

    root: Path = Path("/")

    def path(self, absolute: str) -> Path:
        """Where the file that the machine calls `absolute` is read."""
        return self.root / absolute.lstrip("/")

    def text(self, absolute: str) -> str | None:
        """A file's text without the NULs that the device tree ends strings with."""
        try:
            raw = self.path(absolute).read_bytes()
        except OSError:
            return None
        return raw.decode("utf-8", "replace").replace("\0", "\n").strip()

    @property
    def model(self) -> str | None:
        return self.text("/proc/device-tree/model")

    @property
    def modules(self) -> tuple[str, ...]:
        """Part numbers of carrier and module, such as p3737-0000 and p3701-0005."""
        compatible = self.text("/proc/device-tree/compatible") or ""
        return tuple(dict.fromkeys(_MODULE.findall(compatible)))

    @property
    def board(self) -> Board | None:
        """The board that the module's part number belongs to."""
        mine = set(self.modules)
        return next((b for b in known_boards() if mine & set(b.modules)), None)

    @property
    def is_jetson(self) -> bool:
        return self.l4t is not None or self.board is not None

    @property
    def l4t(self) -> str | None:
        """The release of NVIDIA's Linux for Tegra, such as 36.4.7."""
        found = _L4T.search(self.text("/etc/nv_tegra_release") or "")
        return f"{found[1]}.{found[2]}" if found else None

    @property
    def jetpack(self) -> str | None:
        """The JetPack of that release; None off Jetson and for a release we do not know."""
        release = self.l4t
        if release is None:
            return None
        return JETPACKS.get(release) or JETPACKS.get(release.rpartition(".")[0])

    @property
    def power_modes(self) -> dict[int, str]:
        """What this installation calls each nvpmodel id: another module's same id is other."""
        text = self.text("/etc/nvpmodel.conf") or ""
        return {int(number): name for number, name in _MODE.findall(text)}

    @property
    def power_mode(self) -> str | None:
        """The current nvpmodel mode by name."""
        found = _STATUS.search(self.text("/var/lib/nvpmodel/status") or "")
        return self.power_modes.get(int(found[1])) if found else None

    @property
    def clocks_pinned(self) -> bool | None:
        """Are CPU and GPU held at the mode's highest clocks, as jetson_clocks does?"""
        ranges = list(self._clock_ranges())
        return all(low == high for low, high in ranges) if ranges else None

    def _clock_ranges(self) -> Iterator[tuple[str, str]]:
        devices = sorted(self.path("/sys/class/devfreq").glob("*"))
        gpus = [d for d in devices if re.search(r"gpu|ga10b", d.name)]
        if not gpus:  # a PC's governor says nothing about its GPU
            return
        cores = sorted(self.path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq"))
        names = [(d / "min_freq", d / "max_freq") for d in gpus]
        names += [(c / "scaling_min_freq", c / "scaling_max_freq") for c in cores]
        for low, high in names:
            try:
                yield low.read_text().strip(), high.read_text().strip()
            except OSError:
                continue

    @property
    def memory(self) -> MemoryState | None:
        """None where there is no /proc/meminfo."""
        text = self.text("/proc/meminfo")
        if text is None:
            return None
        kib = {k: int(v) for k, v in re.findall(r"^(\w+):\s+(\d+)", text, re.MULTILINE)}
        names = ("MemTotal", "MemAvailable", "SwapTotal", "SwapFree", "CmaTotal", "CmaFree")
        return MemoryState(*(kib.get(name, 0) << 10 for name in names))
