"""Prophesee headers: what they say, what they imply, where they end."""

from __future__ import annotations

import pytest

from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.decoders.header import Header
from xsd_edge.events.packet import Geometry


@pytest.mark.parametrize(
    ("text", "encoding", "size"),
    [
        ("% evt 3.0\n% format EVT3;height=480;width=640\n% end\n", "evt3", Geometry(640, 480)),
        ("% evt 2.0\n% geometry 346x260\n% end\n", "evt2", Geometry(346, 260)),
        ("% evt 2.1\n% endianness little\n% end\n", "evt21", None),
        ("% evt 2.1\n% endianness legacy\n% end\n", "evt21-legacy", None),
        ("% format EVT21;endianness=legacy\n% end\n", "evt21-legacy", None),
        ("% format EVT21;endianness=little\n% end\n", "evt21", None),
        ("% evt 2.0\n% system_ID 21\n% end\n", "evt2", Geometry(640, 480)),
        ("% evt 3.0\n% system_ID 49\n% end\n", "evt3", Geometry(1280, 720)),
        ("% evt 3.0\n% system_ID 64\n% end\n", "evt3", Geometry(320, 320)),
        ("% evt 3.0\n% plugin_name hal_plugin_gen31_fx3\n% end\n", "evt3", Geometry(640, 480)),
        ("% evt 3.0\n% plugin_name hal_plugin_imx636_evk4\n% end\n", "evt3", Geometry(1280, 720)),
        ("% evt 3.0\n% system_ID 7\n% plugin_name other\n% end\n", "evt3", None),
        ("% Data file containing CD events.\n% end\n", None, None),
    ],
)
def test_fields(text: str, encoding: str | None, size: Geometry | None) -> None:
    header = Header.parse(text.encode() + b"\x00\x80")
    assert header.encoding == encoding
    assert header.geometry == size
    assert header.length == len(text)
    assert header.complete


@pytest.mark.parametrize(
    ("text", "mark", "encoding", "size"),
    [
        ("% Data file containing CD events.\n% Version 2\n", b"\x0c\x08", "dat", None),
        ("% Version 2\n% Width 304\n% Height 240\n", b"\x0c\x08", "dat", Geometry(304, 240)),
        ("% Data file containing N9Chronocam7Event2dE events.\n", b"\x00\x08", "dat", None),
        ("% Data file containing triggers.\n% Version 2\n", b"\x0e\x08", None, None),
    ],
)
def test_dat_headers(text: str, mark: bytes, encoding: str | None, size: Geometry | None) -> None:
    data = text.encode() + mark + bytes(8)
    header = Header.parse(data)
    assert (header.encoding, header.geometry, header.complete) == (encoding, size, True)
    assert header.length == len(text) + (2 if encoding else 0)
    assert not any(Header.parse(data[:length]).complete for length in range(len(text) + 2))


def test_an_old_dat_is_refused() -> None:
    with pytest.raises(FormatError, match="convert it to version 2"):
        Header.parse(b"% Data file containing Event2D events.\n% Version 1\n\x00\x08")


@pytest.mark.parametrize("legacy", [False, True])
def test_the_endianness_of_evt21_is_seen_where_it_is_not_said(legacy: bool) -> None:
    words = [0x80 << 56 | 5 << 32, *[1 << 60 | 9 << 43 | 7 << 32 | 1] * 99]
    data = b"".join(word.to_bytes(8, "little") for word in words)
    if legacy:
        data = b"".join(data[at + 4 : at + 8] + data[at : at + 4] for at in range(0, len(data), 8))
    header = Header.parse(b"% evt 2.1\n% end\n" + data)
    assert header.encoding == ("evt21-legacy" if legacy else "evt21")
    assert header.complete
    assert not Header.parse(b"% evt 2.1\n% end\n" + data[:100]).complete


def test_event_stream_headers() -> None:
    data = b"Event Stream\x02\x00\x00\x01\x5a\x01\x04\x01"
    header = Header.parse(data + b"\x02")
    assert (header.encoding, header.geometry) == ("es", Geometry(346, 260))
    assert (header.length, header.complete) == (20, True)
    assert not any(Header.parse(data[:length]).complete for length in range(20))
    with pytest.raises(FormatError, match="type 2 cannot be read"):
        Header.parse(data.replace(b"\x00\x01", b"\x00\x02", 1))


def test_times_may_be_relative() -> None:
    assert Header.parse(b"% evt 3.0\n% t0 5000000000\n% end\n").t0_us == 5_000_000_000
    assert Header.parse(b"% Version 2\n% T0 -7\n\x0c\x08").t0_us == -7
    assert Header.parse(b"% evt 3.0\n% t0 soon\n% end\n").t0_us == 0


def test_without_an_end_line_it_ends_before_the_data() -> None:
    header = Header.parse(b"% evt 3.0\n\x00\x80")
    assert (header.length, header.complete) == (10, True)


def test_data_that_begin_like_a_header_are_data() -> None:
    header = Header.parse(b"% evt 3.0\n%\x80\x00\xff" + bytes(100))
    assert header.length == 10
    assert header.complete
    assert Header.parse(b"%" + b"a" * 5000).length == 0


@pytest.mark.parametrize("data", [b"", b"%", b"% evt 3.0", b"% evt 3.0\n"])
def test_incomplete(data: bytes) -> None:
    assert not Header.parse(data).complete


def test_every_prefix_is_either_incomplete_or_the_same() -> None:
    data = b"% evt 3.0\n% geometry 640x480\n% end\n\x00\x80\x01"
    for length in range(len(data)):
        header = Header.parse(data[:length])
        assert not header.complete or header.fields["geometry"] == "640x480"


def test_impossible_headers_are_refused() -> None:
    with pytest.raises(SourceError, match="impossible"):
        _ = Header.parse(b"% geometry 0x99999\n% end\n").geometry
    with pytest.raises(FormatError, match="long"):
        Header.parse(b"% a line\n" * 10_000)
