"""Energy from sampled power."""

from __future__ import annotations

import time
from pathlib import Path
from time import perf_counter

import pytest

from tests.profiling import boards
from xsd_edge.profiling.sampler import Fast, Sampler
from xsd_edge.profiling.sensors import Power, Sensors


def sampled(*points: tuple[float, float | None]) -> Sampler:
    sampler = Sampler(Sensors(Path("/nowhere")))
    sampler.fast = [Fast(at, Power({}, watts)) for at, watts in points]
    return sampler


def test_energy_is_the_area_under_the_samples() -> None:
    ramp = sampled((10.0, 0.0), (11.0, 10.0), (12.0, 10.0))
    assert ramp.energy_j([(10.0, 11.0)]) == pytest.approx(5.0)
    assert ramp.energy_j([(10.5, 11.5)]) == pytest.approx(3.75 + 5.0)
    assert ramp.energy_j([(10.0, 11.0), (11.0, 12.0)]) == pytest.approx(15.0)


def test_energy_is_unknown_without_a_total_or_outside_the_samples() -> None:
    assert sampled().energy_j([(0.0, 1.0)]) is None
    assert sampled((0.0, None), (1.0, None)).energy_j([(0.0, 1.0)]) is None
    assert sampled((0.0, 5.0), (1.0, 5.0)).energy_j([(0.5, 1.5)]) is None


def test_a_thread_samples_until_the_block_ends(tmp_path: Path) -> None:
    began = perf_counter()
    with Sampler(Sensors(boards.orin_nano_jetpack6(tmp_path))) as sampler:
        time.sleep(0.2)
        begin, end = began, perf_counter()
    count = len(sampler.fast)
    assert count >= 3
    assert sampler.energy_j([(sampler.fast[0].at, end)]) == pytest.approx(
        7.5 * (end - sampler.fast[0].at)
    )
    assert begin < sampler.fast[0].at
    assert sampler.slow[0].temperatures["tj-thermal"] == 52.0
    time.sleep(0.1)
    assert len(sampler.fast) == count


def test_a_pc_is_not_asked_for_power(tmp_path: Path) -> None:
    with Sampler(Sensors(tmp_path)) as sampler:
        time.sleep(0.05)
    assert sampler.fast == []
    assert sampler.slow[0].resident
