"""Speed of the representations on one core: events per second at 640x480.

    python benchmarks/representations.py [RECORDING] [--million 1] [--rounds 7]

Each round makes every representation once, so that all meet the same machine; the best round
counts. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from xsd_edge.events.packet import EventPacket
from xsd_edge.events.representation import (
    count_bins,
    event_image,
    stacked_histogram,
    time_surface,
    voxel_grid,
)
from xsd_edge.events.source import open_source

RECORDING = Path(__file__).parents[1] / "tests/data/eventcampy_test_events_1.evt3.raw"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recording", type=Path, nargs="?", default=RECORDING)
    parser.add_argument("--million", type=int, default=1, help="events, at least")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    source = open_source(str(asked.recording))
    geometry = source.geometry
    once = EventPacket.concatenate([p for p in source.packets() if len(p)])
    lasts = int(once.t[-1] - once.t[0]) + 1
    times = -(-asked.million * 1_000_000 // len(once))
    t = np.concatenate([once.t + lasts * n for n in range(times)])
    x, y, p = (np.tile(getattr(once, key), times) for key in "xyp")
    events = EventPacket(t, x, y, p)
    first, end = int(t[0]), int(t[-1]) + 1
    ways = {
        "count_bins": lambda: count_bins(events, geometry, first, end, 5, 64),
        "event_image": lambda: event_image(events, geometry),
        "stacked_histogram": lambda: stacked_histogram(events, geometry, 5),
        "time_surface": lambda: time_surface(events, geometry, end, 5e4),
        "voxel_grid": lambda: voxel_grid(events, geometry, 5),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(asked.rounds):
        for name, make in ways.items():
            began = time.perf_counter()
            make()
            best[name] = min(best[name], time.perf_counter() - began)
    rates = {name: round(len(events) / took / 1e6, 1) for name, took in best.items()}
    print(json.dumps({"mev_per_s": rates, "events": len(events), "size": str(geometry)}))


if __name__ == "__main__":
    main()
