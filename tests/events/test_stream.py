"""FIFOs with real writers: nothing is lost unseen, and nobody waits for what does not come."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.events.encoders import evt2_bytes, evt3_bytes, random_events, rows
from tests.events.test_recordings import BYTES, DATA
from xsd_edge.errors import SourceError
from xsd_edge.events import clips, stream
from xsd_edge.events.checksum import Checksum
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.live import base
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import EventSource, open_source

REAL = next(row for row in BYTES if row.name.startswith("eventcampy"))
MEGA_EVENTS = 2_250_378 / REAL.events * 1e6  # bytes a second at a million events a second
HEADER = b"% evt 3.0\n% geometry 640x480\n% end\n"
EVENTS = random_events(500, 0, 40_000)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "dvs0"
    os.mkfifo(path)
    return path


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine may hold a writer up; that is not taken for silence."""
    monkeypatch.setattr(clips, "GRACE_US", 60_000_000)
    monkeypatch.setattr(stream, "HEADER_S", 60.0)


@contextmanager
def writer(fifo: Path, rate: float, *dies_after: int) -> Iterator[subprocess.Popen[bytes]]:
    """A process that writes the real recording."""
    script = Path(__file__).with_name("fifo_writer.py")
    arguments = [str(v) for v in (DATA / REAL.name, fifo, rate, *dies_after)]
    with subprocess.Popen([sys.executable, str(script), *arguments]) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def held_open(fifo: Path, data: bytes = b"") -> Iterator[int]:
    """A writer in this process that stays; with both ends open, so that it need not wait."""
    descriptor = os.open(fifo, os.O_RDWR)
    try:
        os.write(descriptor, data)
        yield descriptor
    finally:
        os.close(descriptor)


def balance(totals: dict[str, int]) -> None:
    assert totals["events"] == (
        totals["events_delivered"] + totals["events_dropped"] + totals["events_tail"]
    )


def test_a_million_events_a_second_and_none_is_lost(fifo: Path) -> None:
    with writer(fifo, MEGA_EVENTS):
        source = open_source(str(fifo))
        assert source.live
        assert source.geometry == Geometry(640, 480)
        checksum = Checksum()
        for packet in source.packets():
            checksum.add(packet)
    assert checksum.hex == REAL.checksum
    assert not source.counters.truncated


@pytest.mark.usefixtures("patient")
def test_clips_from_a_fifo_balance(fifo: Path) -> None:
    with writer(fifo, MEGA_EVENTS):
        reader = ClipReader(open_source(str(fifo)), 100_000, 8, drop_late=True)
        found = list(reader)
    totals = reader.totals()
    assert totals["events"] == REAL.events
    balance(totals)
    assert sum(len(part.events) for part in found) == totals["events_delivered"]
    whole = {part.clip for part in found if part.last}
    assert len(whole) + totals["windows_dropped"] == 20  # of 2078 ms


@pytest.mark.usefixtures("patient")
def test_a_slow_consumer_gets_the_newest_clip(fifo: Path) -> None:
    with writer(fifo, MEGA_EVENTS) as process:
        reader = ClipReader(open_source(str(fifo)), 100_000, 8, drop_late=True)
        first = next(reader)
        process.wait()
        while reader.totals()["events"] < REAL.events:
            time.sleep(0.01)
        rest = list(reader)
    totals = reader.totals()
    balance(totals)
    assert {part.clip for part in rest} <= {first.clip, 19, 20}  # 20 stays incomplete
    assert [part.clip for part in rest if part.last] == sorted({first.clip, 19})
    assert totals["windows_dropped"] == 18 if first.clip == 0 else totals["windows_dropped"] >= 18
    assert totals["events_dropped"] == sum(part.events_dropped for part in (first, *rest))
    assert totals["events_dropped"] > 250_000


@pytest.mark.usefixtures("patient")
def test_a_writer_that_dies_ends_the_stream(fifo: Path) -> None:
    with writer(fifo, MEGA_EVENTS, 1_000_001) as process:
        reader = ClipReader(open_source(str(fifo)), 100_000, 8, drop_late=True)
        found = list(reader)
        assert process.wait() == -signal.SIGKILL
    finished = [part.clip for part in found if part.last]
    assert {part.clip for part in found} - {*finished, finished[-1] + 1} == set()
    totals = reader.totals()
    assert totals["truncated"] == 1
    assert 100_000 < totals["events"] < 200_000
    balance(totals)


