"""UDP: events in datagrams. Whoever sends is not asked and does not hear what was lost."""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.live.base import LiveSource, Waiter
from xsd_edge.events.live.datagrams import DATAGRAMS, Batch
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import HEARTBEAT_S, Wanted

DEFAULT_FORMAT: Final = "spif"
LARGEST: Final = 1 << 16  # bytes of a datagram
BATCH_BYTES: Final = 1 << 20
BATCH_S: Final = 0.004  # decoding many small portions costs more than it gains
KERNEL_BYTES: Final = 8 << 20  # 50 ms at 12 Mev/s of faery64; the kernel counts more than payload
SO_RCVBUFFORCE: Final = 33  # for root, beyond net.core.rmem_max
DROPS_FILE: Final = Path("/proc/net/udp")
DROPS_FILE_6: Final = Path("/proc/net/udp6")


class UdpSource(LiveSource):
    """A bound socket. The sensor's size must be said: no datagram tells it."""

    def __init__(self, name: str, host: str, port: int, wanted: Wanted) -> None:
        super().__init__(name)
        encoding = wanted.encoding or DEFAULT_FORMAT
        if encoding not in DATAGRAMS:
            known = ", ".join(DATAGRAMS)
            raise SourceError(f"unknown format {encoding!r} for datagrams; known: {known}")
        if wanted.geometry is None:
            raise SourceError(f"{name} does not tell its sensor's size; add it: ?size=640x480")
        self.geometry: Geometry = wanted.geometry
        self._decoder = DATAGRAMS[encoding]()
        self._continuity = Continuity(self.geometry, self.counters)
        self._socket = _bound(name, host, port)
        self._waiter = Waiter(self._socket.fileno())
        self._inode = str(os.fstat(self._socket.fileno()).st_ino)
        self._buffer = bytearray(BATCH_BYTES + LARGEST)
        self._looked = time.monotonic()

    @property
    def port(self) -> int:
        """The one it listens on."""
        return int(self._socket.getsockname()[1])

    def _packets(self) -> Iterator[EventPacket]:
        while True:
            ready = self._waiter.wait(HEARTBEAT_S)
            if self._closed.is_set():
                self._count_losses()
                return
            yield from (self._events() if ready else None) or [EventPacket.empty()]
            if time.monotonic() - self._looked > 1:
                self._count_losses()

    def _events(self) -> list[EventPacket]:
        batch = self._receive()
        if not batch.lengths:
            return []
        return [
            packet
            for events in self._decoder.decode(batch)
            for packet in self._continuity.packets(*events)
        ]

    def _receive(self) -> Batch:
        """All datagrams that come within BATCH_S, or as many as fit."""
        view = memoryview(self._buffer)
        lengths: list[int] = []
        arrivals: list[int] = []
        end, stop = 0, time.monotonic() + BATCH_S
        while end < BATCH_BYTES:
            try:
                got = self._socket.recv_into(view[end:])
            except BlockingIOError:
                left = stop - time.monotonic()
                if left <= 0 or self._closed.wait(left / 4):
                    break
                continue
            except OSError as error:
                raise CameraAbsentError(f"{self.name} failed: {error.strerror}") from error
            now = time.monotonic_ns() // 1000
            whole = got - got % self._decoder.record
            self.counters.resyncs += whole != got
            if whole:
                lengths.append(whole)
                arrivals.append(now)
                end += whole  # what a lying sender left over is overwritten by the next one
        return Batch(view[:end], lengths, arrivals)

    def _count_losses(self) -> None:
        """The kernel counts the datagrams that found our buffer full; nobody counts the rest."""
        self._looked = time.monotonic()
        for file in (DROPS_FILE, DROPS_FILE_6):
            with contextlib.suppress(OSError):
                for line in file.read_text().splitlines()[1:]:
                    fields = line.split()
                    if fields[9] == self._inode:
                        self.counters.lost = int(fields[-1])

    def _wake(self) -> None:
        self._waiter.wake()

    def _release(self) -> None:
        self._waiter.close()
        self._socket.close()


def _bound(name: str, host: str, port: int) -> socket.socket:
    """A socket that does not block, with as much room in the kernel as we are allowed."""
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(info[0], socket.SOCK_DGRAM)
    except OSError as error:
        raise SourceError(f"{name}: {error.strerror}; say udp://ADDRESS:PORT") from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, KERNEL_BYTES)
        with contextlib.suppress(PermissionError):
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, KERNEL_BYTES)
        made.setblocking(False)
        made.bind(info[4])
    except OSError as error:
        made.close()
        raise SourceError(
            f"{name} cannot be listened on: {error.strerror}; end the program that does "
            f"(sudo lsof -i udp:{port}), or take another port"
        ) from error
    return made
