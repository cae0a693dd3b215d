"""What the board's sensors show: rails, temperatures, clocks, load. Read from sysfs, nothing else.

Rails come from INA3221 (Orin) and INA238 (Thor) monitors through hwmon. A value that no sensor
gives is missing or None, never 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# JetPack 5 and 6 reach the same monitor through different folders; a hwmon's number is unique.
MONITORS = (
    "sys/class/hwmon/hwmon*",
    "sys/bus/i2c/devices/*/hwmon/hwmon*",
    "sys/bus/i2c/drivers/ina3221*/*/hwmon/hwmon*",
)
CHANNELS = (1, 2, 3)  # of an INA3221; a fourth label is the sum of the shunts
WHOLE_INPUT = ("VDD_IN", "VIN", "POM_5V_IN")  # rails that carry all that the module takes
GPU = re.compile(r"\.(gpu|ga10b|gv11b|gp10b|gk20a)$|^gpu")
EMC = ("sys/kernel/debug/bpmp/debug/clk/emc/rate", "sys/kernel/debug/clk/emc/clk_rate")


class Rail(NamedTuple):
    """One measured supply: volts times amperes of two files, or one file in microwatts."""

    name: str
    millivolts: Path | None
    milliamperes: Path | None
    microwatts: Path | None

    def watts(self) -> float | None:
        if self.microwatts is not None:
            power = _number(self.microwatts)
            return None if power is None else power * 1e-6
        assert self.millivolts is not None
        assert self.milliamperes is not None
        volts, amperes = _number(self.millivolts), _number(self.milliamperes)
        return None if volts is None or amperes is None else volts * amperes * 1e-6


@dataclass(frozen=True, slots=True)
class Power:
    """Watts at one moment. `total` is the whole module's, None where no rail shows it."""

    rails: dict[str, float]
    total: float | None


class _Gauge(NamedTuple):
    """A file that holds one number, its name for people, and what makes it their unit."""

    name: str
    path: Path
    scale: float


class Sensors:
    """The sensors below `root`. They are looked for once: reading them often must cost little."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        monitors = {path.name: path for path in self._found(*MONITORS)}
        hwmons = [monitors[name] for name in sorted(monitors, key=_index)]
        gpus = [path for path in self._found("sys/class/devfreq/*") if GPU.search(path.name)]
        self._rails = [rail for hwmon in hwmons for rail in _rails_of(hwmon)]
        self._gpu = gpus[0] if gpus else None
        self._temperatures = _told_apart(self._thermometers(hwmons))
        self._clocks = list(self._oscillators())

    @property
    def has_power(self) -> bool:
        return bool(self._rails)

    def power(self) -> Power:
        """Every rail now."""
        read = {rail.name: rail.watts() for rail in self._rails}
        rails = {name: watts for name, watts in read.items() if watts is not None}
        return Power(rails, _total(rails) if len(rails) == len(self._rails) else None)

    def temperatures(self) -> dict[str, float]:
        """Degrees Celsius by sensor: thermal zones, and hwmon chips that are no such zone."""
        return _read(self._temperatures)

    def clocks(self) -> dict[str, float]:
        """MHz now by clock: cpu0, cpu1, ..., gpu, emc."""
        return _read(self._clocks)

    def gpu_load(self) -> float | None:
        """Share of the time the GPU is busy, 0 to 1."""
        load = None if self._gpu is None else _number(self._gpu / "device" / "load")
        return None if load is None else load / 1000

    def _thermometers(self, hwmons: list[Path]) -> Iterator[_Gauge]:
        zones = set()
        for zone in self._found("sys/class/thermal/thermal_zone*"):
            kind = _text(zone / "type") or zone.name
            zones.add(kind.replace("_", "-"))
            yield _Gauge(kind, zone / "temp", 1e-3)
        for hwmon in hwmons:
            chip = _text(hwmon / "name") or hwmon.name
            if chip.replace("_", "-") in zones:
                continue  # the kernel shows each thermal zone once more as a hwmon
            for value in sorted(hwmon.glob("temp*_input"), key=_index):
                label = _text(value.with_name(value.name.replace("_input", "_label")))
                yield _Gauge(f"{chip} {label or _index(value)}", value, 1e-3)

    def _oscillators(self) -> Iterator[_Gauge]:
        cores = self._found("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq")
        for core in sorted(cores, key=lambda path: _index(path.parents[1])):
            yield _Gauge(core.parents[1].name, core, 1e-3)
        if self._gpu is not None:
            yield _Gauge("gpu", self._gpu / "cur_freq", 1e-6)
        memory = [self._root / path for path in EMC if (self._root / path).is_file()]
        for path in memory[:1]:  # only root may look here
            yield _Gauge("emc", path, 1e-6)

    def _found(self, *patterns: str) -> list[Path]:
        return [path for pattern in patterns for path in sorted(self._root.glob(pattern))]


def _rails_of(hwmon: Path) -> Iterator[Rail]:
    # An INA3221 may carry its name at the i2c device that it is below.
    chip = _text(hwmon / "name") or _text(hwmon.parents[1] / "name") or ""
    if "ina3221" in chip or "/ina3221" in str(hwmon):
        for channel in CHANNELS:
            name = _text(hwmon / f"in{channel}_label")
            volts, amperes = hwmon / f"in{channel}_input", hwmon / f"curr{channel}_input"
            if name and name != "NC" and volts.is_file() and amperes.is_file():
                yield Rail(name, volts, amperes, None)
        return
    for power in sorted(hwmon.glob("power*_input"), key=_index):
        label = _text(power.with_name(power.name.replace("_input", "_label")))
        label = label or _text(hwmon / f"in{_index(power)}_label") or _text(hwmon / "label")
        yield Rail(label or f"{chip or hwmon.name} {_index(power)}", None, None, power)


def _total(rails: dict[str, float]) -> float | None:
    """AGX Orin measures no input; its four rails together are what the module takes."""
    for whole in WHOLE_INPUT:
        if whole in rails:
            return rails[whole]
    return sum(rails.values()) if "VIN_SYS_5V0" in rails else None


def _told_apart(gauges: Iterable[_Gauge]) -> list[_Gauge]:
    """The second of a name gets a 2 behind it, and so on."""
    seen: Counter[str] = Counter()
    found = []
    for gauge in gauges:
        seen[gauge.name] += 1
        count = seen[gauge.name]
        found.append(gauge if count == 1 else gauge._replace(name=f"{gauge.name} {count}"))
    return found


def _read(gauges: Iterable[_Gauge]) -> dict[str, float]:
    values = ((gauge, _number(gauge.path)) for gauge in gauges)
    return {g.name: round(value * g.scale, 6) for g, value in values if value is not None}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n") or None
    except OSError:
        return None


def _number(path: Path) -> float | None:
    """A sensor that is asleep or gone answers with an error instead of a number."""
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _index(path: Path | str) -> int:
    found = re.search(r"\d+", path if isinstance(path, str) else path.name)
    return int(found[0]) if found else 0
