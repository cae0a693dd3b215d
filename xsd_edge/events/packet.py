"""Event packets: the one in-memory form that every decoder makes and every consumer reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import SourceError

LARGEST_SIDE = 8192  # pixels; no event sensor comes near it, so anything larger is a damaged header


@dataclass(frozen=True, slots=True)
class Geometry:
    """Sensor size in pixels; (0, 0) is the top-left one."""

    width: int
    height: int

    def __post_init__(self) -> None:
        if not (0 < self.width <= LARGEST_SIDE and 0 < self.height <= LARGEST_SIDE):
            raise SourceError(f"sensor size {self} is impossible; give the real one, like 640x480")

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @classmethod
    def parse(cls, text: str) -> Geometry:
        """Read "WIDTHxHEIGHT".

        Raises:
            SourceError: the text is something else.
        """
        match = re.fullmatch(r"\s*(\d{1,5})\s*[xX]\s*(\d{1,5})\s*", text)
        if match is None:
            raise SourceError(f"sensor size {text!r} is not WIDTHxHEIGHT, like 640x480")
        return cls(int(match[1]), int(match[2]))


@dataclass(slots=True)
class Counters:
    """What a source has seen so far; a reader only ever adds to it.

    `dropped_geometry` counts events outside the sensor, `resyncs` stretches of bytes that were
    skipped because they mean nothing, `backward_jumps` how often the clock ran backwards;
    `triggers` counts edges of the trigger inputs, `imu` samples of an inertial sensor; `lost`
    counts what a driver or the kernel threw away before we saw it, in its own units (USB packets,
    datagrams, buffers), and `reconnects` how often the camera came back; `truncated` is set when
    the data end in the middle of a word or record.
    """

    events: int = 0
    dropped_geometry: int = 0
    resyncs: int = 0
    backward_jumps: int = 0
    triggers: int = 0
    imu: int = 0
    lost: int = 0
    reconnects: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class EventPacket:
    """Events in order of time, as four arrays of one length n.

    t int64 [n], absolute microseconds, non-decreasing; x, y uint16 [n]; p uint8 [n], 0 OFF, 1 ON.
    `discontinuity`: time jumped just before this packet; nothing may span the border before it.
    """

    t: NDArray[np.int64]
    x: NDArray[np.uint16]
    y: NDArray[np.uint16]
    p: NDArray[np.uint8]
    discontinuity: bool = False

    def __len__(self) -> int:
        return len(self.t)

    @classmethod
    def empty(cls) -> EventPacket:
        none = np.empty(0, np.uint16)
        return cls(np.empty(0, np.int64), none, none, np.empty(0, np.uint8))

    @classmethod
    def concatenate(cls, packets: Sequence[EventPacket]) -> EventPacket:
        """Join packets between which time does not jump; the first one's border is the result's."""
        if not packets:
            return cls.empty()
        if len(packets) == 1:
            return packets[0]
        return cls(
            np.concatenate([packet.t for packet in packets]),
            np.concatenate([packet.x for packet in packets]),
            np.concatenate([packet.y for packet in packets]),
            np.concatenate([packet.p for packet in packets]),
            packets[0].discontinuity,
        )

    def slice(self, lo: int, hi: int) -> EventPacket:
        """Events lo <= index < hi, as views."""
        flag = self.discontinuity and lo == 0
        return EventPacket(self.t[lo:hi], self.x[lo:hi], self.y[lo:hi], self.p[lo:hi], flag)

    def between(self, t0_us: int, t1_us: int) -> EventPacket:
        """Events with t0_us <= t < t1_us, as views."""
        lo, hi = np.searchsorted(self.t, (t0_us, t1_us))
        return self.slice(int(lo), int(hi))
