"""Stream: events out of a FIFO, a pipe, a TCP connection or a character device, as they come."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.decoders.encodings import DECODERS, Decoder, choose, open_decoder
from xsd_edge.events.decoders.header import LONGEST_LINE, Header
from xsd_edge.events.live.base import LiveSource, Silence, Waiter
from xsd_edge.events.live.failures import UNPLUGGED
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import HEARTBEAT_S, Wanted

DEFAULT_ENCODING: Final = "evt3"
HEADER_END: Final = b"% end\n"
PIPE_BYTES: Final = 1 << 20  # a second at a quarter million events; the default is 64 KiB
READ_BYTES: Final = 1 << 18
GATHER_S: Final = 0.004  # between reads: decoding many small portions costs more than it gains
HEADER_S: Final = 0.05  # a header comes in one go; after this silence what came is data
CONNECT_S: Final = 0.8  # a Ctrl-C has to wait for it


class _Begun(NamedTuple):
    """What a stream turned out to be, and the data that came behind its header."""

    geometry: Geometry
    decoder: Decoder
    data: bytes


class ByteStream(LiveSource):
    """A file descriptor, set not to block, that event bytes come out of. Closes it."""

    def __init__(
        self, fd: int, name: str, wanted: Wanted, default: str | None = DEFAULT_ENCODING
    ) -> None:
        super().__init__(name)
        self._fd = fd
        self._wanted = wanted
        self._default = default
        self._start = b""
        self._begun: _Begun | None = None
        self._waiter = Waiter(fd)

    @property
    def geometry(self) -> Geometry:
        """Sensor size; waits for the first bytes unless it was said.

        Raises:
            SourceError: the stream ends before that, or does not tell.
        """
        if self._wanted.geometry is not None:
            return self._wanted.geometry
        while self._begun is None:
            self._begun = self._listen()
        return self._begun.geometry

    def _packets(self) -> Iterator[EventPacket]:
        while self._begun is None:
            self._begun = self._listen()
            yield EventPacket.empty()
        geometry, decoder, data = self._begun
        restarted, silence = False, Silence()
        while True:
            if found := find_header(data):
                # Another writer, who came before the last one's end was seen.
                yield from decoder.feed(data[: found.start])
                decoder.finish()
                header = Header.parse(data[found])
                self.encoding, _ = self._choose(header)
                decoder = open_decoder(self.encoding, header, geometry, self.counters)
                restarted = True
                self.counters.reconnects += 1
                data = data[found.stop :]
            packets = decoder.feed(data)
            if packets and restarted:
                packets[0], restarted = replace(packets[0], discontinuity=True), False
            yield from packets or [EventPacket.empty()]
            if len(data) < READ_BYTES:
                self._closed.wait(GATHER_S)
            read = self._read(HEARTBEAT_S)
            if read == b"":
                break
            restarted |= silence.ended(read is not None) and self.counters.events > 0
            data = read or b""
        decoder.finish()
        if not self.counters.events:
            raise self._silence()

    def _listen(self) -> _Begun | None:
        """Hear one portion of the beginning; what the stream is, once that is clear."""
        read = self._read(HEADER_S)
        if read == b"":
            raise self._silence()
        self._start += read or b""
        header = Header.parse(self._start)
        if not self._start or (read is not None and not header.complete):
            return None
        self.encoding, geometry = self._choose(header)
        decoder = open_decoder(self.encoding, header, geometry, self.counters)
        return _Begun(geometry, decoder, self._start[header.length :])

    def _choose(self, header: Header) -> tuple[str, Geometry]:
        if not (self._wanted.encoding or header.encoding or self._default):
            raise SourceError(
                f"{self.name} does not tell its format; add it: {self.name}?format=evt3"
            )
        return choose(self.name, header, self._wanted, self._default)

    def _read(self, timeout_s: float) -> bytes | None:
        """What has come; None when nothing did in time, nothing at the end or when closed."""
        ready = self._waiter.wait(timeout_s)
        if self._closed.is_set():
            return b""
        if not ready:
            return None
        try:
            return os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise CameraAbsentError(f"{self.name} failed: {error.strerror}; {UNPLUGGED}") from error

    def _silence(self) -> SourceError:
        return CameraAbsentError(f"{self.name} ended before any event came; start its writer again")

    def _wake(self) -> None:
        self._waiter.wake()

    def _release(self) -> None:
        self._waiter.close()
        os.close(self._fd)


def find_header(data: bytes) -> slice | None:
    """Where the last header in a portion of a stream is, if it is there up to its "% end"."""
    end = data.rfind(HEADER_END)
    if end < 0:
        return None
    start = end
    while (at := data.rfind(b"% ", max(start - LONGEST_LINE, 0), start)) >= 0:
        line = data[at:start]
        if not (line.endswith(b"\n") and line.isascii() and line[:-1].decode().isprintable()):
            break
        start = at
    return slice(start, end + len(HEADER_END))


def open_stream(path: Path, wanted: Wanted, default: str | None = DEFAULT_ENCODING) -> ByteStream:
    """Open a FIFO or character device. Waits for its first bytes if the sensor's size was not said.

    `default` is the encoding where neither the user nor a header tells it; None: one must.

    Raises:
        SourceError: its format or size stays unknown.
        OSError: it cannot be opened.
    """
    _check_encoding(wanted)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        _widen(fd)
    return _begin(ByteStream(fd, str(path), wanted, default))


def open_standard_input(wanted: Wanted) -> ByteStream:
    """Read what another program pipes into this one.

    Raises:
        SourceError: it is closed or a terminal; its format or size stays unknown.
    """
    _check_encoding(wanted)
    if os.isatty(0):
        raise SourceError(
            "standard input is a terminal; pipe events in, like: cat FILE.raw | xsd-edge run "
            "--camera - ..."
        )
    fd = os.dup(0)
    os.set_blocking(fd, False)
    _widen(fd)
    return _begin(ByteStream(fd, "standard input", wanted))


def open_tcp(name: str, host: str, port: int, wanted: Wanted) -> ByteStream:
    """Connect to a server that sends event bytes.

    Raises:
        CameraAbsentError: nobody listens there.
        SourceError: its format or size stays unknown.
    """
    _check_encoding(wanted)
    try:
        connection = socket.create_connection((host, port), CONNECT_S)
    except OSError as error:
        raise CameraAbsentError(
            f"{name} does not answer: {error}; start the program that sends, or wait for it "
            "with --wait 60"
        ) from error
    connection.setblocking(False)
    return _begin(ByteStream(connection.detach(), name, wanted))


def _begin(stream: ByteStream) -> ByteStream:
    """Find out the size, and let go of the descriptor if that fails."""
    try:
        _ = stream.geometry
    except BaseException:
        stream.close()
        raise
    return stream


def _widen(fd: int) -> None:
    with contextlib.suppress(OSError):  # no pipe, or the user's share of pipe memory is used up
        fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _check_encoding(wanted: Wanted) -> None:
    if wanted.encoding not in (None, *DECODERS):
        known = ", ".join(DECODERS)
        raise SourceError(f"unknown format {wanted.encoding!r} for a stream; known: {known}")
