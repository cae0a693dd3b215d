"""DV streams from a real dv-processing server, over TCP and a UNIX socket."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.events.encoders import rows
from xsd_edge.errors import CameraAbsentError, ExtraMissingError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import open_source

pytest.importorskip("dv_processing", reason="dv-processing is not installed")

# A process of its own, killed at the end: the server's destructor waits for a thread that waits for
# the interpreter.
SERVER = """
import sys
import dv_processing as dv
where = (sys.argv[1],) if len(sys.argv) == 2 else (sys.argv[1], int(sys.argv[2]))
stream = dv.io.Stream.EventStream(0, "events", "TEST", (640, 480))
server = dv.io.NetworkWriter(*where, stream)
print("listening", flush=True)
for line in sys.stdin:
    events = dv.EventStore()
    for n in range(400):
        events.push_back(1_000_000 + 100 * n, n % 640, n % 480, n % 3 == 0)
    server.writeEvents(events)
"""
EVENTS = [(1_000_000 + 100 * n, n % 640, n % 480, int(n % 3 == 0)) for n in range(400)]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def server(*where: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", SERVER, *where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "listening\n"
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_events_of_a_server_and_its_end(tmp_path: Path, kind: str) -> None:
    port = free_port()
    spec = f"dv://127.0.0.1:{port}" if kind == "tcp" else str(tmp_path / "dv.sock")
    where = ("127.0.0.1", str(port)) if kind == "tcp" else (spec,)
    found: list[EventPacket] = []
    with server(*where) as process:
        source = open_source(spec)
        assert (source.live, source.geometry) == (True, Geometry(640, 480))
        assert source.frames is None
        packets = source.packets()
        assert len(next(packets)) == 0  # silence
        assert process.stdin is not None
        process.stdin.write("send\n")
        process.stdin.flush()
        while sum(map(len, found)) < len(EVENTS):
            found.append(next(packets))
        process.kill()
        with pytest.raises(CameraAbsentError, match="ended the connection; start its sender"):
            found.extend(packets)
    assert rows(EventPacket.concatenate([p for p in found if len(p)])) == EVENTS


def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(CameraAbsentError, match=r"does not answer .*refused.*--wait 60"):
        open_source(f"dv://127.0.0.1:{free_port()}")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "dv_processing", None)
    with pytest.raises(ExtraMissingError, match=r'pip install "xsd-edge\[dv\]"'):
        open_source("dv://127.0.0.1:17793")
