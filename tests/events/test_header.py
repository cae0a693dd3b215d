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
        ("% evt 2.1\n% end\n", "evt21", None),
        ("% format EVT21;endianness=legacy\n% end\n", "evt21", None),
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
