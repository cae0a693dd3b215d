"""Samples the sensors from a thread while a profile runs, and integrates power to energy."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from time import perf_counter
from typing import NamedTuple

import numpy as np

from xsd_edge.profiling.sensors import Power, Sensors
from xsd_edge.profiling.taps import resident_bytes

PERIOD_S = 0.02  # between power samples: an answer of half a second has 25 of them
SLOW_EVERY = 25  # power samples between two looks at what changes slowly


class Slow(NamedTuple):
    """What changes slowly, at `at` on perf_counter's clock."""

    at: float
    temperatures: dict[str, float]  # degrees Celsius
    clocks: dict[str, float]  # MHz
    gpu_load: float | None
    resident: int | None  # bytes


class Fast(NamedTuple):
    at: float
    power: Power


class Sampler:
    """A context manager; what it has sampled stays afterwards."""

    def __init__(self, sensors: Sensors) -> None:
        self._sensors = sensors
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sensors", daemon=True)
        self.fast: list[Fast] = []
        self.slow: list[Slow] = []

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._ended.set()
        self._thread.join()
        self._look()
        self._feel()

    def energy_j(self, spans: Iterable[tuple[float, float]]) -> float | None:
        """Joules that the module took within spans of perf_counter's clock: trapezoids between
        samples. None without a total, or where the samples do not cover a span.
        """
        known = [(s.at, s.power.total) for s in self.fast if s.power.total is not None]
        if len(known) < 2:
            return None
        times, watts = (np.array(column, np.float64) for column in zip(*known, strict=True))
        total = 0.0
        for begin, end in spans:
            if begin < times[0] - PERIOD_S or end > times[-1] + 2 * PERIOD_S:
                return None
            inside = times[(times > begin) & (times < end)]
            at = np.concatenate([[begin], inside, [end]])
            level = np.interp(at, times, watts)
            total += float(((level[1:] + level[:-1]) / 2 * np.diff(at)).sum())
        return total

    def _run(self) -> None:
        often = SLOW_EVERY if self._sensors.has_power else 1
        while True:
            self._look()
            for _ in range(often):
                self._feel()
                if self._ended.wait(PERIOD_S * SLOW_EVERY / often):
                    return

    def _feel(self) -> None:
        if self._sensors.has_power:
            self.fast.append(Fast(perf_counter(), self._sensors.power()))

    def _look(self) -> None:
        sensors = self._sensors
        seen = (sensors.temperatures(), sensors.clocks(), sensors.gpu_load(), resident_bytes())
        self.slow.append(Slow(perf_counter(), *seen))
