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
GLANCES = 2  # where kept costs are only looked at
LONG_PASSES = (16, 48)  # rows of the passes that tell what a row costs in a prefill
FEW = 9  # rows whose logits a timed pass asks for, as those of a round do
LIKE = 1.4  # kept costs that are off by more are measured anew
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
    start, clock = decoder.offset, _Clock(decoder)
    passes = [clock.seconds(rows) for rows in range(1, gamma_max + 2)]
    slope = clock.seconds_of_a_row()
    hidden = decoder.forward(decoder.embed([0]), last=1).hidden.copy()
    decoder.trim(start)
    per_token = float("inf")
    for _ in range(REPEATS):
        drafter.observe(hidden, [0])
        began = time.perf_counter()
        drawn = drafter.propose(gamma_max, Sampling(), np.random.default_rng(0))
        per_token = min(per_token, (time.perf_counter() - began) / max(len(drawn.tokens), 1))
    step = passes[0]
    return Costs(per_token / step, tuple(p / step for p in passes), slope / step)


def still_true(decoder: Decoder, costs: Costs) -> bool:
    """Do the longest round and a prefill's row still cost that much? Costs may have been taken
    while something else kept the machine busy, or in another power mode.
    """
    clock = _Clock(decoder, GLANCES)
    step = clock.seconds(1)
    pairs = (
        (clock.seconds(len(costs.v)) / step, costs.v[-1]),
        (clock.seconds_of_a_row() / step, costs.row),
    )
    return all(max(a, b) <= LIKE * min(a, b) for a, b in pairs)


class _Clock:
    """Times passes where a cache stands, and leaves it there."""

    def __init__(self, decoder: Decoder, repeats: int = REPEATS) -> None:
        self._decoder, self._start, self._repeats = decoder, decoder.offset, repeats
        self._row = decoder.embed([0])
        self.seconds(EXACT_ROWS)  # the first pass also pays for warming up

    def seconds(self, rows: int) -> float:
        """The fastest of some passes of so many rows."""
        best = float("inf")
        for _ in range(self._repeats):
            began = time.perf_counter()
            self._decoder.forward(np.repeat(self._row, rows, 0), last=min(rows, FEW))
            best = min(best, time.perf_counter() - began)
            self._decoder.trim(self._start)
        return best

    def seconds_of_a_row(self) -> float:
        """Of one more row in a long pass."""
        few, many = LONG_PASSES
        return max((self.seconds(many) - self.seconds(few)) / (many - few), 0.0)


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
