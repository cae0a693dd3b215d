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

SWEEPS = 5  # each of every length
GLANCES = 3  # at kept costs, at most: one that finds them true is enough
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
    """Time passes of 1..gamma_max+1 rows, two long ones and a draft, where the cache now stands."""
    clock = _Clock(decoder)
    counts = (*range(1, gamma_max + 2), *LONG_PASSES)
    hidden = decoder.forward(decoder.embed([0]), last=1).hidden.copy()
    decoder.trim(decoder.offset - 1)
    sweeps, drafts = [], []
    for _ in range(SWEEPS):
        sweeps.append([clock.seconds(rows) for rows in counts])
        drafter.observe(hidden, [0])
        began = time.perf_counter()
        drawn = drafter.propose(gamma_max, Sampling(), np.random.default_rng(0))
        drafts.append((time.perf_counter() - began) / max(len(drawn.tokens), 1) / sweeps[-1][0])
    *passes, few, many = _in_steps(sweeps)
    # A pass costs no less than one of fewer rows; what was measured otherwise is noise.
    v = np.maximum.accumulate(np.maximum(passes, 1.0)).tolist()
    return Costs(float(np.median(drafts)), tuple(v), _row(few, many))


def still_true(decoder: Decoder, costs: Costs) -> bool:
    """Do the longest round and a prefill's row still cost that much? Costs may have been taken
    while something else kept the machine busy, or in another power mode. A glance delays the start,
    so the next one is only taken where those before it disagree with what was kept.
    """
    clock = _Clock(decoder)
    counts = (1, len(costs.v), *LONG_PASSES)
    glances: list[list[float]] = []
    for _ in range(GLANCES):
        glances.append([clock.seconds(rows) for rows in counts])
        _, longest, few, many = _in_steps(glances)
        pairs = ((longest, costs.v[-1]), (_row(few, many), costs.row))
        if all(max(a, b) <= LIKE * min(a, b) for a, b in pairs):
            return True
    return False


def _in_steps(sweeps: list[list[float]]) -> list[float]:
    """Each pass' time over the single row's of its own sweep, the median of all sweeps: a machine
    that is slow for a moment is so for both.
    """
    times = np.array(sweeps)
    steps: list[float] = np.median(times / times[:, :1], axis=0).tolist()
    return steps


def _row(few: float, many: float) -> float:
    """One more row in a long pass."""
    return max((many - few) / (LONG_PASSES[1] - LONG_PASSES[0]), 0.0)


class _Clock:
    """Times passes where a cache stands, and leaves it there."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder, self._start = decoder, decoder.offset
        self._inputs = np.repeat(decoder.embed([0]), max(LONG_PASSES), 0)
        self.seconds(EXACT_ROWS)  # the first pass also pays for warming up

    def seconds(self, rows: int) -> float:
        """A pass of so many rows."""
        began = time.perf_counter()
        self._decoder.forward(self._inputs[:rows], last=min(rows, FEW))
        took = time.perf_counter() - began
        self._decoder.trim(self._start)
        return took


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
