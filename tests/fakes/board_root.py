"""The files of a Jetson that our own code reads, below a temporary root."""

from __future__ import annotations

from pathlib import Path

GIB = 1 << 30
NVPMODEL = """
< PARAM TYPE=FILE NAME=CPU_ONLINE >
CORE_0 /sys/devices/system/cpu/cpu0/online
< POWER_MODEL ID=0 NAME=MAXN >
CPU_ONLINE CORE_0 1
< POWER_MODEL ID=2 NAME=MODE_30W >
CPU_ONLINE CORE_0 1
< PM_CONFIG DEFAULT=2 >
"""


def put(root: Path, absolute: str, text: str) -> Path:
    """Write what the board calls `absolute`."""
    path = root / absolute.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def set_clocks(root: Path, low: int, high: int) -> None:
    put(root, "/sys/class/devfreq/17000000.gpu/min_freq", f"{low}\n")
    put(root, "/sys/class/devfreq/17000000.gpu/max_freq", f"{high}\n")
    put(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_min_freq", "2201600\n")
    put(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq", "2201600\n")


def set_memory(root: Path, total: int, available: int, swap: int = 0, cma: int = 256 << 20) -> None:
    values = {
        "MemTotal": total,
        "MemFree": available // 2,
        "MemAvailable": available,
        "SwapTotal": swap,
        "SwapFree": swap,
        "CmaTotal": cma,
        "CmaFree": cma,
    }
    put(root, "/proc/meminfo", "".join(f"{k}: {v >> 10} kB\n" for k, v in values.items()))


def agx_orin(root: Path) -> Path:
    """An AGX Orin 64GB developer kit with JetPack 6.2.1 in its 30 W mode."""
    put(root, "/proc/device-tree/model", "NVIDIA Jetson AGX Orin Developer Kit\0")
    put(
        root,
        "/proc/device-tree/compatible",
        "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0",
    )
    put(
        root,
        "/etc/nv_tegra_release",
        "# R36 (release), REVISION: 4.7, GCID: 42132812, BOARD: generic, EABI: aarch64\n",
    )
    put(root, "/etc/nvpmodel.conf", NVPMODEL)
    put(root, "/var/lib/nvpmodel/status", "pmode:0002 fmode:quiet\n")
    set_clocks(root, 306000000, 612000000)
    set_memory(root, 61 * GIB, 55 * GIB, swap=30 * GIB)
    return root
