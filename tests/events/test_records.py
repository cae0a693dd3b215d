"""DAT and the data sets' .bin, against known events and record by record."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import random_events, rows
from xsd_edge.errors import SourceError
from xsd_edge.events.decoders.atis_bin import AtisBinDecoder
from xsd_edge.events.decoders.dat import DatDecoder
from xsd_edge.events.decoders.encodings import Decoder
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import open_source

VGA = Geometry(640, 480)
Row = tuple[int, int, int, int]


def dat_bytes(events: Sequence[Row]) -> bytes:
    return b"".join(
        struct.pack("<II", t & 0xFFFFFFFF, p << 28 | y << 14 | x) for t, x, y, p in events
    )


def bin_bytes(events: Sequence[Row]) -> bytes:
    return b"".join(
        bytes((x, y)) + (p << 23 | t & 0x7FFFFF).to_bytes(3, "big") for t, x, y, p in events
    )


def fed(decoder: Decoder, data: bytes, portions: Sequence[int] = ()) -> list[Row]:
    found: list[Row] = []
    for length in (*portions, len(data)):
        for part in decoder.feed(data[:length]):
            found += rows(part)
        data = data[length:]
    decoder.finish()
    return found


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 1000), st.lists(st.integers(0, 997), max_size=6))
def test_portions_do_not_matter(seed: int, portions: list[int]) -> None:
    events = rows(random_events(300, 0, 100_000, seed))
    assert fed(DatDecoder(VGA, Counters()), dat_bytes(events), portions) == events
    small = [(t, x % 240, y % 180, p) for t, x, y, p in events]
    atis = Geometry(240, 180)
    assert fed(AtisBinDecoder(atis, Counters()), bin_bytes(small), portions) == small


def test_dat_wraps_after_71_minutes() -> None:
    events = [(t, 1, 2, 1) for t in range(2**32 - 500_000, 2**32 + 500_000, 1000)]
    assert fed(DatDecoder(VGA, Counters()), dat_bytes(events)) == events


def test_bin_wraps_after_8_seconds() -> None:
    events = [(t, 1, 2, 1) for t in range(0, 30_000_000, 100_000)]
    assert fed(AtisBinDecoder(VGA, Counters()), bin_bytes(events)) == events


def test_a_bin_record_at_y_240_only_moves_time() -> None:
    marked = [(5, 1, 2, 0), (0, 0, 240, 0), (0, 0, 240, 1), (7, 3, 4, 1)]
    counters = Counters()
    decoder = AtisBinDecoder(Geometry(304, 240), counters)
    found = fed(decoder, bin_bytes(marked), (7, 6))
    assert found == [(5, 1, 2, 0), (7 + 2 * 8192, 3, 4, 1)]
    assert counters.dropped_geometry == 0


def test_a_cut_record_is_truncation() -> None:
    for decoder, data in (
        (DatDecoder, dat_bytes([(0, 1, 2, 1)] * 3)),
        (AtisBinDecoder, bin_bytes([(0, 1, 2, 1)] * 3)),
    ):
        counters = Counters()
        assert len(fed(decoder(VGA, counters), data[:-1])) == 2
        assert counters.truncated


def test_dat_files_of_either_age(tmp_path: Path) -> None:
    """New ones tell type CD and the size; N-CARS' are of type 2D, and silent about the size."""
    events = rows(random_events(50, 0, 100_000))
    new = b"% Data file containing CD events.\n% Version 2\n% Height 480\n% Width 640\n\x0c\x08"
    old = b"% Data file containing N9Chronocam7Event2dE events.\n% Version 2\n\x00\x08"
    path = tmp_path / "a.dat"
    for header, size in ((new, ""), (old, "?size=640x480")):
        path.write_bytes(header + dat_bytes(events))
        source = open_source(f"{path}{size}")
        assert rows(EventPacket.concatenate(list(source.packets()))) == events
        assert source.encoding == "dat"
    with pytest.raises(SourceError, match=r"add it: .*\?size=640x480"):
        open_source(str(path))


def test_a_bin_is_told_by_its_name_and_its_order(tmp_path: Path) -> None:
    events = [(t, t % 200, t % 100, t % 2) for t in range(1000)]
    path = tmp_path / "a.bin"
    path.write_bytes(bin_bytes(events))
    assert rows(EventPacket.concatenate(list(open_source(str(path)).packets()))) == events
    assert open_source(f"{path}?size=34x34").geometry == Geometry(34, 34)
    backwards = [(t * 12_000, x, y, p) for t, x, y, p in reversed(events[:600])]
    for other in (bin_bytes(events)[:-1], bin_bytes(backwards)):
        path.write_bytes(other)
        with pytest.raises(SourceError, match="no recording that can be read"):
            open_source(str(path))
    path.write_bytes(bin_bytes(events))
    path.rename(tmp_path / "a.raw")
    with pytest.raises(SourceError, match="no recording that can be read"):
        open_source(str(tmp_path / "a.raw"))
