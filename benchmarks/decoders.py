"""Speed of the decoders on one core: events per second of each encoding, from 64 KiB portions.

    python benchmarks/decoders.py [RECORDING] [--million 10] [--rounds 5]

The recording's events are repeated, one after another in time, until there are enough, and encoded
by our own writers. Each round runs every decoder once, so that all meet the same machine; the best
round counts, as processor time of the one thread that decodes. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from xsd_edge.events.decoders.dat import DatDecoder
from xsd_edge.events.decoders.encodings import Decoder
from xsd_edge.events.decoders.evt2 import Evt2Decoder
from xsd_edge.events.decoders.evt3 import Evt3Decoder
from xsd_edge.events.decoders.evt3_loop import Evt3LoopDecoder, compiled
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import open_source
from xsd_edge.events.writers.dat import DatEncoder
from xsd_edge.events.writers.evt2 import Evt2Encoder
from xsd_edge.events.writers.evt3 import Evt3Encoder
from xsd_edge.events.writers.writer import Encoder

RECORDING = Path(__file__).parents[1] / "tests" / "data" / "cut10ms.dat"
PORTION = 1 << 16
Make = Callable[[Geometry, Counters], Decoder]


def repeated(packets: list[EventPacket], events: int) -> list[EventPacket]:
    """The packets again and again, each time later."""
    length = int(packets[-1].t[-1] - packets[0].t[0]) + 1
    again = -(-events // sum(map(len, packets)))
    return [
        EventPacket(packet.t - packets[0].t[0] + number * length, packet.x, packet.y, packet.p)
        for number in range(again)
        for packet in packets
    ]


def encoded(packets: list[EventPacket], encoder: Encoder) -> bytes:
    return b"".join(encoder.encode(packet) for packet in packets)


def seconds(make: Make, geometry: Geometry, data: bytes, events: int) -> float:
    """Processor time to decode it all."""
    counters = Counters()
    decoder = make(geometry, counters)
    began = time.process_time()
    for at in range(0, len(data), PORTION):
        decoder.feed(data[at : at + PORTION])
    took = time.process_time() - began
    assert counters == Counters(events=events)
    return took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("recording", nargs="?", default=str(RECORDING))
    parser.add_argument("--million", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    source = open_source(asked.recording)
    packets = repeated(list(source.packets()), int(asked.million * 1e6))
    events = sum(map(len, packets))
    evt3 = encoded(packets, Evt3Encoder())
    rows: dict[str, tuple[Make, bytes]] = {
        "evt2_numpy": (Evt2Decoder, encoded(packets, Evt2Encoder())),
        "evt3_numpy": (Evt3Decoder, evt3),
        "dat_numpy": (DatDecoder, encoded(packets, DatEncoder())),
    }
    loop = compiled()
    if loop is not None:
        rows["evt3_numba"] = (lambda size, seen: Evt3LoopDecoder(size, seen, loop), evt3)
    best = dict.fromkeys(rows, np.inf)
    for number in range(asked.rounds):
        for name, (make, data) in rows.items():
            best[name] = min(best[name], seconds(make, source.geometry, data, events))
        print(f"round {number + 1} of {asked.rounds}", {k: round(v, 3) for k, v in best.items()})
    rates = {name: round(events / took / 1e6, 1) for name, took in best.items()}
    machine = platform.processor() or platform.machine()
    print(
        json.dumps(
            {"mev_per_s": rates, "events": events, "numpy": np.__version__, "machine": machine}
        )
    )


if __name__ == "__main__":
    main()
