"""`xsd-edge run` as a process on a real bundle with random weights: good input and bad."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import RECORDING, ROOT, TINY_BUNDLE, Finished, Python

RUN = ("run", "--bundle", TINY_BUNDLE, "--max-tokens", "24", "--fast", "--json")
FIELDS = {
    "clip", "t0_us", "t1_us", "question", "answer", "tokens", "rounds", "drafted", "accepted",
    "acceptance", "tokens_per_round", "ttft_ms", "answer_ms", "events", "events_dropped",
    "lossless", "stages_ms", "frames",
}  # fmt: skip


def lines(done: Finished) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The answers and the summary of a successful run."""
    assert done.returncode == 0, done.stderr
    parsed = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(set(answer) >= FIELDS for answer in parsed[:-1])
    return parsed[:-1], parsed[-1]["summary"]


def test_demo_clip(command: Python) -> None:
    answers, summary = lines(command(*RUN, "--camera", "demo", "--prompt", "A?", "--prompt", "B?"))
    assert [a["question"] for a in answers] == ["A?", "B?"]
    assert {a["frames"] for a in answers} == {"recording"}
    assert answers[0]["t1_us"] - answers[0]["t0_us"] == 1_000_000
    assert all(a["lossless"] and a["tokens"] == 24 for a in answers)
    assert summary["answers"] == 2
    assert summary["events_dropped"] == 0


def test_real_recording(command: Python) -> None:
    """Two whole clips in 2.08 s; every event is delivered, dropped or in the tail."""
    answers, summary = lines(command(*RUN, "--camera", RECORDING))
    assert [a["clip"] for a in answers] == [0, 1]
    assert {a["frames"] for a in answers} == {"rendered"}
    assert summary["events"] == 343_474
    assert sum(a["events"] for a in answers) == summary["events_delivered"]
    assert summary["events"] == summary["events_delivered"] + summary["events_tail"]


@pytest.mark.parametrize("gamma", ["auto", "0", "1", "5", "8"])
def test_drafted_is_plain_bit_for_bit(command: Python, gamma: str) -> None:
    answers, summary = lines(
        command(*RUN, "--camera", RECORDING, "--gamma", gamma, "--exact", "--compare-plain")
    )
    assert summary["mismatches"] == 0
    assert summary["compared"] == len(answers) == 2
    assert all(a["equal"] for a in answers)
    assert (summary["drafted"] == 0) == (gamma == "0") or gamma == "auto"


def test_exact_match_samples_the_plain_stream(command: Python) -> None:
    sampled = ("--temperature", "1.2", "--top-p", "0.95", "--seed", "3", "--exact")
    drafted, _ = lines(
        command(*RUN, "--camera", RECORDING, *sampled, "--mode", "exact-match", "--compare-plain")
    )
    assert all(a["equal"] for a in drafted)
    again, _ = lines(command(*RUN, "--camera", RECORDING, *sampled, "--mode", "exact-match"))
    assert [a["answer"] for a in again] == [a["answer"] for a in drafted]
    other, _ = lines(
        command(*RUN, "--camera", RECORDING, *sampled[:-2], "4", "--mode", "exact-match")
    )
    assert [a["answer"] for a in other] != [a["answer"] for a in drafted]


def test_plain_drafts_nothing(command: Python) -> None:
    answers, summary = lines(command(*RUN, "--camera", "demo", "--plain"))
    assert summary["drafted"] == 0
    assert answers[0]["acceptance"] is None
    assert answers[0]["rounds"] == answers[0]["tokens"] - 1
    assert "event_encoder" not in answers[0]["stages_ms"]


def test_people_read_lines_and_are_told_what_the_target_sees(command: Python) -> None:
    done = command(*[a for a in RUN if a != "--json"], "--camera", RECORDING)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 2
    assert "pictures of the events" in done.stderr


def test_recordings_are_paced_unless_fast(command: Python) -> None:
    began = time.monotonic()
    answers, _ = lines(
        command(*[a for a in RUN if a != "--fast"], "--camera", RECORDING, "--max-clips", "1")
    )
    assert len(answers) == 1
    assert time.monotonic() - began > 1.0


