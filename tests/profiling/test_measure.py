"""Measuring: arms that remember nothing between passes, live sources, sources with too little."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RECORDING, TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.errors import SourceError
from xsd_edge.events.source import open_source
from xsd_edge.profiling.document import Measured
from xsd_edge.profiling.measure import measure
from xsd_edge.profiling.options import ProfileOptions
from xsd_edge.profiling.taps import EngineTap, SourceTap
from xsd_edge.runtime.options import RunOptions
from xsd_edge.runtime.session import Session

# A share of the recording in real time.
WRITER = """
import sys, time
data = open(sys.argv[1], "rb").read()
step = len(data) * 20 // 2078
with open(sys.argv[2], "wb", buffering=0) as fifo:
    for at in range(0, int(len(data) * float(sys.argv[3])), step):
        fifo.write(data[at : at + step])
        time.sleep(0.02)
"""


def options(camera: str, clips: int = 2) -> ProfileOptions:
    run = RunOptions(TINY_BUNDLE, camera, max_tokens=6)
    return ProfileOptions(run, clips)


def test_a_recording_is_read_again_and_nothing_remembered(tmp_path: Path) -> None:
    done: list[int] = []
    seen = measure(options("demo", 3), lambda clips, wanted: done.append(clips))
    assert done == [1, 2, 3]
    assert seen.source["different_clips"] == 1
    for pair in seen.pairs:
        (drafted,), (plain,) = pair.drafted.answers, pair.plain.answers
        assert drafted.decoding.early_drafted == 0 or drafted.decoding.early_accepted == 0
        assert plain.decoding.drafted == 0
        assert plain.decoding.tokens


def measured_live(folder: Path, share: float) -> Measured:
    fifo = folder / "dvs0"
    os.mkfifo(fifo)
    writer = subprocess.Popen([sys.executable, "-c", WRITER, RECORDING, fifo, str(share)])
    try:
        return measure(options(str(fifo), 50), lambda clips, wanted: None)
    finally:
        writer.wait(timeout=20)


def test_a_camera_gives_what_it_gives(tmp_path: Path) -> None:
    seen = measured_live(tmp_path, 1.0)
    assert seen.source["live"]
    assert len(seen.pairs) == 2  # then the writer went away, and nothing is read again


def test_too_little_is_said(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="gave 1 clips of 1 s; profile needs 2"):
        measured_live(tmp_path, 0.7)


def test_engines_are_weighed_and_timed() -> None:
    tap = EngineTap()
    session = Session(Bundle(TINY_BUNDLE), opener=tap)
    before = len(tap.calls)
    session.silence()
    names = [call.stage for call in tap.calls[before:]]
    assert names == ["event_encoder", "alignment", "event_memory"]
    info = session.manifest.target
    cache = tap.memory["target"].cache
    assert cache >= 2 * info.layers * info.kv_heads * info.context * info.head_width * 2
    assert tap.memory["vision"].cache == 0


def test_reading_costs_cpu_time_not_waiting(tmp_path: Path) -> None:
    source = SourceTap(open_source(str(RECORDING)))
    source.extent(0)
    events = sum(len(packet) for packet in source.packets())
    source.close()
    assert events == 343_474
    assert all(call.stage == "event_decode" for call in source.calls)
    assert 0 < sum(call.seconds for call in source.calls) < 5
