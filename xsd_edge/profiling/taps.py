"""Taps: what a run is listened to through. Timed engines, a timed source, rounds as they end."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from time import perf_counter, thread_time
from typing import NamedTuple

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import EventSource, Extent, Frames
from xsd_edge.runtime.engine import Arrays, Engine, EngineOptions, open_engine
from xsd_edge.runtime.loop import Round
from xsd_edge.runtime.stages import Call
from xsd_edge.runtime.watch import Watchers


@dataclass(slots=True)
class EngineMemory:
    """What one engine holds, in bytes. `resident` and `system` are what opening it added to this
    process and took from the whole machine (on Jetson the GPU's memory is the machine's); both are
    rough, and None where the system does not say.
    """

    file: int
    resident: int | None
    system: int | None
    cache: int = 0  # key-value buffers


class TimedEngine:
    """An engine whose runs are kept."""

    def __init__(self, part: str, engine: Engine, calls: list[Call], memory: EngineMemory) -> None:
        self._part, self._engine, self._calls, self._memory = part, engine, calls, memory

    def run(self, feeds: Arrays, results: Arrays) -> None:
        began = perf_counter()
        self._engine.run(feeds, results)
        self._calls.append(Call(self._part, began, perf_counter() - began))

    def hold(self, pairs: Mapping[str, str], shape: tuple[int, ...], dtype: str) -> None:
        self._memory.cache += len(pairs) * prod(shape) * np.dtype(dtype).itemsize
        self._engine.hold(pairs, shape, dtype)

    def close(self) -> None:
        self._engine.close()


class EngineTap:
    """Opens engines for a session, timed and weighed."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.memory: dict[str, EngineMemory] = {}

    def __call__(self, bundle: Bundle, part: str, options: EngineOptions) -> Engine:
        resident, free = resident_bytes(), available_bytes()
        engine = open_engine(bundle, part, options)
        held = EngineMemory(
            _file_bytes(bundle, part),
            _grown(resident, resident_bytes()),
            _grown(available_bytes(), free),
        )
        self.memory[part] = held
        return TimedEngine(part, engine, self.calls, held)


class SourceTap:
    """An event source whose decoding is kept.

    What is kept is CPU time of the reading thread: waiting for the camera is no work.
    """

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self.live = source.live
        self.calls: list[Call] = []

    @property
    def encoding(self) -> str:
        return self._source.encoding

    @property
    def geometry(self) -> Geometry:
        return self._source.geometry

    @property
    def counters(self) -> Counters:
        return self._source.counters

    @property
    def frames(self) -> Frames | None:
        return self._source.frames

    def extent(self, enough_us: int) -> Extent | None:
        began, spent = perf_counter(), thread_time()
        known = self._source.extent(enough_us)
        self._keep(began, thread_time() - spent)
        return known

    def packets(self) -> Iterator[EventPacket]:
        source = iter(self._source.packets())
        while True:
            began, spent = perf_counter(), thread_time()
            packet = next(source, None)
            spent = thread_time() - spent
            if packet is None:
                return
            if len(packet):
                self._keep(began, spent)
            yield packet

    def close(self) -> None:
        self._source.close()

    def _keep(self, began: float, seconds: float) -> None:
        self.calls.append(Call("event_decode", began, seconds))


class RoundCall(NamedTuple):
    """One round without its arrays. Draft, verify and judge ran in this order and ended at `ended`,
    on perf_counter's clock.
    """

    ended: float
    emitted: int
    drafted: int
    accepted: int
    draft_s: float
    verify_s: float
    judge_s: float
    head_steps: int  # runs of the draft head in it; drafts that were looked up take none


class RoundTap(Watchers):
    """A watcher that keeps the rounds."""

    def __init__(self, engines: list[Call]) -> None:
        super().__init__()
        self.engines = engines
        self.rounds: list[RoundCall] = []
        self._seen = 0

    def asked(self, clip: int, question: str) -> None:
        self._seen = len(self.engines)

    def spoke(self, round_: Round) -> None:
        steps = sum(call.stage == "draft_head" for call in self.engines[self._seen :])
        self._seen = len(self.engines)
        figures = (round_.drafted, round_.accepted, round_.draft_s, round_.verify_s, round_.judge_s)
        self.rounds.append(RoundCall(round_.ended, len(round_.tokens), *figures, steps))


def resident_bytes() -> int | None:
    """This process's resident memory now; None off Linux."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak_resident_bytes(seen: int | None) -> int | None:
    """The most this process ever held; `seen` is what it was once seen to hold.

    The kernel sums up its counters now and then, core by core: its peak may lie some pages lower.
    """
    peak = _kib_of(Path("/proc/self/status"), "VmHWM:")
    return max((each for each in (peak, seen) if each is not None), default=None)


def available_bytes() -> int | None:
    """What the whole machine could still give."""
    return _kib_of(Path("/proc/meminfo"), "MemAvailable:")


def _kib_of(path: Path, key: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith(key)), None)


def _grown(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(after - before, 0)


def _file_bytes(bundle: Bundle, part: str) -> int:
    entry = bundle.part(part)
    files = (entry.files[entry.default], *entry.attachments)
    return sum(each.size for each in files)
