"""The checksum is what docs/formats.md says, however the events are divided."""

from __future__ import annotations

import hashlib
import struct

from tests.events.encoders import packet, random_events, rows
from xsd_edge.events.checksum import BLOCK, Checksum
from xsd_edge.events.packet import EventPacket


def checksum(*packets: EventPacket) -> str:
    whole = Checksum()
    for part in packets:
        whole.add(part)
    return whole.hex


def test_it_is_sha256_of_13_bytes_an_event() -> None:
    events = random_events(BLOCK + 1000, -5_000, 10**12)
    records = b"".join(struct.pack("<qHHB", *row) for row in rows(events))
    assert checksum(events) == hashlib.sha256(records).hexdigest()
    assert checksum(events.slice(0, 7), events.slice(7, 7), events.slice(7, len(events))) == (
        hashlib.sha256(records).hexdigest()
    )


def test_every_value_and_the_order_count() -> None:
    one, other = (1, 2, 3, 1), (1, 3, 2, 0)
    same = packet([1, 1], [2, 3], [3, 2], [1, 0])
    assert rows(same) == [one, other]
    changed = [
        packet([1, 1], [3, 2], [2, 3], [0, 1]),
        packet([1, 2], [2, 3], [3, 2], [1, 0]),
        packet([1, 1], [2, 3], [3, 3], [1, 0]),
        packet([1, 1], [2, 3], [3, 2], [1, 1]),
        packet([1], [2], [3], [1]),
    ]
    assert len({checksum(same), *map(checksum, changed)}) == 6