def fifo_run(
    folder: Path, writer: str, *options: str
) -> tuple[subprocess.Popen[str], threading.Thread]:
    """`run` on a FIFO, and a thread that feeds the FIFO by a Python program."""
    fifo = folder / "dvs0"
    os.mkfifo(fifo)
    arguments = [str(a) for a in RUN if a != "--fast"]
    process = subprocess.Popen(
        [sys.executable, "-m", "xsd_edge", *arguments, "--camera", str(fifo), *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    feeding = threading.Thread(
        target=subprocess.run, args=([sys.executable, "-c", writer, str(RECORDING), str(fifo)],)
    )
    feeding.start()
    return process, feeding


WRITER = """
import sys, time
data = open(sys.argv[1], "rb").read()
step = len(data) * {milliseconds} // 2078
with open(sys.argv[2], "wb", buffering=0) as fifo:
    for at in range(0, int(len(data) * {share}), step):
        fifo.write(data[at : at + step])
        time.sleep({milliseconds} / 1000)
"""


def test_fifo_with_a_paced_writer(tmp_path: Path) -> None:
    process, feeding = fifo_run(tmp_path, WRITER.format(milliseconds=20, share=1.0))
    out, err = process.communicate(timeout=60)
    feeding.join()
    assert process.returncode == 0, err
    *answers, summary = [json.loads(line) for line in out.splitlines()]
    assert [a["clip"] for a in answers] == [0, 1]
    counts = summary["summary"]
    assert counts["events"] == 343_474
    assert (
        counts["events"]
        == counts["events_delivered"] + counts["events_dropped"] + counts["events_tail"]
    )
    # The first clip is answered while the second is still being written.
    assert answers[0]["answer_ms"] < 5000


def test_fifo_whose_writer_dies(tmp_path: Path) -> None:
    """What was complete is answered, the rest is counted, and the run ends well."""
    process, feeding = fifo_run(tmp_path, WRITER.format(milliseconds=20, share=0.7))
    out, err = process.communicate(timeout=60)
    feeding.join()
    assert process.returncode == 0, err
    *answers, summary = [json.loads(line) for line in out.splitlines()]
    assert [a["clip"] for a in answers] == [0]
    assert summary["summary"]["events_tail"] > 0


def test_fifo_whose_writer_says_nothing(tmp_path: Path) -> None:
    process, feeding = fifo_run(tmp_path, "import sys; open(sys.argv[2], 'wb').close()")
    out, err = process.communicate(timeout=60)
    feeding.join()
    assert process.returncode != 0
    assert out == "" or "summary" in out
    assert len(err.strip().splitlines()) == 1
    assert "ended before any event" in err


class Planted:
    """Unpickling this would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


BAD = [
    "no bundle", "altered bundle", "no camera", "empty", "random", "header only", "pickle",
    "directory", "bad video", "bad temperature", "bad gamma",
]  # fmt: skip


def bad_inputs(folder: Path) -> dict[str, tuple[list[str | Path], str]]:
    """Name -> (options, what the one line on stderr must say)."""
    altered = folder / "altered"
    shutil.copytree(TINY_BUNDLE, altered)
    data = bytearray((altered / "embedding.npy").read_bytes())
    data[-1] ^= 1
    (altered / "embedding.npy").write_bytes(data)
    files = {
        "empty.raw": b"",
        "random.raw": np.random.default_rng(0).bytes(5000),
        "header.raw": b"% evt 3.0\n% geometry 640x480\n% end\n",
    }
    for name, content in files.items():
        (folder / name).write_bytes(content)
    np.save(folder / "evil.npy", np.array(Planted(folder / "planted"), object), allow_pickle=True)
    bundle: list[str | Path] = ["--bundle", TINY_BUNDLE]
    return {
        "no bundle": (["--bundle", folder / "none", "--camera", "demo"], "xsd-edge export"),
        "altered bundle": (["--bundle", altered, "--camera", "demo"], "sha256"),
        "no camera": ([*bundle, "--camera", folder / "none.raw"], "does not exist"),
        "empty": ([*bundle, "--camera", folder / "empty.raw"], "empty.raw"),
        "random": ([*bundle, "--camera", folder / "random.raw"], "random.raw"),
        "header only": ([*bundle, "--camera", folder / "header.raw"], "header.raw"),
        "pickle": ([*bundle, "--camera", folder / "evil.npy"], "evil.npy"),
        "directory": ([*bundle, "--camera", folder], "directory"),
        "bad video": ([*bundle, "--camera", "demo", "--video", folder / "empty.raw"], "video"),
        "bad temperature": ([*bundle, "--camera", "demo", "--temperature", "-1"], "temperature"),
        "bad gamma": ([*bundle, "--camera", "demo", "--gamma", "many"], "gamma"),
    }


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_that_says_what_to_do(
    case: str, command: Python, tmp_path: Path
) -> None:
    options, says = bad_inputs(tmp_path)[case]
    done = command("run", *options, "--json")
    assert done.returncode not in (0, None)
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert says in done.stderr
    assert not (tmp_path / "planted").exists()


def test_truncated_recording_gives_what_is_there(command: Python, tmp_path: Path) -> None:
    cut = tmp_path / "cut.raw"
    cut.write_bytes(RECORDING.read_bytes()[:1_500_001])
    answers, summary = lines(command(*RUN, "--camera", cut))
    assert len(answers) == 1
    assert summary["truncated"] == 1


def test_interrupt_ends_with_a_summary(endless: Path) -> None:
    arguments = [str(a) for a in RUN if a != "--fast"]
    process = subprocess.Popen(
        [sys.executable, "-m", "xsd_edge", *arguments, "--camera", str(endless)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    rest, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert json.loads(first)["clip"] == 0
    assert "summary" in json.loads(rest.splitlines()[-1])
    assert "Traceback" not in err
