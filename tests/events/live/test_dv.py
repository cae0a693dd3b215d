"""DV streams from a real dv-processing server, over TCP and a UNIX socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.events.encoders import random_events, rows
from xsd_edge.errors import CameraAbsentError, ExtraMissingError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import open_source

dv = pytest.importorskip("dv_processing", reason="dv-processing is not installed")
EVENTS = random_events(400, 1_000_000, 1_050_000)


def store(events: EventPacket) -> Any:
    made = dv.EventStore()
    for t, x, y, p in rows(events):
        made.push_back(t, x, y, bool(p))
    return made


def some(packets: Iterator[EventPacket], count: int, send: Callable[[], None]) -> list[EventPacket]:
    """Packets until `count` events have come; sends after the first silence."""
    found: list[EventPacket] = []
    while sum(map(len, found)) < count:
        part = next(packets)
        if not found and not len(part):
            send()
        if len(part):
            found.append(part)
    return found


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_events_of_a_server(tmp_path: Path, kind: str) -> None:
    stream = dv.io.Stream.EventStream(0, "events", "TEST", (640, 480))
    if kind == "tcp":
        server, spec = dv.io.NetworkWriter("127.0.0.1", 17_791, stream), "dv://127.0.0.1:17791"
    else:
        server = dv.io.NetworkWriter(str(tmp_path / "dv.sock"), stream)
        spec = str(tmp_path / "dv.sock")
    source = open_source(spec)
    assert (source.live, source.geometry, source.frames) == (True, Geometry(640, 480), None)
    sent: list[bool] = []

    def send() -> None:
        if not sent:
            server.writeEvents(store(EVENTS))
            sent.append(True)

    packets = source.packets()
    found = some(packets, len(EVENTS), send)
    assert rows(EventPacket.concatenate(found)) == rows(EVENTS)
    source.close()
    list(packets)


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(CameraAbsentError, match=r"does not answer .*refused.*--wait 60"):
        open_source("dv://127.0.0.1:17792")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dv_processing", None)
    with pytest.raises(ExtraMissingError, match=r'pip install "xsd-edge\[dv\]"'):
        open_source("dv://127.0.0.1:17793")
