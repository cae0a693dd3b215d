"""Cameras that come late, go away and come back; streams that end."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest

from tests.events.encoders import evt3_bytes, random_events, rows
from tests.events.live.fake_driver import STOP, FakeDriver, events, packet, status
from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.live.reconnect import Reconnecting, connect
from xsd_edge.events.packet import EventPacket
from xsd_edge.events.stream import ByteStream

HEADER = b"% evt 3.0\n% geometry 640x480\n% end\n"
EVENTS = random_events(500, 0, 40_000)
DATA = HEADER + evt3_bytes(EVENTS)


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "dvs0"
    os.mkfifo(path)
    return path


class Voice:
    """What `connect` says; a writer can wait until the end of the one before was noticed."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.gone = threading.Semaphore(0)

    def __call__(self, line: str) -> None:
        self.said.append(line)
        if "is gone" in line:
            self.gone.release()


@contextmanager
def writers(fifo: Path, voice: Voice, *parts: bytes) -> Iterator[None]:
    """Writers one after another, each of which leaves when it has written its part."""

    def write() -> None:
        for number, part in enumerate(parts):
            if number:
                voice.gone.acquire(timeout=20)
            with open(fifo, "wb", buffering=0) as file:
                file.write(part)

    thread = threading.Thread(target=write)
    thread.start()
    yield
    thread.join()


def some(packets: Iterator[EventPacket], count: int) -> list[EventPacket]:
    """Packets until `count` events have come."""
    found: list[EventPacket] = []
    while sum(map(len, found)) < count:
        part = next(packets)
        if len(part):
            found.append(part)
    return found


def test_a_fifo_ends_with_its_writer_unless_told_otherwise(fifo: Path) -> None:
    with writers(fifo, Voice(), DATA):
        source = connect(str(fifo), print)
        assert isinstance(source, ByteStream)
        assert sum(map(len, source.packets())) == len(EVENTS)


def test_a_fifo_whose_writer_is_restarted(fifo: Path) -> None:
    """Each writer starts its clock anew; the second one dies in the middle of a word."""
    voice = Voice()
    with writers(fifo, voice, DATA, DATA[:-1], DATA):
        source = connect(str(fifo), voice, reconnect=True)
        packets = source.packets()
        found = some(packets, 3 * len(EVENTS) - 1)
        assert sum(part.discontinuity for part in found) == 2
        source.close()
        assert list(packets) == []
    assert rows(EventPacket.concatenate(found[-1:]))[-1] == rows(EVENTS)[-1]
    assert source.counters.reconnects == 2
    assert source.counters.truncated
    assert source.counters.events == 3 * len(EVENTS) - 1
    assert [line.partition("dvs0 ")[2] for line in voice.said[:4]] == [
        "is gone: it ended; it is used again as soon as it is back", "is back",
    ] * 2  # fmt: skip


def test_no_clip_spans_a_disconnection(fifo: Path) -> None:
    voice = Voice()
    with writers(fifo, voice, DATA, DATA, DATA):
        source = connect(str(fifo), voice, reconnect=True)
        reader = ClipReader(source, 15_000, 3, drop_late=False)
        found = []
        for part in reader:
            found.append(part)
            if sum(len(p.events) for p in found) > 2.1 * len(EVENTS):  # 30 of 40 ms are clips
                break
        reader.close()
    for before, after in pairwise(found):
        if after.clip == before.clip:
            assert (after.index, after.t0_us) == (before.index + 1, before.t1_us)
    assert [part.clip for part in found] == sorted(part.clip for part in found)
    totals = reader.totals()
    assert totals["events"] == (
        totals["events_delivered"] + totals["events_dropped"] + totals["events_tail"]
    )


def test_close_ends_the_waiting(fifo: Path) -> None:
    voice = Voice()
    with writers(fifo, voice, DATA):
        source = connect(str(fifo), voice, reconnect=True)
        packets = source.packets()
        some(packets, len(EVENTS))
        fifo.unlink()
        threading.Timer(0.5, source.close).start()
        begin = time.monotonic()
        assert sum(map(len, packets)) == 0
        assert time.monotonic() - begin < 1.5


