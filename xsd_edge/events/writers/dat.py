"""DAT: 8-byte records; see decoders.dat for the layout."""

from __future__ import annotations

from typing import Final

import numpy as np

from xsd_edge.errors import SourceError
from xsd_edge.events.decoders.dat import RECORD, TIME_BITS
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.writers.writer import ByteFormat

HALF: Final = 1 << (TIME_BITS - 1)


class DatEncoder:
    """Times wrap; a silence of half their range could not be told from running back."""

    def __init__(self) -> None:
        self._last: int | None = None

    def encode(self, packet: EventPacket) -> bytes:
        first = int(packet.t[0])
        last = first if self._last is None else self._last
        steps = np.diff(packet.t, prepend=last)
        back = steps < 0
        wraps = (packet.t >> TIME_BITS) != ((packet.t - steps) >> TIME_BITS)
        if (np.abs(steps) >= HALF).any() or (back & wraps).any():
            raise SourceError("a jump of time is longer than DAT can say; convert to npz instead")
        self._last = int(packet.t[-1])
        records = np.empty(len(packet), RECORD)
        records["t"] = packet.t & ((1 << TIME_BITS) - 1)
        x, y, p = (column.astype(np.uint32) for column in (packet.x, packet.y, packet.p))
        records["xyp"] = p << 28 | y << 14 | x
        return records.tobytes()


def header(geometry: Geometry, t0_us: int) -> bytes:
    """The lines of version 2, then type and size of an event."""
    t0 = f"% T0 {t0_us}\n" if t0_us else ""
    lines = (
        "% Data file containing CD events.\n% Version 2\n"
        f"% Width {geometry.width}\n% Height {geometry.height}\n{t0}"
    )
    return lines.encode() + b"\x0c\x08"


DAT: Final = ByteFormat("DAT", 1 << 13, 1 << TIME_BITS, header, DatEncoder)