@pytest.mark.usefixtures("patient")
def test_a_header_may_come_in_pieces(fifo: Path) -> None:
    data = HEADER + evt3_bytes(EVENTS)

    def write() -> None:
        with open(fifo, "wb", buffering=0) as file:
            for at in range(0, len(HEADER) + 4, 5):
                file.write(data[at : at + 5])
                time.sleep(0.002)
            file.write(data[at + 5 :])

    thread = threading.Thread(target=write)
    thread.start()
    source = open_source(str(fifo))
    events = EventPacket.concatenate([p for p in source.packets() if len(p)])
    thread.join()
    assert rows(events) == rows(EVENTS)


@pytest.mark.parametrize(
    ("data", "spec", "size"),
    [
        (evt3_bytes(EVENTS), "?size=640x480", "640x480"),
        (evt2_bytes(EVENTS), "?format=evt2&size=640x480", "640x480"),
        (HEADER + evt3_bytes(EVENTS), "?size=1280x720", "1280x720"),
        (HEADER.replace(b"3.0", b"2.0") + evt2_bytes(EVENTS), "", "640x480"),
    ],
)
def test_what_the_stream_is_may_be_said(fifo: Path, data: bytes, spec: str, size: str) -> None:
    with held_open(fifo, data):
        source = open_source(f"{fifo}{spec}")
        assert str(source.geometry) == size
        packets = source.packets()
        events: list[EventPacket] = []
        while sum(map(len, events)) < len(EVENTS):
            events.append(next(packets))
        assert rows(EventPacket.concatenate(events)) == rows(EVENTS)
        source.close()


def test_no_packet_spans_a_long_silence(fifo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """EVT3's clock runs over every 16.8 s: after about as long it seems to go on."""
    monkeypatch.setattr(base, "UNSEEN_S", 0.05)
    parts = [evt3_bytes(EVENTS.slice(lo, lo + 100)) for lo in (0, 100, 200)]
    with held_open(fifo) as descriptor:
        source = open_source(f"{fifo}?size=640x480")
        packets, found = source.packets(), []
        for part, silent in zip(parts, (20, 0, 20), strict=True):
            assert not any(len(next(packets)) for _ in range(silent))
            os.write(descriptor, part)
            found.append(next(p for p in packets if len(p)))
        source.close()
    assert [(len(p), p.discontinuity) for p in found] == [(100, False), (100, False), (100, True)]
    assert source.counters == Counters(events=300)


def test_a_stream_of_unknown_size_is_refused(fifo: Path) -> None:
    with held_open(fifo, evt3_bytes(EVENTS)), pytest.raises(SourceError, match=r"add it: .*size="):
        open_source(str(fifo))


def test_an_unknown_format_is_refused_at_once(fifo: Path) -> None:
    with pytest.raises(SourceError, match=r"unknown format 'npz' for a stream; known: evt2.*evt3"):
        open_source(f"{fifo}?format=npz&size=640x480")


def test_a_writer_that_says_nothing(fifo: Path) -> None:
    threading.Thread(target=lambda: open(fifo, "wb").close()).start()
    with pytest.raises(SourceError, match="ended before any event came; start its writer again"):
        open_source(str(fifo))


def end_in_a_moment(source: EventSource) -> float:
    """Close from another thread while packets are awaited; seconds it took to end."""
    ended = []
    thread = threading.Thread(target=lambda: ended.append(sum(map(len, source.packets()))))
    thread.start()
    time.sleep(0.15)
    start = time.monotonic()
    source.close()
    thread.join(5)
    assert ended == [0]
    return time.monotonic() - start


def test_close_wakes_an_idle_fifo(fifo: Path) -> None:
    """Without any writer, and with one that is silent."""
    assert end_in_a_moment(open_source(f"{fifo}?size=640x480")) < 1
    with held_open(fifo, HEADER):
        assert end_in_a_moment(open_source(str(fifo))) < 1


def test_closing_frees_every_descriptor(fifo: Path) -> None:
    before = sorted(os.listdir("/proc/self/fd"))
    for iterate in (False, True):
        source = open_source(f"{fifo}?size=640x480")
        if iterate:
            next(source.packets())
        source.close()
        source.close()
        assert list(source.packets()) == []
    assert sorted(os.listdir("/proc/self/fd")) == before


def test_an_idle_fifo_still_gives_slices(fifo: Path) -> None:
    with held_open(fifo, HEADER + evt3_bytes(EVENTS)):
        reader = ClipReader(open_source(str(fifo)), 200_000, 4, drop_late=True)
        found = [next(reader) for _ in range(4)]
        reader.close()
    assert [len(part.events) for part in found] == [len(EVENTS), 0, 0, 0]
    assert found[-1].last