def test_descriptors_do_not_grow_with_restarts(fifo: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    voice = Voice()
    with writers(fifo, voice, *[DATA] * 4):
        source = connect(str(fifo), voice, reconnect=True)
        packets = source.packets()
        some(packets, 4 * len(EVENTS))
        assert len(os.listdir("/proc/self/fd")) <= before + 4  # the FIFO, a pipe, the writer's end
        source.close()
        list(packets)
    assert len(os.listdir("/proc/self/fd")) == before


def test_waiting_for_a_camera(tmp_path: Path) -> None:
    path, said = tmp_path / "dvs0", list[str]()
    begin = time.monotonic()
    with pytest.raises(CameraAbsentError, match="does not exist"):
        connect(str(path), said.append, wait_s=0.4)
    assert 0.4 <= time.monotonic() - begin < 2
    assert len(said) == 1
    assert said[0].startswith("waiting up to 0.4 s: ")
    threading.Timer(0.3, os.mkfifo, (path,)).start()
    source = connect(f"{path}?size=640x480", said.append, wait_s=10)
    source.close()


def test_only_what_is_absent_is_waited_for(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(SourceError, match="is a directory"):
        connect(str(tmp_path), print, wait_s=30)
    assert time.monotonic() - begin < 5


def test_tcp(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        spec = f"tcp://127.0.0.1:{server.getsockname()[1]}"

        def serve() -> None:
            for _ in range(2):
                with server.accept()[0] as client:
                    client.sendall(DATA)
                time.sleep(0.1)

        thread = threading.Thread(target=serve)
        thread.start()
        source = connect(spec, lambda _: None, reconnect=True)
        packets = source.packets()
        found = some(packets, 2 * len(EVENTS))
        assert [part.discontinuity for part in found].count(True) == 1
        source.close()
        list(packets)
        thread.join()
    with pytest.raises(CameraAbsentError, match=r"does not answer.*--wait 60"):
        connect(spec, print)


def test_a_usb_camera_that_is_unplugged_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(monkeypatch)
    gone = RuntimeError("PropheseeEvk4(Usb(Rusb(NoDevice)))")
    first, second = driver.plug(
        [(status(), packet(events(10, 20))), gone], [(status(), packet(events(1, 2))), STOP]
    )
    absent = RuntimeError("no device found")
    driver.devices = [first, absent, absent, second]
    said: list[str] = []
    source = connect("usb:00051195", said.append)
    assert isinstance(source, Reconnecting)
    packets = source.packets()
    found = some(packets, 4)
    assert [(p.t.tolist(), p.discontinuity) for p in found] == [([10, 20], False), ([1, 2], True)]
    assert (first.exited, second.exited) == (1, 0)
    source.close()
    list(packets)
    assert second.exited == 1
    assert len(said) == 3
    assert "was unplugged" in said[0]
    assert "no event camera is plugged in" in said[1]  # once, not at every try
    assert said[2].endswith("is back")


def test_another_camera_in_its_place_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    driver = FakeDriver(monkeypatch)
    driver.plug([(status(), packet(events(10))), RuntimeError("Pipe error")])
    source = connect("usb:X", lambda _: None)
    driver.plug([STOP], name="INIVATION_DVXPLORER")
    with pytest.raises(SourceError, match="came back with 640x480 pixels and had 1280x720"):
        list(source.packets())


def test_what_cannot_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.write(writing, DATA)
    saved = os.dup(0)
    os.dup2(reading, 0)
    try:
        with pytest.raises(SourceError, match=r"cannot be opened again.*leave out --reconnect"):
            connect("-", print, reconnect=True)
    finally:
        os.dup2(saved, 0)
        for descriptor in (saved, reading, writing):
            os.close(descriptor)


def test_a_writer_that_takes_over_unseen_is_told_by_its_header(fifo: Path) -> None:
    """The first one dies in the middle of a word while nobody reads."""
    descriptor = os.open(fifo, os.O_RDWR)
    header = b"% date 2026-11-23 10:00:00\n" + HEADER
    os.write(descriptor, HEADER + evt3_bytes(EVENTS)[:-1] + header + evt3_bytes(EVENTS))
    source = connect(str(fifo), print)
    packets = source.packets()
    found = some(packets, 2 * len(EVENTS) - 1)
    assert [part.discontinuity for part in found] == [False, True]
    assert rows(found[0]) == rows(EVENTS)[:-1]
    assert rows(found[1]) == rows(EVENTS)
    assert (source.counters.reconnects, source.counters.resyncs) == (1, 0)
    source.close()
    list(packets)
    os.close(descriptor)
