"""Isolated: formats that a library reads, each in a process of its own.

A damaged file can crash, hang or bloat a library in C or Rust, which no `except` catches. There it
ends a child process, and is one more recording that cannot be read. The child writes messages to
its stdout: a line of JSON with "kind" and "arrays" (element type and shape of each), then the
arrays' bytes.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

import xsd_edge
from xsd_edge.errors import ExtraMissingError, FormatError, SourceError
from xsd_edge.events.continuity import Continuity
from xsd_edge.events.decoders.columns import ColumnReader
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import FrameTrack, Wanted

SILENCE_S: Final = 30.0  # a child that says nothing for so long hangs
LONGEST_LINE: Final = 1 << 16
LARGEST: Final = 1 << 28  # bytes of one array
READ_BYTES: Final = 1 << 20


class Message(NamedTuple):
    """What a child says: a kind, plain values, arrays."""

    kind: str
    values: dict[str, Any]
    arrays: list[NDArray[Any]]


def open_isolated(reader: str, path: Path, wanted: Wanted) -> Recording:
    """Open a recording with one of child.READERS.

    Raises:
        FormatError: it is damaged, or holds no events that can be read.
        SourceError: it does not tell its sensor's size.
        ExtraMissingError: the library is not installed.
    """
    survey = next(_messages(reader, "survey", path))
    width, height = survey.values["width"], survey.values["height"]
    geometry = wanted.geometry or (Geometry(width, height) if width and height else None)
    if geometry is None:
        raise SourceError(f"{path} does not tell its sensor's size; add it: {path}?size=640x480")
    counters = Counters(truncated=survey.values["truncated"])
    (frame_times,) = survey.arrays
    frames = FrameTrack(frame_times, IsolatedFrames(reader, path)) if len(frame_times) else None
    decoded = _decoded(reader, path, Continuity(geometry, counters), counters)
    return Recording(str(path), reader, geometry, counters, decoded, frames)


class IsolatedFrames:
    """A recording's frames, decoded when asked for; cheap as long as one asks for later ones."""

    def __init__(self, reader: str, path: Path) -> None:
        self._reader = reader
        self._path = path
        self._coming: Generator[Message] | None = None
        self._index = -1
        self._image: NDArray[np.uint8] | None = None

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """RGB uint8 [H, W, 3].

        Raises:
            FormatError: it cannot be decoded.
        """
        if self._coming is None or index < self._index or self._image is None:
            self._coming = _messages(self._reader, "frames", self._path, index)
            self._index = index - 1
        while self._index < index:
            message = next(self._coming, None)
            if message is None:
                raise FormatError(f"{self._path} lacks its frame {index}; copy it again")
            (self._image,) = message.arrays
            self._index += 1
        assert self._image is not None
        return self._image


def _decoded(
    reader: str, path: Path, continuity: Continuity, counters: Counters
) -> Generator[EventPacket]:
    check = ColumnReader(str(path))
    try:
        for message in _messages(reader, "events", path):
            if message.kind == "counts":
                counters.triggers += message.values["triggers"]
                counters.imu += message.values["imu"]
                counters.truncated |= message.values["truncated"]
            else:
                yield from continuity.packets(*check(*message.arrays))
    except FormatError:
        if not counters.events:
            raise
        counters.truncated = True


def _messages(reader: str, task: str, path: Path, first: int = 0) -> Generator[Message]:
    """What a child says about a file, until it is done.

    Raises:
        FormatError: it refuses the file, or ends before it is done.
        ExtraMissingError: it lacks its library.
    """
    root = str(Path(next(iter(xsd_edge.__path__))).parent)
    child = subprocess.Popen(
        [sys.executable, "-m", f"{__package__}.child", reader, task, str(path), str(first)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((root, *filter(None, sys.path)))},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # a library's backtrace
        start_new_session=True,  # Ctrl-C is ours to handle
    )
    assert child.stdout is not None
    try:
        for message in _parsed(child.stdout.fileno(), path):
            if message.kind == "end":
                return
            if message.kind == "missing":
                raise ExtraMissingError(message.values["what"], message.values["extra"])
            if message.kind == "refusal":
                raise FormatError(message.values["why"])
            if message.kind != "alive":
                yield message
        raise FormatError(f"{path} is damaged: it breaks its reader; copy or record it again")
    finally:
        child.kill()
        child.stdout.close()
        child.wait()


def _parsed(fd: int, path: Path) -> Iterator[Message]:
    pipe = _Pipe(fd, path)
    while line := pipe.line():
        values = json.loads(line)
        arrays = []
        for dtype, shape in values.pop("arrays", ()):
            size = math.prod(shape) * np.dtype(dtype).itemsize
            arrays.append(np.frombuffer(pipe.read(size), dtype).reshape(shape))
        yield Message(values.pop("kind"), values, arrays)


class _Pipe:
    """Reads from a child that may fall silent."""

    def __init__(self, fd: int, path: Path) -> None:
        self._fd = fd
        self._path = path
        self._data = bytearray()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLIN)

    def line(self) -> bytes:
        """The next line; nothing when the child has ended before the line has."""
        while (end := self._data.find(b"\n")) < 0:
            if len(self._data) > LONGEST_LINE or not self._more():
                return b""
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return line

    def read(self, size: int) -> bytes:
        while size <= LARGEST and len(self._data) < size:
            if not self._more():
                break
        if len(self._data) < size:
            raise FormatError(f"{self._path} is damaged; copy or record it again")
        data = bytes(self._data[:size])
        del self._data[:size]
        return data

    def _more(self) -> bool:
        if not self._poll.poll(SILENCE_S * 1000):
            raise FormatError(f"{self._path} hangs its reader; copy or record it again")
        with contextlib.suppress(OSError):
            if data := os.read(self._fd, READ_BYTES):
                self._data += data
                return True
        return False
