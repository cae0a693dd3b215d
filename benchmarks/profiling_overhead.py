"""What profiling itself costs: the same clips answered with and without every tap, in turns.

    python benchmarks/profiling_overhead.py BUNDLE [--camera demo] [--clips 60]

Without: a session as `run` opens it. With: timed engines, recorded stages and rounds, and the
sensors' thread. Each turn answers one clip whole; who goes first alternates. The last line of
stdout is one JSON document; `overhead` is the time with over the time without, less 1, with its
95 % interval, and `cpu_overhead` the same of CPU time, which a busy machine disturbs less.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from xsd_edge.bundle import Bundle
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.source import open_source
from xsd_edge.profiling.arms import Arm, Clip, Replay, clips
from xsd_edge.profiling.sampler import Sampler
from xsd_edge.profiling.sensors import Sensors
from xsd_edge.profiling.statistics import ratio
from xsd_edge.profiling.taps import EngineTap, RoundTap
from xsd_edge.runtime.app import DEMO, frames_for
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.pipeline import Pipeline
from xsd_edge.runtime.session import Session

WARM_UP = 2  # turns that are not counted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--camera", default=DEMO)
    parser.add_argument("--clips", type=int, default=60)
    parser.add_argument("--gamma", type=int, default=5)
    given = parser.parse_args()
    run = RunOptions(given.bundle, given.camera, gamma=given.gamma, max_tokens=64)
    bundle = Bundle(given.bundle)
    spec = str(bundle.named("demo_clip")) if given.camera == DEMO else given.camera
    source = open_source(spec)
    frames = frames_for(source, run)
    info = bundle.manifest.clip
    reader = ClipReader(source, info.duration_us, info.frames, drop_late=False)
    captured = list(clips(reader, frames, []))

    plain = Replay(frames.kind)
    pipeline = Pipeline(Session(bundle), plain, source.geometry, plain, run)
    answers = pipeline.answers()

    def without(clip: Clip) -> None:
        plain.hand_in(clip)
        next(answers)

    tap = EngineTap()
    profiled = Session(bundle, opener=tap)
    arm = Arm(profiled, source.geometry, frames.kind, run, RoundTap(tap.calls))

    sensors = Sensors()

    def with_taps(clip: Clip) -> None:
        with Sampler(sensors):
            arm.take(clip)

    turns: tuple[Callable[[Clip], None], ...] = (with_taps, without)
    seconds, cpu = np.zeros((2, given.clips + WARM_UP, 2))
    for turn, clip in zip(range(len(seconds)), cycle(captured), strict=False):
        for which in (0, 1) if turn % 2 else (1, 0):
            began, spent = perf_counter(), process_time()
            turns[which](clip)
            cpu[turn, which] = process_time() - spent
            seconds[turn, which] = perf_counter() - began
    kept, cpu = seconds[WARM_UP:], cpu[WARM_UP:]
    found, busy = ratio(kept[:, :1], kept[:, 1:]), ratio(cpu[:, :1], cpu[:, 1:])
    assert found is not None
    assert busy is not None
    result = {
        "overhead": round(found.value - 1, 5),
        "low": round(found.low - 1, 5),
        "high": round(found.high - 1, 5),
        "cpu_overhead": [round(each - 1, 5) for each in busy],
        "median_overhead": round(float(np.median(kept[:, 0] / kept[:, 1])) - 1, 5),
        "clips": given.clips,
        "ms_per_clip": round(float(kept[:, 1].mean()) * 1e3, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
