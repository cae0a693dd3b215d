"""`xsd-edge run` on live sources as a process: standard input, restarts, waiting, being stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.conftest import RECORDING, ROOT, TINY_BUNDLE, Python

RUN = ["run", "--bundle", str(TINY_BUNDLE), "--max-tokens", "4", "--json", "--plain"]


@contextmanager
def running(*options: str, stdin: int | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "xsd_edge", *RUN, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def feed(path: Path | int, seconds: float = 2.0) -> None:
    """Write the real recording, which lasts 2.08 s, in about its time."""
    data = RECORDING.read_bytes()
    with open(path, "wb", buffering=0) as file:
        for at in range(0, len(data), len(data) // 100):
            file.write(data[at : at + len(data) // 100])
            time.sleep(seconds / 100)


@contextmanager
def patience(process: subprocess.Popen[str], seconds: float) -> Iterator[None]:
    """A process that is read from for longer is ended, which ends the reading."""
    limit = threading.Timer(seconds, process.kill)
    limit.start()
    try:
        yield
    finally:
        limit.cancel()


def said_within(process: subprocess.Popen[str], seconds: float, text: str) -> bool:
    """Read its stderr up to a line with `text`."""
    assert process.stderr is not None
    with patience(process, seconds):
        return any(text in line for line in process.stderr)


def opened_by(pid: int) -> set[str]:
    """The paths that a process has open."""
    folder = Path(f"/proc/{pid}/fd")
    found = set()
    for link in folder.iterdir():
        with suppress(FileNotFoundError):  # closed since
            found.add(os.readlink(link))
    return found


def test_standard_input_from_a_pipe() -> None:
    reading, writing = os.pipe()
    with running("--camera", "-", stdin=reading) as process:
        os.close(reading)
        feed(writing)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    *answers, summary = [json.loads(line) for line in out.splitlines()]
    assert 1 <= len(answers) <= 2
    counts = summary["summary"]
    assert counts["events"] == 343_474
    assert counts["events"] == (
        counts["events_delivered"] + counts["events_dropped"] + counts["events_tail"]
    )


def test_standard_input_from_a_file_is_a_recording() -> None:
    with RECORDING.open("rb") as file, running("--camera", "-", "--fast", stdin=file.fileno()) as p:
        out, err = p.communicate(timeout=60)
    assert p.returncode == 0, err
    assert [json.loads(line)["clip"] for line in out.splitlines()[:-1]] == [0, 1]


def test_a_fifo_that_comes_late_is_restarted_and_ends_with_sigterm(tmp_path: Path) -> None:
    """It waits for the FIFO, lives through its writer's end, and stops within a second."""
    fifo = tmp_path / "dvs0"
    with running("--camera", str(fifo), "--wait", "60", "--reconnect") as process:
        assert process.stdout is not None
        assert said_within(process, 60, "waiting up to 60 s")
        os.mkfifo(fifo)
        feed(fifo)
        # A writer that comes before the reader has seen the end goes on with the same stream.
        assert said_within(process, 60, "is gone: it ended")
        feed(fifo)
        with patience(process, 60):
            first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        rest, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert first["clip"] == 0
    assert "summary" in json.loads(rest.splitlines()[-1])
    assert err.splitlines()[-1] == "xsd-edge: terminated"


def test_stopping_while_nothing_comes(tmp_path: Path) -> None:
    fifo = tmp_path / "dvs0"
    os.mkfifo(fifo)
    with running("--camera", f"{fifo}?size=640x480") as process:
        descriptor = os.open(fifo, os.O_RDWR)  # a writer that says nothing
        while str(fifo) not in opened_by(process.pid):
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(1.5)  # the bundle is loaded by then, or is being loaded: both must do
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        os.close(descriptor)
    assert process.returncode == 130, err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--camera", "-", "--reconnect"], 5, "ended before any event came"),
        (["--camera", "/dev/dvs9"], 5, "sudo xsd-edge setup-udev"),
        (["--camera", "demo", "--wait", "-1"], 2, "--wait must be 0 or more"),
        (["--camera", "udp://127.0.0.1:0"], 5, "add it: ?size="),
    ],
)
def test_what_cannot_be_used_is_one_line(
    command: Python, options: list[str], code: int, message: str
) -> None:
    done = command(*RUN, *options)
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
