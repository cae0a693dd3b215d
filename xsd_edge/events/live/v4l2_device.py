"""V4L2 device: a capture node's streaming ioctls (linux/videodev2.h), as far as bytes need them."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

CAPTURE: Final = 1  # V4L2_BUF_TYPE_VIDEO_CAPTURE
MMAP: Final = 1  # V4L2_MEMORY_MMAP
CAN_CAPTURE, CAN_STREAM, CAPS_OF_NODE = 0x1, 0x04000000, 0x80000000
FLAG_ERROR: Final = 0x40  # the driver lost part of this buffer

CAPABILITY: Final = struct.Struct("16s32s32s3I12x")
FORMAT: Final = struct.Struct("I4xIIIIII176x")  # type, width, height, fourcc, field, line, image
REQUEST: Final = struct.Struct("IIIIB3x")  # count, type, memory
# index, type, bytesused, flags, field, timeval, timecode, sequence, memory, offset, length, rest
BUFFER: Final = struct.Struct("IIIII4xqq16xIIQIIII")
KIND: Final = struct.Struct("i")


def _code(direction: int, number: int, size: int) -> int:
    """_IOC of asm-generic/ioctl.h; the same on x86-64 and aarch64."""
    return direction << 30 | size << 16 | ord("V") << 8 | number


READ, WRITE, BOTH = 2, 1, 3
QUERYCAP: Final = _code(READ, 0, CAPABILITY.size)
G_FMT: Final = _code(BOTH, 4, FORMAT.size)
REQBUFS: Final = _code(BOTH, 8, REQUEST.size)
QUERYBUF: Final = _code(BOTH, 9, BUFFER.size)
QBUF: Final = _code(BOTH, 15, BUFFER.size)
DQBUF: Final = _code(BOTH, 17, BUFFER.size)
STREAMON: Final = _code(WRITE, 18, KIND.size)
STREAMOFF: Final = _code(WRITE, 19, KIND.size)


class Calls(NamedTuple):
    """The system's; tests have their own."""

    open: Callable[[Path, int], int] = os.open
    close: Callable[[int], None] = os.close
    ioctl: Callable[[int, int, bytearray], Any] = fcntl.ioctl
    map: Callable[[int, int, int], Any] = lambda fd, length, offset: mmap.mmap(
        fd, length, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE, offset=offset
    )


class Capability(NamedTuple):
    """Who drives the node, and whether it captures into buffers of one plane."""

    card: str
    streams: bool


class Picture(NamedTuple):
    """What a buffer holds: width and height in pixels, and its four-letter name."""

    width: int
    height: int
    fourcc: str


class Buffer(NamedTuple):
    """One that the driver filled; `sequence` counts buffers, also those that were dropped."""

    number: int
    used: int
    sequence: int
    damaged: bool


class V4l2Device:
    """An open node. Every method raises OSError as the ioctl does."""

    def __init__(self, path: Path, calls: Calls | None = None) -> None:
        self._calls = calls or Calls()
        self.fd = self._calls.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        self._maps: list[Any] = []

    def capability(self) -> Capability:
        _, card, _, _, whole, node = CAPABILITY.unpack(self._call(QUERYCAP, CAPABILITY))
        flags = node if whole & CAPS_OF_NODE else whole
        wanted = CAN_CAPTURE | CAN_STREAM
        return Capability(card.split(b"\0")[0].decode(errors="replace"), flags & wanted == wanted)

    def picture(self) -> Picture:
        _, width, height, fourcc, *_ = FORMAT.unpack(self._call(G_FMT, FORMAT, CAPTURE))
        return Picture(width, height, fourcc.to_bytes(4, "little").decode("latin-1"))

    def start(self, buffers: int) -> None:
        """Map the buffers that the driver grants, queue them all, begin."""
        granted = REQUEST.unpack(self._call(REQBUFS, REQUEST, buffers, CAPTURE, MMAP))[0]
        for index in range(granted):
            said = BUFFER.unpack(self._call(QUERYBUF, BUFFER, index, CAPTURE, memory=MMAP))
            offset, length = said[9] & 0xFFFFFFFF, said[10]
            self._maps.append(self._calls.map(self.fd, length, offset))
            self.queue(index)
        self._call(STREAMON, KIND, CAPTURE)

    def queue(self, index: int) -> None:
        """Give a buffer to the driver."""
        self._call(QBUF, BUFFER, index, CAPTURE, memory=MMAP)

    def take(self) -> Buffer:
        """The next filled buffer; BlockingIOError if there is none yet."""
        said = BUFFER.unpack(self._call(DQBUF, BUFFER, 0, CAPTURE, memory=MMAP))
        return Buffer(said[0], said[2], said[7], bool(said[3] & FLAG_ERROR))

    def data(self, buffer: Buffer) -> bytes:
        """A copy of what it holds."""
        return bytes(self._maps[buffer.number][: buffer.used])

    def fixed(self, buffer: Buffer) -> bool:
        """Is it said to be full? Then nobody said how much of it is data."""
        return buffer.used == len(self._maps[buffer.number])

    def close(self) -> None:
        """Stop and give everything back; a node that is gone cannot be told to stop."""
        try:
            self._call(STREAMOFF, KIND, CAPTURE)
        except OSError:
            pass
        finally:
            for mapped in self._maps:
                mapped.close()
            self._calls.close(self.fd)

    def _call(self, code: int, layout: struct.Struct, *first: int, memory: int = 0) -> bytearray:
        """An ioctl with an argument whose first fields, and memory type, are given."""
        argument = bytearray(layout.size)
        struct.pack_into(f"{len(first)}I", argument, 0, *first)
        if memory:
            struct.pack_into("I", argument, 60, memory)
        self._calls.ioctl(self.fd, code, argument)
        return argument
