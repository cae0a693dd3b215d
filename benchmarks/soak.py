"""`xsd-edge run` on a FIFO for minutes, its writer killed and restarted twenty times.

    python -m benchmarks.soak MINUTES [--bundle tests/data/tiny-bundle] [--mev-per-s 0.5]

Judged after a warm-up of a tenth: resident memory grows by at most 1 MB a minute, descriptors and
threads are never more than at first, answers come in order and every event is accounted for. Then
SIGTERM must end it within a second, and so must SIGINT a second run. The last line of stdout is one
JSON document; the exit code is 1 if any judgement is false.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

RESTARTS: Final = 20
PAUSE_S: Final = 0.7  # between a writer's death and its successor
SAMPLE_S: Final = 1.0
SLOPE_MB_PER_MIN: Final = 1.0
SHUTDOWN_S: Final = 1.0
WRITER: Final = Path(__file__).with_name("event_writer.py")


class Sample(NamedTuple):
    """What /proc tells of a process."""

    seconds: float
    rss_mb: float
    descriptors: int
    threads: int


class Run:
    """One process of `xsd-edge run`, whose stdout is read as it comes."""

    def __init__(self, bundle: Path, fifo: Path) -> None:
        self.began = time.monotonic()
        arguments = ["run", "--bundle", bundle, "--camera", fifo, "--reconnect", "--json",
                     "--max-tokens", "16", "--force"]  # fmt: skip
        self.process = subprocess.Popen(
            [sys.executable, "-m", "xsd_edge", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.lines: list[dict[str, Any]] = []
        self.said: list[str] = []
        self._readers = [
            threading.Thread(target=self._hear), threading.Thread(target=self._listen)
        ]  # fmt: skip
        for reader in self._readers:
            reader.start()

    def _hear(self) -> None:
        assert self.process.stdout is not None
        self.lines += (json.loads(line) for line in self.process.stdout)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        self.said += self.process.stderr

    def sample(self) -> Sample:
        """Its state now."""
        folder = Path(f"/proc/{self.process.pid}")
        fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return Sample(
            time.monotonic() - self.began,
            int(fields["VmRSS"].split()[0]) / 1024,
            len(os.listdir(folder / "fd")),
            int(fields["Threads"]),
        )

    def stop(self, number: signal.Signals) -> dict[str, Any]:
        """Send a signal; how it ended, and what it summed up."""
        at = time.monotonic()
        self.process.send_signal(number)
        try:
            code = self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        took = time.monotonic() - at
        for reader in self._readers:
            reader.join()
        summary = next((line["summary"] for line in self.lines if "summary" in line), None)
        return {
            "signal": number.name,
            "seconds": round(took, 3),
            "exit_code": code,
            "summary": summary,
            "clean": took <= SHUTDOWN_S and code == 128 + number and summary is not None,
        }


def start_writer(fifo: Path, rate: float) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, WRITER, "fifo", str(fifo), str(rate), "1e9"], stdout=subprocess.DEVNULL
    )


def soak(minutes: float, bundle: Path, rate: float) -> dict[str, Any]:
    """The long run, then the short one."""
    with tempfile.TemporaryDirectory() as folder:
        fifo = Path(folder) / "dvs0"
        os.mkfifo(fifo)
        run, writer = Run(bundle, fifo), start_writer(fifo, rate)
        samples: list[Sample] = []
        restarts = 0
        while (now := time.monotonic() - run.began) < minutes * 60:
            time.sleep(SAMPLE_S)
            samples.append(run.sample())
            if now > (restarts + 1) * minutes * 60 / (RESTARTS + 1):
                writer.kill()
                writer.wait()
                time.sleep(PAUSE_S)
                writer = start_writer(fifo, rate)
                restarts += 1
        ended = run.stop(signal.SIGTERM)
        writer.wait()  # its reader is gone
        short, writer = Run(bundle, fifo), start_writer(fifo, rate)
        while not short.lines and short.process.poll() is None:
            time.sleep(0.05)
        interrupted = short.stop(signal.SIGINT)
        writer.kill()
        writer.wait()
    return judge(run, samples, restarts, ended, interrupted)


def judge(
    run: Run,
    samples: list[Sample],
    restarts: int,
    ended: dict[str, Any],
    interrupted: dict[str, Any],
) -> dict[str, Any]:
    """Figures, and whether each is as it must be."""
    seconds, rss, descriptors, threads = (np.array(column) for column in zip(*samples, strict=True))
    warm = seconds > seconds[-1] / 10
    slope = float(np.polyfit(seconds[warm] / 60, rss[warm], 1)[0])
    answers = [line for line in run.lines if "clip" in line]
    clips = [answer["clip"] for answer in answers]
    totals = ended["summary"] or {}
    balance = totals and totals["events"] == (
        totals["events_delivered"] + totals["events_dropped"] + totals["events_tail"]
    )
    first = {key: int(np.median(v[warm][:30])) for key, v in
             (("descriptors", descriptors), ("threads", threads))}  # fmt: skip
    judged = {
        "rss_slope": slope <= SLOPE_MB_PER_MIN,
        "descriptors_constant": int(descriptors[warm].max()) <= first["descriptors"],
        "threads_constant": int(threads[warm].max()) <= first["threads"],
        "answers_in_order": clips == sorted(set(clips)) and len(clips) > 0,
        "restarts": restarts == RESTARTS and totals.get("reconnects", 0) == RESTARTS,
        "every_event_accounted_for": bool(balance),
        "sigterm": ended["clean"],
        "sigint": interrupted["clean"],
    }
    return {
        "minutes": round(float(seconds[-1]) / 60, 2),
        "load_average": os.getloadavg(),  # of the last 1, 5 and 15 minutes: others' work, too
        "answers": len(answers),
        "writer_restarts": restarts,
        "rss_mb": {
            "after_warm_up": round(float(np.median(rss[warm][:30])), 1),
            "at_the_end": round(float(np.median(rss[-30:])), 1),
            "most": round(float(rss.max()), 1),
            "slope_mb_per_min": round(slope, 3),
        },
        "descriptors": {"first": first["descriptors"], "most": int(descriptors[warm].max()),
                        "last": int(descriptors[-1])},
        "threads": {"first": first["threads"], "most": int(threads[warm].max()),
                    "last": int(threads[-1])},
        "stops": [{k: v for k, v in stop.items() if k != "summary"}
                  for stop in (ended, interrupted)],
        "summary": totals,
        "judged": judged,
        "passed": all(judged.values()),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--bundle", type=Path, default=Path("tests/data/tiny-bundle"))
    parser.add_argument("--mev-per-s", type=float, default=0.5)
    given = parser.parse_args()
    # A background job of a shell script is born deaf to Ctrl-C, and so its children would be.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    result = soak(given.minutes, given.bundle, given.mev_per_s)
    print(json.dumps(result))
    sys.exit(0 if result["passed"] else 1)


if __name__ == "__main__":
    main()
