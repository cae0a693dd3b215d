"""Sensors through root directories that look like boards."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.profiling import boards
from xsd_edge.profiling.sensors import Sensors


def test_agx_orin_sums_its_four_rails(tmp_path: Path) -> None:
    power = Sensors(boards.agx_orin_jetpack5(tmp_path)).power()
    assert power.rails == pytest.approx(
        {"VDD_GPU_SOC": 3.2, "VDD_CPU_CV": 0.8, "VIN_SYS_5V0": 5.0, "VDDQ_VDD2_1V8AO": 1.0}
    )
    assert power.total == pytest.approx(10.0)


def test_orin_nano_has_a_rail_for_the_whole_and_counts_it_once(tmp_path: Path) -> None:
    power = Sensors(boards.orin_nano_jetpack6(tmp_path)).power()
    assert power.rails == pytest.approx({"VDD_IN": 7.5, "VDD_CPU_GPU_CV": 3.0, "VDD_SOC": 1.5})
    assert power.total == pytest.approx(7.5)


def test_thor_reads_microwatts(tmp_path: Path) -> None:
    power = Sensors(boards.thor_jetpack7(tmp_path)).power()
    assert power.rails == pytest.approx({"VIN": 41.5, "VDD_GPU": 12.0, "VDD_CPU": 6.0})
    assert power.total == pytest.approx(41.5)


def test_a_pc_shows_rails_but_no_whole(tmp_path: Path) -> None:
    power = Sensors(boards.pc(tmp_path)).power()
    assert power.rails == pytest.approx({"PPT": 23.0})
    assert power.total is None


def test_no_sensor_gives_nothing_not_zero(tmp_path: Path) -> None:
    sensors = Sensors(tmp_path)
    assert not sensors.has_power
    assert sensors.power().total is None
    assert sensors.temperatures() == sensors.clocks() == {}
    assert sensors.gpu_load() is None


def test_a_rail_that_cannot_be_read_leaves_no_total(tmp_path: Path) -> None:
    root = boards.agx_orin_jetpack5(tmp_path)
    sensors = Sensors(root)
    current = root / "sys/bus/i2c/drivers/ina3221/1-0041/hwmon/hwmon4/curr2_input"
    for broken in ("", "-\n"):
        current.write_text(broken)
        power = sensors.power()
        assert "VDDQ_VDD2_1V8AO" not in power.rails
        assert power.total is None
    current.unlink()
    assert sensors.power().total is None


def test_temperatures(tmp_path: Path) -> None:
    agx = Sensors(boards.agx_orin_jetpack5(tmp_path / "agx")).temperatures()
    assert agx == {"CPU-therm": 48.5, "GPU-therm": 45.25, "tj-therm": 48.5}
    nano = Sensors(boards.orin_nano_jetpack6(tmp_path / "nano")).temperatures()
    assert nano == {"cpu-thermal": 52.0, "gpu-thermal": 51.0, "tj-thermal": 52.0}
    pc = Sensors(boards.pc(tmp_path / "pc")).temperatures()
    assert pc == {"coretemp Package id 0": 61.0, "coretemp Core 0": 58.0}


def test_zones_of_one_name_are_told_apart(tmp_path: Path) -> None:
    zone = "sys/class/thermal/thermal_zone"
    files = {f"{zone}0/type": "acpitz", f"{zone}0/temp": 40000}
    files |= {f"{zone}1/type": "acpitz", f"{zone}1/temp": 41000}
    assert Sensors(boards.write(tmp_path, files)).temperatures() == {"acpitz": 40, "acpitz 2": 41}


def test_clocks_and_load(tmp_path: Path) -> None:
    agx = Sensors(boards.agx_orin_jetpack5(tmp_path / "agx"))
    assert agx.clocks() == {"cpu0": 1728.0, "cpu10": 729.6, "gpu": 612.0, "emc": 3199.0}
    assert list(agx.clocks()) == ["cpu0", "cpu10", "gpu", "emc"]
    assert agx.gpu_load() == 0.37
    nano = Sensors(boards.orin_nano_jetpack6(tmp_path / "nano"))
    assert nano.clocks() == {"gpu": 918.0}
    assert nano.gpu_load() == 0.995


def test_this_machine_answers() -> None:
    sensors = Sensors()
    assert all(-50 < t < 150 for t in sensors.temperatures().values())
    assert all(mhz > 0 for mhz in sensors.clocks().values())
