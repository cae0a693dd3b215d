"""Stream: events out of a FIFO or character device, as they come."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from xsd_edge.errors import SourceError
from xsd_edge.events.decoders.header import Header
from xsd_edge.events.decoders.prophesee import DECODERS, Decoder, choose
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import HEARTBEAT_S, Extent, Wanted

DEFAULT_ENCODING: Final = "evt3"
PIPE_BYTES: Final = 1 << 20  # a second at a quarter million events; the default is 64 KiB
READ_BYTES: Final = 1 << 18
GATHER_S: Final = 0.004  # between reads: decoding many small portions costs more than it gains
HEADER_S: Final = 0.05  # a header comes in one go; after this silence what came is data

# Device nodes that carry no event bytes when merely read, by major number.
USB, VIDEO = 189, 81


class _Begun(NamedTuple):
    """What a stream turned out to be, and the data that came behind its header."""

    geometry: Geometry
    decoder: Decoder
    data: bytes


class ByteStream:
    """A file descriptor that events come out of; `name` is what messages call it."""

    live = True
    frames = None

    def __init__(self, fd: int, name: str, wanted: Wanted) -> None:
        self.counters = Counters()
        self._fd = fd
        self._name = name
        self._wanted = wanted
        self._start = b""
        self._begun: _Begun | None = None
        self._closed = threading.Event()
        self._lock = threading.Lock()  # over the descriptors' life
        self._reading = self._released = False
        self._wake_read, self._wake_write = os.pipe()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

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

    def extent(self, enough_us: int) -> Extent | None:
        """Nobody knows."""
        return None

    def packets(self) -> Iterator[EventPacket]:
        """Events as they come, an empty packet every HEARTBEAT_S without any.

        Raises:
            SourceError: the device fails, or the stream ends before its first event.
        """
        with self._lock:
            if self._released:
                return
            self._reading = True
        try:
            yield from self._packets()
        except SourceError:
            if not self._closed.is_set():  # else it only ended because it was told to
                raise
        finally:
            with self._lock:
                self._reading = False
                self._release()

    def close(self) -> None:
        """Wake `packets` and end it."""
        self._closed.set()
        with self._lock:
            if not self._released:
                os.write(self._wake_write, b"!")
            if not self._reading:
                self._release()

    def _packets(self) -> Iterator[EventPacket]:
        while self._begun is None:
            self._begun = self._listen()
            yield EventPacket.empty()
        _, decoder, data = self._begun
        while True:
            yield from decoder.feed(data) or [EventPacket.empty()]
            if len(data) < READ_BYTES:
                self._closed.wait(GATHER_S)
            read = self._read(HEARTBEAT_S)
            if read == b"":
                break
            data = read or b""
        decoder.finish()
        if not self.counters.events:
            raise SourceError(f"{self._name} ended before any event came; start its writer again")

    def _listen(self) -> _Begun | None:
        """Hear one portion of the beginning; what the stream is, once that is clear."""
        read = self._read(HEADER_S)
        if read == b"":
            raise SourceError(f"{self._name} ended before any event came; start its writer again")
        self._start += read or b""
        header = Header.parse(self._start)
        if not self._start or (read is not None and not header.complete):
            return None
        encoding, geometry = choose(self._name, header, self._wanted, DEFAULT_ENCODING)
        decoder = DECODERS[encoding](geometry, self.counters)
        return _Begun(geometry, decoder, self._start[header.length :])

    def _read(self, timeout_s: float) -> bytes | None:
        """What has come; None when nothing did in time, nothing at the end or when closed."""
        ready = self._poll.poll(timeout_s * 1000)
        if self._closed.is_set():
            return b""
        if not ready:
            return None
        try:
            return os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return None
        except OSError as error:
            raise SourceError(f"{self._name} failed: {error.strerror}; plug it in again") from error

    def _release(self) -> None:
        if not self._released:
            self._released = True
            for fd in (self._fd, self._wake_read, self._wake_write):
                os.close(fd)


def open_stream(path: Path, wanted: Wanted) -> ByteStream:
    """Open a FIFO or character device. Waits for its first bytes if the sensor's size was not said.

    Raises:
        SourceError: it is a device that gives no event bytes, or its format or size stays unknown.
        OSError: it cannot be opened.
    """
    _check_device(path)
    if wanted.encoding not in (None, *DECODERS):
        known = ", ".join(DECODERS)
        raise SourceError(f"unknown format {wanted.encoding!r} for a stream; known: {known}")
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        with contextlib.suppress(OSError):  # the user's share of pipe memory is used up: 64 KiB do
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    stream = ByteStream(fd, str(path), wanted)
    try:
        _ = stream.geometry
    except BaseException:
        stream.close()
        raise
    return stream


def _check_device(path: Path) -> None:
    status = path.stat()
    if not stat.S_ISCHR(status.st_mode):
        return
    major = os.major(status.st_rdev)
    if major in (USB, VIDEO):
        kind = "USB" if major == USB else "video"
        raise SourceError(
            f"{path} is a {kind} device, which cannot be read as bytes; "
            "write its driver's EVT3 output into a FIFO and give that"
        )
    tty = Path(f"/sys/dev/char/{major}:{os.minor(status.st_rdev)}/subsystem")
    if tty.resolve().name == "tty":
        raise SourceError(f"{path} is a terminal; give a camera, a FIFO or a recording")
