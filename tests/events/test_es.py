"""Event Stream, against known events and byte after byte."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import random_events, rows
from tests.events.test_continuity import slow_continuity
from xsd_edge.errors import FormatError
from xsd_edge.events.decoders.es import EsDecoder
from xsd_edge.events.packet import Counters, Geometry
from xsd_edge.events.source import open_source

VGA = Geometry(640, 480)
HEADER = b"Event Stream\x02\x00\x00\x01\x80\x02\xe0\x01"
Row = tuple[int, int, int, int]


def es_bytes(events: Sequence[Row]) -> bytes:
    data, now = bytearray(), 0
    for t, x, y, p in events:
        step, now = t - now, t
        data += b"\xfe" * (step // 127)
        data += bytes((step % 127 << 1 | p,)) + x.to_bytes(2, "little")
        data += (479 - y).to_bytes(2, "little")
    return bytes(data)


def slow_es(data: bytes) -> list[Row]:
    """The format's state machine, on a 640x480 sensor."""
    found: list[Row] = []
    at = t = 0
    while at < len(data):
        if data[at] >= 0xFE:
            t += 127 * (data[at] == 0xFE)
            at += 1
            continue
        if at + 5 > len(data):
            break
        t += data[at] >> 1
        x, y = (int.from_bytes(data[i : i + 2], "little") for i in (at + 1, at + 3))
        found.append((t, x, 479 - y, data[at] & 1))
        at += 5
    found = [row for row in found if row[1] < 640 and 0 <= row[2] < 480]
    times = [t for part in slow_continuity([row[0] for row in found]) for t in part]
    return [(t, *row[1:]) for t, row in zip(times, found, strict=True)]


def decode(
    data: bytes, portions: Sequence[int] = (), counters: Counters | None = None
) -> list[Row]:
    decoder = EsDecoder(VGA, counters or Counters())
    found: list[Row] = []
    for length in (*portions, len(data)):
        for part in decoder.feed(data[:length]):
            found += rows(part)
        data = data[length:]
    decoder.finish()
    return found


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from([0, 1, 2, 3, 100, 0xFE, 0xFF]), max_size=80).map(bytes),
    st.lists(st.integers(0, 20), max_size=5),
)
def test_equals_byte_after_byte(data: bytes, portions: list[int]) -> None:
    assert decode(data, portions) == slow_es(data)


def test_round_trip_through_silences() -> None:
    events = rows(random_events(400, 0, 300_000))
    assert decode(es_bytes(events)) == events
    assert decode(es_bytes(events), [3] * 100) == events


def test_time_that_comes_alone_counts_for_the_next_event() -> None:
    assert decode(b"\xfe\xff\xfe" + b"\x05\x01\x00\x00\x00", [1, 1]) == [(256, 1, 479, 1)]


def test_what_lies_below_the_bottom_is_dropped() -> None:
    counters = Counters()
    assert decode(b"\x00\x00\x00\xe0\x01" + b"\x01\x00\x00\x00\x00", counters=counters) == [
        (0, 0, 479, 1)
    ]
    assert counters.dropped_geometry == 1


def test_a_cut_event_is_truncation_and_a_mark_is_not() -> None:
    for tail, truncated in ((b"\x05\x01", True), (b"\xfe\xfe", False)):
        counters = Counters()
        assert len(decode(es_bytes([(0, 1, 2, 1)]) + tail, counters=counters)) == 1
        assert counters.truncated == truncated


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "a.es"
    events = rows(random_events(40, 0, 5_000))
    path.write_bytes(HEADER + es_bytes(events))
    source = open_source(str(path))
    assert (source.encoding, source.geometry) == ("es", VGA)
    assert [row for part in source.packets() for row in rows(part)] == events
    path.write_bytes(HEADER[:15] + b"\x02" + HEADER[16:] + es_bytes(events))
    with pytest.raises(FormatError, match="type 2 cannot be read; convert it"):
        open_source(str(path))
