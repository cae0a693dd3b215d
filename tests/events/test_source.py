"""Names become sources; recordings are paced to real time."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from tests.events.encoders import evt2_bytes, evt3_bytes, random_events
from xsd_edge.errors import SourceError
from xsd_edge.events.packet import Geometry
from xsd_edge.events.source import Paced, open_source

HEADER = b"% evt 3.0\n% geometry 640x480\n% end\n"
EVENTS = random_events(2000, 1000, 301_000)


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "a.raw"
    path.write_bytes(HEADER + evt3_bytes(EVENTS))
    return path


def test_a_path_that_exists_wins_over_options(tmp_path: Path, recording: Path) -> None:
    odd = tmp_path / "a.raw?size=8x8"
    odd.write_bytes(recording.read_bytes())
    assert open_source(str(odd)).geometry == Geometry(640, 480)
    odd.unlink()
    assert open_source(str(odd)).geometry == Geometry(8, 8)


def test_what_is_said_wins_over_the_header(recording: Path) -> None:
    data = evt2_bytes(EVENTS)
    recording.write_bytes(HEADER + data)
    source = open_source(f"{recording}?format=evt2&size=1280x720")
    assert source.geometry == Geometry(1280, 720)
    assert sum(map(len, source.packets())) == len(EVENTS)
    source = open_source(str(recording), encoding="evt2", geometry=Geometry(1280, 720))
    assert sum(map(len, source.packets())) == len(EVENTS)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("{tmp}", "is a directory; give a recording"),
        ("{tmp}/none.raw", "does not exist; check the path"),
        ("{tmp}/none.raw?size=640x480", "does not exist; check the path"),
        ("{tmp}/dangling", "points at nothing; is the camera plugged in"),
        ("{tmp}/a.raw?rate=3", "unknown option 'rate'.*known: format, size"),
        ("{tmp}/a.raw?size=big", "not WIDTHxHEIGHT, like 640x480"),
        ("{tmp}/a.raw/b", "cannot read"),
        ("", "is a directory"),
        ("a\0b", "cannot read"),
        ("/dev/null?format=evt3", "/dev/null ended before any event came"),
        ("/dev/zero?size=640x480", r"/dev/zero does not tell its format; add it: .*\?format=evt3"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, recording: Path, spec: str, message: str) -> None:
    (tmp_path / "dangling").symlink_to(tmp_path / "gone")
    with pytest.raises(SourceError, match=message) as caught:
        list(open_source(spec.format(tmp=tmp_path)).packets())
    assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(recording: Path) -> None:
    recording.chmod(0)
    with pytest.raises(SourceError, match=r"no permission to read .*; change its mode"):
        open_source(str(recording))


def test_closing_ends_a_recording(recording: Path) -> None:
    source = open_source(str(recording))
    source.close()
    assert list(source.packets()) == []


def test_extent_reads_ahead_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "long.raw"
    path.write_bytes(HEADER + evt3_bytes(random_events(200_000, 0, 10_000_000)))
    source = open_source(str(path))
    first = source.extent(1_000_000)
    assert first is not None
    assert 1_000_000 <= first.length_us < 9_000_000
    assert sum(map(len, source.packets())) == 200_000
    whole = source.extent(0)
    assert whole is not None
    assert whole.length_us > 9_990_000


def test_extent_is_the_longest_stretch_without_a_jump(tmp_path: Path) -> None:
    path = tmp_path / "jumps.npz"
    t = np.concatenate((np.arange(0, 1000, 10), np.arange(5_000_000, 5_009_000, 10)))
    zeros = np.zeros(len(t), np.uint8)
    np.savez(path, t=t, x=zeros, y=zeros, p=zeros, width=640, height=480)
    assert open_source(str(path)).extent(500) == (0, 991)
    assert open_source(str(path)).extent(10**6) == (5_000_000, 5_008_991)


def test_paced_events_are_never_early_and_none_is_lost(recording: Path) -> None:
    paced = Paced(open_source(str(recording)))
    assert paced.live
    begin = time.monotonic()
    seen = 0
    for packet in paced.packets():
        seen += len(packet)
        if len(packet):
            played = (time.monotonic() - begin) * 1e6
            assert played >= packet.t[-1] - EVENTS.t[0] - 1000
    assert seen == len(EVENTS)
    assert time.monotonic() - begin < 5


def test_paced_speaks_in_silence_and_wakes_on_close(tmp_path: Path) -> None:
    path = tmp_path / "pauses.npz"
    t = 900_000 * np.arange(40)
    np.savez(path, t=t, x=t * 0, y=t * 0, p=t * 0, width=640, height=480)
    paced = Paced(open_source(str(path)))
    packets = paced.packets()
    assert [len(next(packets)) for _ in range(4)] == [1, 0, 0, 0]
    threading.Timer(0.05, paced.close).start()
    begin = time.monotonic()
    assert sum(map(len, packets)) < 10
    assert time.monotonic() - begin < 10  # of 36
