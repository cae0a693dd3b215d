"""Root directories that look like boards: what JetPack 5, 6 and 7 and a PC show in sysfs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Files = Mapping[str, object]


def write(root: Path, files: Files) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{content}\n")
    return root


def ina3221(folder: str, *channels: tuple[str, int, int] | None) -> dict[str, object]:
    """Channels as (label, mV, mA); None is not connected. Channel 7 is the sum of the shunts."""
    files: dict[str, object] = {f"{folder}/in7_label": "sum of shunt voltages"}
    for index, channel in enumerate(channels, 1):
        label, millivolts, milliamperes = channel or ("NC", 0, 0)
        files |= {
            f"{folder}/in{index}_label": label,
            f"{folder}/in{index}_input": millivolts,
            f"{folder}/curr{index}_input": milliamperes,
        }
    return files


def zones(**kinds: int) -> dict[str, object]:
    """Thermal zones in millidegrees; an underscore stands for a hyphen."""
    files: dict[str, object] = {}
    for index, (kind, millidegrees) in enumerate(kinds.items()):
        zone = f"sys/class/thermal/thermal_zone{index}"
        files |= {f"{zone}/type": kind.replace("_", "-"), f"{zone}/temp": millidegrees}
    return files


NVPMODEL = """
< POWER_MODEL ID=0 NAME=MAXN >
< POWER_MODEL ID=1 NAME=15W >
< POWER_MODEL ID=2 NAME=30W >
"""


def agx_orin_jetpack5(root: Path) -> Path:
    """Two monitors, no rail for the whole input; found through the driver's folder."""
    drivers = "sys/bus/i2c/drivers/ina3221"
    gpu = "sys/class/devfreq/17000000.ga10b"
    first = (("VDD_GPU_SOC", 20000, 160), ("VDD_CPU_CV", 20000, 40), ("VIN_SYS_5V0", 5000, 1000))
    return write(
        root,
        {
            **ina3221(f"{drivers}/1-0040/hwmon/hwmon3", *first),
            **ina3221(f"{drivers}/1-0041/hwmon/hwmon4", None, ("VDDQ_VDD2_1V8AO", 5000, 200), None),
            **zones(CPU_therm=48500, GPU_therm=45250, tj_therm=48500),
            f"{gpu}/cur_freq": 612000000,
            f"{gpu}/min_freq": 306000000,
            f"{gpu}/max_freq": 612000000,
            f"{gpu}/device/load": 370,
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 1728000,
            "sys/devices/system/cpu/cpu10/cpufreq/scaling_cur_freq": 729600,
            "sys/kernel/debug/bpmp/debug/clk/emc/rate": 3199000000,
            "proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit",
            "etc/nv_tegra_release": "# R35 (release), REVISION: 4.1, GCID: 1, BOARD: t186ref",
            "etc/nvpmodel.conf": NVPMODEL,
            "var/lib/nvpmodel/status": "pmode:0002",
        },
    )


def orin_nano_jetpack6(root: Path) -> Path:
    """One monitor with the whole input, seen both as a hwmon and below its i2c device."""
    gpu = "sys/class/devfreq/17000000.gpu"
    rails = (("VDD_IN", 5000, 1500), ("VDD_CPU_GPU_CV", 5000, 600), ("VDD_SOC", 5000, 300))
    return write(
        root,
        {
            "sys/class/hwmon/hwmon1/name": "ina3221",
            **ina3221("sys/class/hwmon/hwmon1", *rails),
            "sys/bus/i2c/devices/1-0040/name": "ina3221",
            **ina3221("sys/bus/i2c/devices/1-0040/hwmon/hwmon1", *rails),
            "sys/class/hwmon/hwmon0/name": "gpu_thermal",
            "sys/class/hwmon/hwmon0/temp1_input": 51000,
            **zones(cpu_thermal=52000, gpu_thermal=51000, tj_thermal=52000),
            f"{gpu}/cur_freq": 918000000,
            f"{gpu}/min_freq": 918000000,
            f"{gpu}/max_freq": 918000000,
            f"{gpu}/device/load": 995,
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit",
            "etc/nv_tegra_release": "# R36 (release), REVISION: 4.7, GCID: 1, BOARD: generic",
            "etc/nvpmodel.conf": NVPMODEL,
            "var/lib/nvpmodel/status": "pmode:0001",
        },
    )


def thor_jetpack7(root: Path) -> Path:
    """An INA238 in microwatts for the input, an INA3221 behind it."""
    return write(
        root,
        {
            "sys/class/hwmon/hwmon0/name": "ina238",
            "sys/class/hwmon/hwmon0/in1_label": "VIN",
            "sys/class/hwmon/hwmon0/power1_input": 41500000,
            "sys/class/hwmon/hwmon1/name": "ina3221",
            **ina3221("sys/class/hwmon/hwmon1", ("VDD_GPU", 12000, 1000), ("VDD_CPU", 12000, 500)),
        },
    )


def pc(root: Path) -> Path:
    """Temperatures and clocks, and a graphics card's own power: nothing shows the whole."""
    return write(
        root,
        {
            "sys/class/hwmon/hwmon2/name": "coretemp",
            "sys/class/hwmon/hwmon2/temp1_label": "Package id 0",
            "sys/class/hwmon/hwmon2/temp1_input": 61000,
            "sys/class/hwmon/hwmon2/temp2_label": "Core 0",
            "sys/class/hwmon/hwmon2/temp2_input": 58000,
            "sys/class/hwmon/hwmon5/name": "amdgpu",
            "sys/class/hwmon/hwmon5/power1_label": "PPT",
            "sys/class/hwmon/hwmon5/power1_input": 23000000,
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": 3600000,
        },
    )
