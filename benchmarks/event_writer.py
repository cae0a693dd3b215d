"""A camera's stand-in: sends random events into a FIFO (EVT3) or over UDP (faery64) at a rate.

    python benchmarks/event_writer.py fifo PATH MEV_PER_S SECONDS
    python benchmarks/event_writer.py udp HOST:PORT MEV_PER_S SECONDS

An event's time is when it was due, in microseconds since `base_us` on CLOCK_MONOTONIC, which all
processes share. Where the reader holds the writer back, a stretch of time is left out, as a sensor
whose bus is full would do: `withheld` events. The last line of stdout is one JSON document.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Final

import numpy as np

HEADER: Final = b"% evt 3.0\n% geometry 640x480\n% end\n"
STEP_US: Final = 100  # events of one step have one time
STEPS: Final = 20  # written at once
LATE_US: Final = 20_000  # further behind, time is left out
EVENT: Final = np.dtype([("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("on", "u1")])
DATAGRAM: Final = 640  # events; 8320 bytes go through jumbo Ethernet frames in one piece
RANDOM: Final = 1 << 16

Send = Callable[[int, int], int]  # (first step's time, events a step) -> events sent


def evt3_writer(path: str) -> Send:
    """Steps of TIME_HIGH, TIME_LOW, one row, and its pixels."""
    rng = np.random.default_rng(0)
    pixels = (0x2000 | rng.integers(0, 2, RANDOM) << 11 | rng.integers(0, 640, RANDOM)).astype(
        "<u2"
    )
    file = open(path, "wb", buffering=0)  # noqa: SIM115  # open as long as the process
    file.write(HEADER)

    def send(t_us: int, count: int) -> int:
        words = np.empty((STEPS, 3 + count), "<u2")
        t = t_us + STEP_US * np.arange(STEPS)
        words[:, 0] = 0x8000 | (t >> 12) & 0xFFF
        words[:, 1] = 0x6000 | t & 0xFFF
        words[:, 2] = t // STEP_US % 480
        words[:, 3:] = np.resize(pixels[t_us % 1000 :], (STEPS, count))
        data = memoryview(words.tobytes())
        while data:
            data = data[file.write(data) :]
        return STEPS * count

    return send


def faery64_sender(address: str) -> Send:
    """Datagrams of DATAGRAM events, never fewer."""
    host, _, port = address.rpartition(":")
    to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    to.connect((host, int(port)))
    rng = np.random.default_rng(0)
    events = np.empty(RANDOM, EVENT)  # all but their times stays
    for key, values in (("x", 640), ("y", 480), ("on", 2)):
        events[key] = rng.integers(0, values, RANDOM)
    data, step = events.data.cast("B"), DATAGRAM * EVENT.itemsize
    owed = 0

    def send(t_us: int, count: int) -> int:
        nonlocal owed
        owed += STEPS * count
        now, owed = owed - owed % DATAGRAM, owed % DATAGRAM
        events["t"][:now] = t_us + STEP_US * (np.arange(now) * STEPS // max(now, 1))
        for at in range(0, now * EVENT.itemsize, step):
            to.send(data[at : at + step])
        return now

    return send


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("fifo", "udp"))
    parser.add_argument("where")
    parser.add_argument("mev_per_s", type=float)
    parser.add_argument("seconds", type=float)
    given = parser.parse_args()
    send = (evt3_writer if given.kind == "fifo" else faery64_sender)(given.where)
    count = max(round(given.mev_per_s * STEP_US), 1)
    base = time.monotonic_ns() // 1000
    t = sent = withheld = 0
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(BrokenPipeError, KeyboardInterrupt):
        while t < given.seconds * 1e6:
            now = time.monotonic_ns() // 1000 - base
            if now - t > LATE_US:
                steps = (now - t) // STEP_US
                withheld += steps * count
                t += steps * STEP_US
            if (due := t + STEPS * STEP_US) > now:  # a step is sent when its time is over
                time.sleep((due - now) * 1e-6)
            sent += send(t, count)
            t += STEPS * STEP_US
    print(json.dumps({"base_us": base, "sent": sent, "withheld": withheld}), flush=True)
    os._exit(0)  # the FIFO closes now, not after the interpreter's farewell


if __name__ == "__main__":
    main()
