"""Packets are cut by index and by time, and sensor sizes are read strictly."""

from __future__ import annotations

import numpy as np
import pytest

from xsd_edge.errors import SourceError
from xsd_edge.events.packet import EventPacket, Geometry


def packet(times: list[int], *, discontinuity: bool = False) -> EventPacket:
    count = len(times)
    return EventPacket(
        np.array(times, np.int64),
        np.arange(count, dtype=np.uint16),
        np.arange(count, dtype=np.uint16),
        np.arange(count, dtype=np.uint8) % 2,
        discontinuity,
    )


def test_between_is_half_open() -> None:
    cut = packet([1, 5, 5, 9, 10]).between(5, 10)
    assert cut.t.tolist() == [5, 5, 9]
    assert cut.x.tolist() == [1, 2, 3]


def test_only_the_first_slice_keeps_the_border() -> None:
    whole = packet([1, 2, 3], discontinuity=True)
    assert whole.slice(0, 2).discontinuity
    assert not whole.slice(1, 3).discontinuity


def test_concatenate() -> None:
    joined = EventPacket.concatenate([packet([1, 2], discontinuity=True), packet([3])])
    assert joined.t.tolist() == [1, 2, 3]
    assert joined.discontinuity
    assert [joined.t.dtype.str, joined.x.dtype.str, joined.p.dtype.str] == ["<i8", "<u2", "|u1"]
    assert len(EventPacket.concatenate([])) == 0


def test_geometry_text() -> None:
    assert Geometry.parse("640x480") == Geometry(640, 480)
    assert str(Geometry(346, 260)) == "346x260"


@pytest.mark.parametrize(
    "text", ["", "640", "640x", "x480", "0x480", "-1x4", "640x480x3", "99999x1"]
)
def test_bad_geometry_says_what_to_give(text: str) -> None:
    with pytest.raises(SourceError, match="640x480"):
        Geometry.parse(text)
