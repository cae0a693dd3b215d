"""What drafting and verifying cost on this very machine, measured at load and kept per machine."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np

from xsd_edge.runtime.decoder import EXACT_ROWS, Decoder
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.sampling import Sampling

REPEATS = 5  # of each timing; the least counts, since noise only adds
LONG_PASSES = (16, 48)  # rows of the passes that tell what a row costs in a prefill
KEPT = "costs.json"  # beside the bundle's own files; no part of what its hashes cover


class Costs(NamedTuple):
    """Ratios to the time of one plain target step."""

    c: float  # one drafted token
    v: tuple[float, ...]  # v[m - 1]: a pass of m rows; v[0] is 1 by definition
    row: float  # one more row in a prefill pass

    def round(self, gamma: int) -> float:
        """A whole round in plain steps: gamma c + v(gamma + 1)."""
        return gamma * self.c + self.v[gamma]


def measure_costs(decoder: Decoder, drafter: Drafter, gamma_max: int) -> Costs:
    """Time passes of 1..gamma_max+1 rows, two long ones and a draft step, where the cache now
    stands.
    """
    start, row = decoder.offset, decoder.embed([0])

    def seconds(rows: int) -> float:
        """The fastest of some passes of so many rows."""
        best = float("inf")
        for _ in range(REPEATS):
            began = time.perf_counter()
            decoder.forward(np.repeat(row, rows, 0), last=min(rows, gamma_max + 1))
            best = min(best, time.perf_counter() - began)
            decoder.trim(start)
        return best

    seconds(EXACT_ROWS)  # the first pass also pays for warming up
    passes = [seconds(rows) for rows in range(1, gamma_max + 2)]
    few, many = LONG_PASSES
    slope = (seconds(many) - seconds(few)) / (many - few)
    hidden = decoder.forward(row, last=1).hidden.copy()
    decoder.trim(start)
    per_token = float("inf")
    for _ in range(REPEATS):
        drafter.observe(hidden, [0])
        began = time.perf_counter()
        drawn = drafter.propose(gamma_max, Sampling(), np.random.default_rng(0))
        per_token = min(per_token, (time.perf_counter() - began) / max(len(drawn.tokens), 1))
    step = passes[0]
    return Costs(per_token / step, tuple(p / step for p in passes), max(slope, 0.0) / step)


def this_machine(engines: str) -> str:
    """What the costs depend on: processor, cores this process may use, and the engines' names."""
    cores = len(os.sched_getaffinity(0))
    return f"{platform.machine()} {_processor()} x{cores} {engines}"


def _processor() -> str:
    """The model name in /proc/cpuinfo; ARM boards name the board in the device tree instead."""
    model = Path("/proc/device-tree/model")
    if model.is_file():
        return model.read_text(errors="replace").strip("\0 \n")
    lines = Path("/proc/cpuinfo").read_text(errors="replace").splitlines()
    return next((line.partition(":")[2].strip() for line in lines if "model name" in line), "?")


def kept_costs(folder: Path, machine: str) -> Costs | None:
    """What an earlier run measured for this machine, or nothing where that cannot be read."""
    try:
        found = json.loads((folder / KEPT).read_text())[machine]
        return Costs(float(found["c"]), tuple(map(float, found["v"])), float(found["row"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None  # a cache: whatever is wrong with it, measuring again mends it


def keep_costs(folder: Path, machine: str, costs: Costs) -> None:
    """Remember for the next run; a bundle that may not be written to is measured every time."""
    path, partial = folder / KEPT, folder / f".{KEPT}.{os.getpid()}"
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    if not isinstance(known, dict):
        known = {}
    try:
        partial.write_text(json.dumps(known | {machine: costs._asdict()}, indent=1))
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
