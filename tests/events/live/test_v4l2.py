"""V4L2 through a kernel that keeps the contract of linux/videodev2.h: real memory, fake ioctls."""

from __future__ import annotations

import errno
import os
import struct
from collections import deque
from pathlib import Path
from typing import Any

import pytest

from tests.events.encoders import evt2_bytes, evt3_bytes, random_events, rows
from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.live import base
from xsd_edge.events.live import v4l2_device as v4l2
from xsd_edge.events.live.v4l2 import V4l2Camera, _valid, open_v4l2
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import Wanted

SIZE = 4096
EVENTS = random_events(600, 5000, 60_000)
END = struct.pack("<H", 0xE019)


class Kernel:
    """One capture node. `fill` hands the driver data; a pipe makes the descriptor readable."""

    def __init__(self, card: bytes = b"imx636 10-003c", fourcc: bytes = b"PSE3") -> None:
        self.card, self.fourcc, self.size = card, fourcc, (1280, 720)
        self.capabilities = v4l2.CAN_CAPTURE | v4l2.CAN_STREAM
        self.granted = 4
        self.queued: deque[int] = deque()
        self.filled: deque[tuple[int, int, int, int]] = deque()
        self.maps: list[Any] = []
        self.sequence = 0
        self.streaming = False
        self.closed = 0
        self.fails: dict[int, int] = {}  # errno by ioctl
        self.readable, self.writable = os.pipe()
        os.set_blocking(self.readable, False)

    @property
    def calls(self) -> v4l2.Calls:
        return v4l2.Calls(lambda path, flags: self.readable, self._close, self._ioctl, self._map)

    def fill(self, data: bytes, *, skipped: int = 0, flags: int = 0) -> None:
        """The sensor's next buffer; `skipped` ones before it found no room."""
        number = self.queued.popleft()
        self.maps[number][: len(data)] = data
        self.sequence += 1 + skipped
        self.filled.append((number, len(data), self.sequence, flags))
        os.write(self.writable, b"!")

    def _close(self, fd: int) -> None:
        self.closed += 1
        os.close(fd)
        os.close(self.writable)

    def _map(self, fd: int, length: int, offset: int) -> Any:
        assert (length, offset) == (SIZE, len(self.maps) * SIZE)
        self.maps.append(_Mapped(SIZE))
        return self.maps[-1]

    def _ioctl(self, fd: int, code: int, argument: bytearray) -> int:
        if code in self.fails:
            raise OSError(self.fails[code], os.strerror(self.fails[code]))
        if code == v4l2.QUERYCAP:
            argument[16 : 16 + len(self.card)] = self.card
            struct.pack_into("II", argument, 84, v4l2.CAPS_OF_NODE | 0xFF, self.capabilities)
        elif code == v4l2.G_FMT:
            assert struct.unpack_from("I", argument)[0] == 1
            struct.pack_into("II4s", argument, 8, *self.size, self.fourcc)
        elif code == v4l2.REQBUFS:
            assert struct.unpack_from("III", argument)[1:] == (1, 1)
            struct.pack_into("I", argument, 0, self.granted)
        elif code == v4l2.QUERYBUF:
            number = struct.unpack_from("I", argument)[0]
            struct.pack_into("I4xI", argument, 64, number * SIZE, SIZE)
        elif code == v4l2.QBUF:
            assert struct.unpack_from("I", argument, 60)[0] == 1
            self.queued.append(struct.unpack_from("I", argument)[0])
        elif code == v4l2.STREAMON:
            self.streaming = True
        elif code == v4l2.STREAMOFF:
            self.streaming = False
        elif code == v4l2.DQBUF:
            if not self.filled:
                raise BlockingIOError(errno.EAGAIN, "try again")
            os.read(self.readable, 1)
            number, used, sequence, flags = self.filled.popleft()
            struct.pack_into("IIII", argument, 0, number, 1, used, flags)
            struct.pack_into("I", argument, 56, sequence)
        return 0


class _Mapped(bytearray):
    def close(self) -> None:
        pass


def opened(kernel: Kernel, wanted: Wanted | None = None) -> V4l2Camera:
    return open_v4l2(Path("/dev/video2"), wanted or Wanted(), kernel.calls)


def started(camera: V4l2Camera) -> Any:
    """Its packets, with the stream running and the first silence heard."""
    packets = camera.packets()
    assert len(next(packets)) == 0
    return packets


def some(packets: Any) -> EventPacket:
    """The next packet that is not empty."""
    found: EventPacket = next(p for p in packets if len(p))
    return found


def test_the_ioctl_numbers_are_the_kernels() -> None:
    assert [v4l2.QUERYCAP, v4l2.G_FMT, v4l2.REQBUFS, v4l2.QUERYBUF] == [
        0x80685600, 0xC0D05604, 0xC0145608, 0xC0585609,
    ]  # fmt: skip
    assert [v4l2.QBUF, v4l2.DQBUF, v4l2.STREAMON, v4l2.STREAMOFF] == [
        0xC058560F, 0xC0585611, 0x40045612, 0x40045613,
    ]  # fmt: skip


