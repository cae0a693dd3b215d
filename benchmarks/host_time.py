"""What a round costs beside the engines: Python, NumPy and copying, in milliseconds a round.

    python benchmarks/host_time.py BUNDLE [--scenes 40] [--gamma 5|auto]

With a number the draft head drafts as often each round; `auto` is what `run` does: every drafter,
planned by what is measured, so that planning and lookup count, too.

`host` is the time between calls of engines; `binding` is what those calls take beside ONNX
Runtime's own: telling it where arrays lie. The last line of stdout is one JSON document of medians.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import NamedTuple

import numpy as np
import onnxruntime as ort

from xsd_edge.bundle import Bundle
from xsd_edge.runtime.drafter import Drafter
from xsd_edge.runtime.engine import Arrays
from xsd_edge.runtime.lookup import Lookup
from xsd_edge.runtime.loop import Limits, generate
from xsd_edge.runtime.onnx_engine import OnnxEngine, Prepared
from xsd_edge.runtime.options import parse_gamma
from xsd_edge.runtime.planner import FixedLength, Planned
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.speculation import machine_costs
from xsd_edge.runtime.verifier import GreedyVerifier
from xsd_edge.training.examination import show
from xsd_edge.world.scenes import DESCRIBE, HELD_OUT, Scene
from xsd_edge.world.spec import World


class Clock:
    """Seconds inside engines, and of those inside ONNX Runtime, since the last `take`."""

    def __init__(self) -> None:
        self._engines = self._running = 0.0
        self._run, self._again = OnnxEngine.run, Prepared.__call__
        self._bound = ort.InferenceSession.run_with_iobinding

    def __enter__(self) -> Clock:
        """Every engine of this process is timed from here on."""

        def run(engine: OnnxEngine, feeds: Arrays, results: Arrays) -> None:
            began = perf_counter()
            self._run(engine, feeds, results)
            self._engines += perf_counter() - began

        def again(made: Prepared) -> None:
            began = perf_counter()
            self._again(made)
            self._engines += perf_counter() - began

        def bound(session: ort.InferenceSession, binding: ort.IOBinding) -> None:
            began = perf_counter()
            self._bound(session, binding)
            self._running += perf_counter() - began

        OnnxEngine.run = run  # type: ignore[assignment, method-assign]
        Prepared.__call__ = again  # type: ignore[assignment, method-assign]
        ort.InferenceSession.run_with_iobinding = bound
        return self

    def __exit__(self, *_: object) -> None:
        OnnxEngine.run = self._run  # type: ignore[method-assign]
        Prepared.__call__ = self._again  # type: ignore[method-assign]
        ort.InferenceSession.run_with_iobinding = self._bound

    def take(self) -> tuple[float, float]:
        taken = self._engines, self._running
        self._engines = self._running = 0.0
        return taken


class Spent(NamedTuple):
    """One round, in milliseconds."""

    host: float
    binding: float
    running: float


class Drafting(NamedTuple):
    """A drafter, and the lookup in it that remembers answers."""

    drafter: Drafter
    lookup: Lookup


def drafting(session: Session, gamma: int | None) -> Drafting:
    """The draft head with a fixed gamma; with None all that `run` would use behind a question."""
    lookup, head = Lookup(), session.draft_head
    if gamma is not None:
        return Drafting(FixedLength(head, gamma), lookup)
    return Drafting(Planned(head, lookup, session.predictor, machine_costs(session)), lookup)


def spent(session: Session, shown: Iterable[Scene], gamma: int | None) -> list[Spent]:
    """Every round of these scenes' captions but the question's own; `gamma` as in `drafting`."""
    found: list[Spent] = []
    drafter, lookup = drafting(session, gamma)
    with Clock() as clock:
        for scene in shown:
            drafter.begin(show(session, scene))
            start = session.ask(DESCRIBE)
            rounds = generate(
                session.decoder,
                start,
                GreedyVerifier(),
                Sampling(),
                Limits(),
                drafter,
                np.random.default_rng(0),
            )
            said = [*start.question, *next(rounds).tokens]
            clock.take()
            began = perf_counter()
            for round_ in rounds:
                whole, (engines, running) = perf_counter() - began, clock.take()
                ms = (whole - engines, engines - running, running)
                found.append(Spent(*(1e3 * seconds for seconds in ms)))
                said += round_.tokens
                began = perf_counter()
            lookup.remember(said)
    return found


def held_out(world: World, count: int) -> Iterator[Scene]:
    """The first scenes that nothing was trained on."""
    return (Scene.from_seed(seed, world) for seed in range(HELD_OUT, HELD_OUT + count))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--gamma", type=parse_gamma, default=5)
    given = parser.parse_args()
    bundle = Bundle(given.bundle)
    shown = held_out(World.of(bundle), given.scenes)
    rounds = spent(Session(bundle), shown, given.gamma)
    found = {
        f"{name}_ms_per_round": round(median(getattr(spent, name) for spent in rounds), 3)
        for name in Spent._fields
    }
    gamma = "auto" if given.gamma is None else given.gamma
    print(json.dumps({**found, "rounds": len(rounds), "gamma": gamma}))


if __name__ == "__main__":
    main()
