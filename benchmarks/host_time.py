"""What a round costs beside the engines: Python, NumPy and copying, in milliseconds a round.

    python benchmarks/host_time.py BUNDLE [--scenes 40] [--gamma 5]

The last line of stdout is one JSON document with medians.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.runtime.engine import Arrays
from xsd_edge.runtime.loop import Limits, generate
from xsd_edge.runtime.onnx_engine import OnnxEngine
from xsd_edge.runtime.planner import FixedLength
from xsd_edge.runtime.sampling import Sampling
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.verifier import GreedyVerifier
from xsd_edge.training.examination import show
from xsd_edge.world import scenes
from xsd_edge.world.spec import World


class Clock:
    """Seconds inside engines since the last `take`."""

    def __init__(self) -> None:
        self._inside = 0.0
        run = OnnxEngine.run

        def timed(engine: OnnxEngine, feeds: Arrays, results: Arrays) -> None:
            began = perf_counter()
            run(engine, feeds, results)
            self._inside += perf_counter() - began

        OnnxEngine.run = timed  # type: ignore[method-assign]  # every engine of this process

    def take(self) -> float:
        inside, self._inside = self._inside, 0.0
        return inside


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--gamma", type=int, default=5)
    given = parser.parse_args()
    clock, session = Clock(), Session(Bundle(given.bundle))
    world = World.of(Bundle(given.bundle))
    host: list[float] = []
    engines: list[float] = []
    for seed in range(scenes.HELD_OUT, scenes.HELD_OUT + given.scenes):
        scene = scenes.Scene.from_seed(seed, world)
        session.draft_head.begin(show(session, scene))
        rounds = generate(
            session.decoder,
            session.ask(scenes.DESCRIBE),
            GreedyVerifier(),
            Sampling(),
            Limits(),
            FixedLength(session.draft_head, given.gamma),
            np.random.default_rng(seed),
        )
        next(rounds)
        clock.take()
        began = perf_counter()
        for _ in rounds:
            now, inside = perf_counter(), clock.take()
            engines.append(inside * 1e3)
            host.append((now - began - inside) * 1e3)
            began = perf_counter()
    found = {
        "host_ms_per_round": round(median(host), 3),
        "engine_ms_per_round": round(median(engines), 3),
        "rounds": len(host),
        "gamma": given.gamma,
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
