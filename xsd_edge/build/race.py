"""Timing engines against each other: in turns, so that heat and other work hit all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping

from xsd_edge.build.gate import Reference
from xsd_edge.runtime.engine import Engine

WARM_UP = 5
ROUNDS = 50
LIMIT_S = 10.0  # slow networks need fewer rounds for a stable median


def race(engines: Mapping[str, Engine], reference: Reference) -> dict[str, float]:
    """Median milliseconds of one run of each engine, copies of inputs and outputs included."""
    results = reference.blank()
    for engine in engines.values():
        for _ in range(WARM_UP):
            engine.run(reference.feeds, results)
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    deadline = time.monotonic() + LIMIT_S
    for _ in range(ROUNDS):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine.run(reference.feeds, results)
            seconds[name].append(time.perf_counter() - start)
        if time.monotonic() > deadline:
            break
    return {name: round(statistics.median(runs) * 1e3, 4) for name, runs in seconds.items()}