def test_buffers_become_events_and_go_back_to_the_driver() -> None:
    kernel = Kernel()
    camera = opened(kernel)
    assert camera.geometry == Geometry(1280, 720)
    packets = started(camera)
    assert kernel.streaming
    assert sorted(kernel.queued) == [0, 1, 2, 3]
    data, found = evt3_bytes(EVENTS), []
    for at in range(0, len(data), 801):  # cut in the middle of words, as transfers are
        kernel.fill(data[at : at + 801])
        found.append(next(packets))
    assert rows(EventPacket.concatenate([p for p in found if len(p)])) == rows(EVENTS)
    assert len(kernel.queued) == 4
    camera.close()
    assert list(packets) == []
    assert (kernel.streaming, kernel.closed) == (False, 1)


@pytest.mark.parametrize(
    ("fourcc", "said", "encoding"),
    [(b"PSEE", None, "evt2"), (b"PSE3", None, "evt3"), (b"GREY", "evt2", "evt2")],
)
def test_the_fourcc_tells_the_encoding_unless_it_is_said(
    fourcc: bytes, said: str | None, encoding: str
) -> None:
    kernel = Kernel(fourcc=fourcc)
    camera = opened(kernel, Wanted(said))
    packets = started(camera)
    kernel.fill({"evt2": evt2_bytes, "evt3": evt3_bytes}[encoding](EVENTS)[:2000])
    assert rows(some(packets))[0] == rows(EVENTS)[0]
    camera.close()
    list(packets)


def test_full_buffers_end_at_the_marker() -> None:
    kernel = Kernel()
    camera = opened(kernel)
    packets = started(camera)
    data = evt3_bytes(EVENTS.slice(0, 100)) + END
    kernel.fill(data + b"\x99" * (SIZE - len(data)))
    assert rows(some(packets)) == rows(EVENTS.slice(0, 100))
    assert camera.counters.resyncs == 0
    camera.close()
    list(packets)


@pytest.mark.parametrize(
    ("encoding", "word"),
    [
        ("evt2", struct.pack("<I", 0xE0012319)),
        ("evt3", END),
        ("evt21", struct.pack("<Q", 0xE1234019_00000007)),
        ("evt21-legacy", struct.pack("<Q", 0x00000007_E1234019)),
    ],
)
def test_where_valid_data_end(encoding: str, word: bytes) -> None:
    data = bytes(len(word) * 5)
    assert _valid(data + word + data, encoding) == data
    assert _valid(data, encoding) == data


@pytest.mark.parametrize(("skipped", "flags"), [(3, 0), (0, v4l2.FLAG_ERROR)])
def test_lost_buffers_are_counted_and_marked(skipped: int, flags: int) -> None:
    kernel = Kernel()
    camera = opened(kernel)
    packets = started(camera)
    kernel.fill(evt3_bytes(EVENTS.slice(0, 100)))
    assert not some(packets).discontinuity
    kernel.fill(evt3_bytes(EVENTS.slice(300, 400)), skipped=skipped, flags=flags)
    after = some(packets)
    assert after.discontinuity
    assert rows(after) == rows(EVENTS.slice(300, 400))
    assert camera.counters.lost == (skipped or 1)
    camera.close()
    list(packets)


def test_no_packet_spans_a_long_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "UNSEEN_S", 0.05)
    kernel = Kernel()
    camera = opened(kernel)
    packets = started(camera)
    marks = []
    for lo, silent in ((0, 20), (100, 0), (200, 20)):
        assert not any(len(next(packets)) for _ in range(silent))
        kernel.fill(evt3_bytes(EVENTS.slice(lo, lo + 100)))
        marks.append(some(packets).discontinuity)
    assert marks == [False, False, True]
    camera.close()
    list(packets)


def test_a_webcam_is_refused_with_what_can_be_done() -> None:
    kernel = Kernel(b"HD Webcam", b"YUYV")
    with pytest.raises(SourceError, match=r"ordinary camera.*--video /dev/video2.*\?as=frames"):
        opened(kernel)
    assert kernel.closed == 1


def test_a_node_without_capture_buffers() -> None:
    kernel = Kernel()
    kernel.capabilities = v4l2.CAN_STREAM
    with pytest.raises(SourceError, match=r"v4l2-ctl -d /dev/video2 .* --camera -"):
        opened(kernel)


def test_an_unknown_size_and_an_unknown_format() -> None:
    with pytest.raises(SourceError, match=r"does not tell its sensor's size; add \?size="):
        opened(Kernel(b"bridge", b"GREY"), Wanted("evt3"))
    with pytest.raises(SourceError, match="unknown format 'evt9'"):
        opened(Kernel(), Wanted("evt9"))
    assert opened(Kernel(b"genx320"), Wanted()).geometry == Geometry(320, 320)


@pytest.mark.parametrize(
    ("code", "number", "kind", "message"),
    [
        (v4l2.QUERYCAP, errno.ENOTTY, SourceError, "answers no video requests"),
        (v4l2.STREAMON, errno.EBUSY, SourceError, "used by another program.*lsof /dev/video2"),
        (v4l2.DQBUF, errno.ENODEV, CameraAbsentError, "plug it in again"),
    ],
)
def test_a_node_that_fails(code: int, number: int, kind: type[SourceError], message: str) -> None:
    kernel = Kernel()
    kernel.fails[code] = number

    def run() -> None:
        packets = opened(kernel).packets()
        next(packets)
        kernel.fill(b"\0\0")
        list(packets)

    with pytest.raises(SourceError, match=message) as caught:
        run()
    assert type(caught.value) is kind
    assert kernel.closed == 1
