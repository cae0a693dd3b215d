"""Writes EVT2 and EVT3 the simple way, for tests that need bytes of known events."""

from __future__ import annotations

import struct

import numpy as np

from xsd_edge.events.packet import EventPacket


def packet(t: list[int], x: list[int], y: list[int], p: list[int]) -> EventPacket:
    return EventPacket(
        np.array(t, np.int64), np.array(x, np.uint16), np.array(y, np.uint16), np.array(p, np.uint8)
    )


def random_events(count: int, t0: int, t1: int, seed: int = 0) -> EventPacket:
    """Events on a 640x480 sensor, t0 <= t < t1."""
    rng = np.random.default_rng(seed)
    return EventPacket(
        np.sort(rng.integers(t0, t1, count)),
        rng.integers(0, 640, count).astype(np.uint16),
        rng.integers(0, 480, count).astype(np.uint16),
        rng.integers(0, 2, count).astype(np.uint8),
    )


def rows(events: EventPacket) -> list[tuple[int, int, int, int]]:
    """(t, x, y, p) of each event."""
    return list(zip(*(getattr(events, key).tolist() for key in "txyp"), strict=True))


def evt2_bytes(events: EventPacket) -> bytes:
    words = []
    high = None
    for t, x, y, p in rows(events):
        if t >> 6 != high:
            high = t >> 6
            words.append(8 << 28 | high & 0xFFFFFFF)
        words.append(p << 28 | (t & 0x3F) << 22 | x << 11 | y)
    return struct.pack(f"<{len(words)}I", *words)


def evt3_bytes(events: EventPacket) -> bytes:
    words = []
    high = low = row = None
    for t, x, y, p in rows(events):
        if t >> 12 != high:
            high, low = t >> 12, 0
            words.append(8 << 12 | high & 0xFFF)
        if t & 0xFFF != low:
            low = t & 0xFFF
            words.append(6 << 12 | low)
        if y != row:
            row = y
            words.append(y)
        words.append(2 << 12 | p << 11 | x)
    return struct.pack(f"<{len(words)}H", *words)
