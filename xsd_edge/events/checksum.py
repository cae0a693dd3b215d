"""Checksum: one number for a decoded stream, the same whatever file, chunks or program it is from.

SHA-256 over the events in order, each as 13 bytes, little-endian: t as int64 microseconds, x and y
as uint16 from the top-left pixel, p as uint8, 0 OFF or 1 ON. See docs/formats.md.
"""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np

from xsd_edge.events.packet import EventPacket

RECORD: Final = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "u1")])  # 13 bytes
BLOCK: Final = 1 << 15  # events; their records then stay in the cache


class Checksum:
    """Feed it packets; how the events are divided among them does not matter."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, packet: EventPacket) -> None:
        for at in range(0, len(packet), BLOCK):
            part = packet.slice(at, at + BLOCK)
            records = np.empty(len(part), RECORD)
            for key in ("t", "x", "y", "p"):
                records[key] = getattr(part, key)
            self._hash.update(records.data)

    @property
    def hex(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()
