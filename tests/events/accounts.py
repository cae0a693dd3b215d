"""What a damaged file must be counted to hold, told from its bytes without decoding them.

Of every format whose records are told by their bytes alone: which are events, wherever these lie,
and which are edges of a trigger. Holds as long as no boundary was lost (`resyncs` is 0).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.events.decoders.header import Header
from xsd_edge.events.packet import Counters

TIME_HIGH, TRIGGER = 8, 10
WORDS: Final = {"evt2": "<u4", "evt21": "<u8", "evt21-legacy": "<u8", "evt3": "<u2"}
DAT_BYTES, BIN_BYTES, BIN_TIME_MARK = 8, 5, 240


class Account(NamedTuple):
    """Events inside the sensor and outside of it, edges, and whether the last record is cut."""

    events: int
    triggers: int
    truncated: bool


def account(name: str, data: bytes) -> Account | None:
    """Of a file called `name`; None where its bytes alone do not tell."""
    if name.endswith(".bin"):
        y = np.frombuffer(data, np.uint8)[1::BIN_BYTES][: len(data) // BIN_BYTES]
        return Account(int((y != BIN_TIME_MARK).sum()), 0, len(data) % BIN_BYTES != 0)
    header = Header.parse(data)
    body = data[header.length :]
    if header.encoding == "dat":
        return Account(len(body) // DAT_BYTES, 0, len(body) % DAT_BYTES != 0)
    if header.encoding not in WORDS:
        return None
    dtype = np.dtype(WORDS[header.encoding])
    words = np.frombuffer(body, dtype, len(body) // dtype.itemsize).astype(np.uint64)
    kinds = words >> np.uint64(28 if "legacy" in header.encoding else dtype.itemsize * 8 - 4)
    kinds &= np.uint64(0xF)
    timed = np.maximum.accumulate(kinds == TIME_HIGH) if len(kinds) else kinds == TIME_HIGH
    events = _events(header.encoding, words, kinds)[timed].sum()
    triggers = (timed & (kinds == TRIGGER)).sum()
    return Account(int(events), int(triggers), len(body) % dtype.itemsize != 0)


def _events(encoding: str, words: NDArray[Any], kinds: NDArray[Any]) -> NDArray[np.int64]:
    """How many events each word is, [n]."""
    if encoding == "evt3":
        bits = np.select([kinds == 4, kinds == 5], [words & 0xFFF, words & 0xFF], 0)
        single: NDArray[np.int64] = (kinds == 2).astype(np.int64)
        return _ones(bits) + single
    event: NDArray[np.int64] = (kinds <= 1).astype(np.int64)
    if encoding == "evt2":
        return event
    mask: NDArray[np.uint64] = (
        words >> np.uint64(32) if "legacy" in encoding else words & np.uint64(0xFFFFFFFF)
    )
    return _ones(mask) * event


def _ones(masks: NDArray[Any]) -> NDArray[np.int64]:
    bits = np.unpackbits(masks.astype("<u4").view(np.uint8)).reshape(len(masks), 32)
    found: NDArray[np.int64] = bits.sum(1, dtype=np.int64)
    return found


def check_account(name: str, data: bytes, counters: Counters) -> None:
    """Nothing that the bytes hold was left uncounted, or counted twice."""
    expected = account(name, data)
    if expected is None or counters.resyncs:
        return
    seen = counters.events + counters.dropped_geometry
    assert Account(seen, counters.triggers, counters.truncated) == expected
