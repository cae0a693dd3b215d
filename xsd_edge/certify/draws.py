"""What is drawn from one context, against the target's own probabilities; in this process, or in
several.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.certify.bench import Bench
from xsd_edge.certify.g_test import LEAST_EXPECTED, Found, Outcome, g_of
from xsd_edge.certify.replay import Context, Replay
from xsd_edge.certify.subject import Subject
from xsd_edge.errors import DeviceError
from xsd_edge.machine import Machine
from xsd_edge.runtime.engine import EngineOptions

MOST_PROCESSES = 4
ROOM = 4  # times the target's size that each process may take of the memory that is free


class Task(NamedTuple):
    """One context to be drawn from `each` times in each mode, to the largest of `depths`."""

    context: Context
    subject: Subject
    modes: tuple[str, ...]
    depths: tuple[int, ...]
    each: int
    seed: tuple[int, int, int]  # the user's, the stage, the context's number


class Drawn(NamedTuple):
    """What one context gave."""

    found: dict[tuple[str, int], Found]  # by mode and depth
    covered: float  # share of the target's probability that the cut vocabulary kept
    passes: int  # of the real target


Drawing: TypeAlias = Callable[[Sequence[Task]], Iterable[Drawn]]  # in the order of the tasks


def draw(bench: Bench, task: Task) -> Drawn:
    """Draw from the product's loop, or a broken one, and compare with plain passes."""
    replay = Replay(bench, task.context, task.seed[0])
    expected = {d: replay.reference(d, LEAST_EXPECTED / task.each) for d in task.depths}
    lean, found = replay.lean(), {}
    seed, stage, number = task.seed
    for at, mode in enumerate(task.modes):
        rng = np.random.default_rng((seed, stage, task.depths[-1], number, at))
        drawn = Counter(replay.draws(task.subject, mode, task.depths[-1], task.each, rng))
        for depth, p in expected.items():
            leans = [lean[outcome[0]] for outcome in p]
            found[mode, depth] = g_of(binned(drawn, p), p, leans)
    return Drawn(found, replay.covered, replay.cut.target.passes)


def drawing_with(bench: Bench) -> Drawing:
    """One context after the other, here."""
    return partial(map, partial(draw, bench))


@contextmanager
def drawing(bench: Bench) -> Iterator[Drawing]:
    """Contexts side by side where the engines run on several cores; else one after the other.

    The loop on remembered logits is Python's work, of one core. Each process has engines of its
    own, with one thread.

    Raises:
        DeviceError: one of them was ended from outside.
    """
    count = _processes(bench.bundle)
    if count < 2:
        yield drawing_with(bench)
        return
    asked = (count, get_context("spawn"), _open, (bench.bundle.folder,))
    try:
        with ProcessPoolExecutor(*asked) as processes:
            yield partial(processes.map, _draw)
    except BrokenProcessPool as error:
        raise DeviceError(
            "a process that drew tokens was ended from outside; free some memory, then try again"
        ) from error


def binned(
    drawn: Mapping[Outcome, int], probabilities: Mapping[Outcome, float]
) -> Counter[Outcome]:
    """Drawn outcomes as the ones that have a probability: cut off where those end.

    What begins like none of them stays as it is.
    """
    counts: Counter[Outcome] = Counter()
    for outcome, count in drawn.items():
        lengths = range(len(outcome), 0, -1)
        cut = next((outcome[:n] for n in lengths if outcome[:n] in probabilities), outcome)
        counts[cut] += count
    return counts


def _processes(bundle: Bundle) -> int:
    """One a core, as far as memory goes; one where engines run on something else than cores."""
    manifest, state = bundle.manifest, Machine().memory
    if state is None or any(part.backend != "cpu" for part in manifest.parts.values()):
        return 1
    target = sum(path.stat().st_size for path in bundle.folder.glob("target/*.data"))
    fitting = state.available // max(ROOM * target, 1)
    return min(len(os.sched_getaffinity(0)), MOST_PROCESSES, fitting)


_bench: Bench | None = None  # of a process that draws


def _open(folder: Path) -> None:
    global _bench  # an initializer has no other place
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C ends it without a word; the parent speaks
    _bench = Bench(Bundle(folder), EngineOptions(threads=1))


def _draw(task: Task) -> Drawn:
    assert _bench is not None
    return draw(_bench, task)
