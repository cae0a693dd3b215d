"""What happens to events on their way from a writer to the window that a model sees.

    python -m benchmarks.rates [--seconds 5] [--rates 1 4 12 24]

A process sends at each rate, in million events a second, into a FIFO (EVT3) and over UDP (faery64);
a consumer takes windows and is busy with each for three quarters of one, with every fifth for two
and a half. Ages are from a window's end to when the consumer has all of it, in windows.
`exact`: sent = delivered + dropped (whole windows and datagrams) + tail (the unfinished last one).
The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.event_writer import DATAGRAM
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.decoders.evt3_loop import compiled
from xsd_edge.events.live.udp import UdpSource
from xsd_edge.events.packet import Geometry
from xsd_edge.events.source import EventSource, Wanted, open_source

WINDOW_US: Final = 200_000
SLICES: Final = 8
BUSY: Final = (0.75, 0.75, 0.75, 0.75, 2.5)  # windows that the consumer is busy with each
WRITER: Final = Path(__file__).with_name("event_writer.py")
DRAIN_S: Final = 0.5  # datagrams on their way when the writer is done


def measure(kind: str, rate: float, seconds: float) -> dict[str, Any]:
    """One rate through one kind of stream."""
    compiled()  # numba's own start is not what is measured
    with tempfile.TemporaryDirectory() as folder:
        fifo = Path(folder) / "dvs0"
        source, where = _source(kind, fifo)
        writer = subprocess.Popen(
            [sys.executable, WRITER, kind, where, str(rate), str(seconds)],
            stdout=subprocess.PIPE,
            text=True,
        )
        if source is None:
            source = open_source(str(fifo))
        reader = ClipReader(source, WINDOW_US, SLICES, drop_late=True)
        if kind == "udp":  # which nothing ends
            threading.Thread(target=_close_after, args=(writer, reader, source)).start()
        cpu = time.process_time()
        ends = _consume(reader)
        cpu = time.process_time() - cpu
        report = json.loads((writer.communicate()[0] or "{}").splitlines()[-1])
    totals = reader.totals()
    lost = source.counters.lost * DATAGRAM
    delivered, tail = totals["events_delivered"], totals["events_tail"]
    dropped = totals["events_dropped"] + lost
    ages = np.array([now - report["base_us"] - end for now, end in ends]) / WINDOW_US
    return {
        "kind": kind,
        "mev_per_s": rate,
        "sent": report["sent"],
        "withheld": report["withheld"],
        "delivered": delivered,
        "dropped": dropped,
        "lost_datagram_events": lost,
        "tail": tail,
        "exact": report["sent"] == delivered + dropped + tail,
        "windows": len(ends),
        "windows_dropped": totals["windows_dropped"],
        "age_p50_windows": round(float(np.percentile(ages, 50)), 3),
        "age_p99_windows": round(float(np.percentile(ages, 99)), 3),
        "reader_cpu_share": round(cpu / seconds, 3),
    }


def _source(kind: str, fifo: Path) -> tuple[EventSource | None, str]:
    """A bound socket must be there before its writer, a FIFO's reader waits for it."""
    if kind == "fifo":
        os.mkfifo(fifo)
        return None, str(fifo)
    source = UdpSource("udp", "127.0.0.1", 0, Wanted("faery64", Geometry(640, 480)))
    return source, f"127.0.0.1:{source.port}"


def _close_after(writer: subprocess.Popen[str], reader: ClipReader, source: EventSource) -> None:
    """Close when the writer is done and all that was on its way has come."""
    writer.wait()
    before = -1
    while (seen := source.counters.events) != before or reader.totals()["events"] != seen:
        before = seen
        time.sleep(DRAIN_S)
    reader.close()


def _consume(reader: ClipReader) -> list[tuple[int, int]]:
    """(now, the window's end) of each window that came whole, both in microseconds."""
    ends = []
    for part in reader:
        if part.last:
            ends.append((time.monotonic_ns() // 1000, part.t1_us))
            time.sleep(BUSY[len(ends) % len(BUSY)] * WINDOW_US * 1e-6)
    return ends


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 4, 12, 24])
    given = parser.parse_args()
    found = []
    for kind in ("fifo", "udp"):
        for rate in given.rates:
            found.append(measure(kind, rate, given.seconds))
            print(json.dumps(found[-1]), file=sys.stderr)
    machine = {"cores": os.cpu_count(), "load_average": os.getloadavg()}
    print(json.dumps({"window_us": WINDOW_US, **machine, "rates": found}))


if __name__ == "__main__":
    main()
