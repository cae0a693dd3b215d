"""What watching costs the thread that decodes: microseconds a round and a slice, for each listener.

    python benchmarks/watching.py [--rounds 2000] [--turns 5]

Processor time of the decoding thread alone, so that drawing and sending (which other threads do)
and a busy machine do not count; listeners take turns, and the least of the turns counts, since
noise only adds. `page` has a browser that never acknowledges anything: the slowest there is. The
share is of a target pass of 20 ms, a fast one for this project. The last line is JSON.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.runtime.figures import Tally
from xsd_edge.runtime.lines import TextLines
from xsd_edge.runtime.loop import Round
from xsd_edge.runtime.watch import Scene, Watcher
from xsd_edge.web.server import serving

TOKENIZER = Path(__file__).parents[1] / "tests" / "data" / "tiny-bundle" / "tokenizer.json"
GEOMETRY = Geometry(640, 480)
EVENTS, PASS_S = 40_000, 0.020


@contextlib.contextmanager
def listeners() -> Iterator[dict[str, Watcher]]:
    """By name; `page` with a client that takes one message and stays silent."""
    from websockets.sync.client import connect

    said = io.StringIO()
    with (
        contextlib.redirect_stderr(said),
        serving("127.0.0.1:0", None) as (alone,),
        serving("127.0.0.1:0", None) as (watched,),
    ):
        url = said.getvalue().split()[-1].replace("http", "ws") + "live"
        with connect(url):
            yield {"lines": TextLines(), "figures": Tally(), "feed": alone, "page": watched}


def costs(listener: Watcher, rounds: int) -> tuple[float, float]:
    """Microseconds of this thread for a round, and for a slice."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, (640, 480), (EVENTS, 2)).astype(np.uint16).T
    events = EventPacket(np.arange(EVENTS) * 3, x, y, rng.integers(0, 2, EVENTS).astype(np.uint8))
    slice_ = Slice(0, 0, 0, 125_000, events, False, 0, False, 0.0)
    frame = np.zeros((480, 640, 3), np.uint8)
    tokens = tuple(range(40, 44))
    none = np.zeros((0, 0), np.float32)
    listener.asked(0, "What?")
    began = time.thread_time()
    for _ in range(rounds):
        listener.spoke(Round(tokens, 5, 3, 0.0, 0.0, 0.0, none, none))
    between = time.thread_time()
    for _ in range(rounds // 10):
        listener.saw(slice_, frame)
    ended = time.thread_time()
    return (between - began) / rounds * 1e6, (ended - between) / (rounds // 10) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2000)
    parser.add_argument("--turns", type=int, default=5)
    asked = parser.parse_args()
    counts = {"events": 0, "events_dropped": 0, "windows_dropped": 0}
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    scene = Scene(tokenizer, GEOMETRY, "recording", 1_000_000, 8, None, lambda: counts)
    best: dict[str, tuple[float, float]] = {}
    with listeners() as found:
        for listener in found.values():
            listener.began(scene)
        for _ in range(asked.turns):
            for name, listener in found.items():
                with contextlib.redirect_stdout(io.StringIO()):
                    took = costs(listener, asked.rounds)
                least = best.get(name, took)
                best[name] = (min(least[0], took[0]), min(least[1], took[1]))
    for name, (round_us, slice_us) in best.items():
        print(f"{name:8} {round_us:8.1f} us a round {slice_us:8.1f} us a slice")
    document = {
        name: {
            "us_per_round": round(round_us, 1),
            "us_per_slice": round(slice_us, 1),
            "share_of_a_pass": round(round_us * 1e-6 / PASS_S, 5),
        }
        for name, (round_us, slice_us) in best.items()
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
