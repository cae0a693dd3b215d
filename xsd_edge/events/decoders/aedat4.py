"""AEDAT4: iniVation's recordings, read by the library `aedat`: events and frames, and how many
triggers and inertial samples there are.

Runs in a child process (see isolated). Times are Unix microseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.isolated import open_isolated
from xsd_edge.events.decoders.reader import Alive, Counts, Events, Survey
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import Wanted

MAGIC: Final = b"#!AER-DAT4"
WHAT, EXTRA = "reading AEDAT4", "aedat4"
LONGEST_PACKET: Final = 1 << 20  # events sent at once


def fits(path: Path, head: bytes) -> bool:
    """Does it begin as AEDAT4 does?"""
    return head.startswith(MAGIC)


def open_file(path: Path, wanted: Wanted) -> Recording:
    """A recording; it is read once now to learn the times of its frames."""
    return open_isolated("aedat4", path, wanted)


class _Packets:
    """A file's packets. One without its end, as a killed recorder leaves it, has fewer."""

    def __init__(self, path: Path, alive: Alive) -> None:
        import aedat

        self._decoder = aedat.Decoder(path)
        self.streams: dict[int, dict[str, Any]] = self._decoder.id_to_stream()
        self.truncated = False
        self._alive = alive

    def first(self, kind: str) -> int | None:
        """The stream of that kind with the lowest number."""
        return min((id_ for id_, is_ in self.streams.items() if is_["type"] == kind), default=None)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        try:
            for packet in self._decoder:
                self._alive()
                yield packet
        except RuntimeError:  # "failed to fill whole buffer", and whatever damage makes of it
            self.truncated = True


def survey(path: Path, alive: Alive) -> Survey:
    """Sensor size; the middle of each frame's exposure."""
    packets = _Packets(path, alive)
    events, frames = packets.first("events"), packets.first("frame")
    if events is None:
        raise FormatError(f"{path} has no stream of events; record them too")
    times = [packet["frame"]["t"] for packet in packets if packet["stream_id"] == frames]
    size = packets.streams[events]
    t_us = np.array(times, np.int64)
    if (np.diff(t_us) <= 0).any():
        raise FormatError(f"{path}: the times of its frames do not increase; record it again")
    return Survey(size["width"], size["height"], t_us, packets.truncated)


def events(path: Path, alive: Alive) -> Iterator[Events | Counts]:
    """The first event stream; triggers and inertial samples of all streams."""
    packets = _Packets(path, alive)
    wanted = packets.first("events")
    triggers = imu = 0
    for packet in packets:
        triggers += len(packet.get("triggers", ()))
        imu += len(packet.get("imus", ()))
        if packet["stream_id"] == wanted:
            found = packet["events"]
            for at in range(0, len(found), LONGEST_PACKET):
                part = found[at : at + LONGEST_PACKET]
                yield Events(part["t"].astype(np.int64), part["x"], part["y"], part["on"])
    yield Counts(triggers, imu, packets.truncated)


def frames(path: Path, first: int, alive: Alive) -> Iterator[NDArray[np.uint8]]:
    """The first frame stream; grey becomes RGB."""
    packets = _Packets(path, alive)
    wanted = packets.first("frame")
    index = 0
    for packet in packets:
        if packet["stream_id"] == wanted:
            if index >= first:
                yield _rgb(path, packet["frame"]["pixels"])
            index += 1


def _rgb(path: Path, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3):
        raise FormatError(f"{path}: its frames are {pixels.dtype} {list(pixels.shape)}, not 8-bit")
    if pixels.ndim == 2:
        return np.repeat(pixels[:, :, None], 3, axis=2)
    return pixels[:, :, :3]
