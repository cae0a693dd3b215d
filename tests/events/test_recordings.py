"""The recordings in tests/data decode to what every correct reader agrees on, bit for bit."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.events.encoders import rows
from xsd_edge.events.decoders.header import Header
from xsd_edge.events.decoders.prophesee import DECODERS
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import open_source

DATA = Path(__file__).parents[1] / "data"
VGA = Geometry(640, 480)


class Golden(NamedTuple):
    name: str
    events: int
    first_us: int
    last_us: int
    checksum: int


GOLDEN = (
    Golden("eventcampy_test_events_1.evt3.raw", 343_474, 7_139_845, 9_218_023, 0x571E0A68),
    Golden("cut10ms_evt2.raw", 61_339, 0, 9_999, 0xA832E5B3),
    Golden("cut10ms_evt3.raw", 61_339, 0, 9_999, 0xA832E5B3),
    Golden("eventgpt_sample1.npy", 132_268, 0, 49_595, 0x2B855EEA),
)


def checksum(events: EventPacket) -> int:
    """Depends on every value and on the order."""
    value = 0
    for key in "txyp":
        value = zlib.crc32(getattr(events, key).tobytes(), value)
    return value


def judge(events: EventPacket, golden: Golden) -> None:
    assert len(events) == golden.events
    assert (events.t[0], events.t[-1]) == (golden.first_us, golden.last_us)
    assert checksum(events) == golden.checksum


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda golden: golden.name)
def test_opened_by_content(golden: Golden) -> None:
    source = open_source(str(DATA / golden.name))
    assert source.geometry == VGA
    assert not source.live
    judge(EventPacket.concatenate(list(source.packets())), golden)
    assert source.counters == Counters(events=golden.events)


@pytest.mark.parametrize("portion", [997, 1 << 16, 1 << 20])
@pytest.mark.parametrize("golden", GOLDEN[:3], ids=lambda golden: golden.name)
def test_portions_do_not_matter(golden: Golden, portion: int) -> None:
    data = (DATA / golden.name).read_bytes()
    header = Header.parse(data)
    counters = Counters()
    decoder = DECODERS[str(header.encoding)](VGA, counters)
    packets = []
    for at in range(header.length, len(data), portion):
        packets += decoder.feed(data[at : at + portion])
    decoder.finish()
    judge(EventPacket.concatenate(packets), golden)
    assert counters == Counters(events=golden.events)


def test_evt3_before_its_first_time_high_is_not_used() -> None:
    """Its first word is TIME_HIGH 0; without it nothing counts until the next, at 4096 us."""
    name = "cut10ms_evt3.raw"
    data = (DATA / name).read_bytes()
    start = Header.parse(data).length
    whole = rows(EventPacket.concatenate(DECODERS["evt3"](VGA, Counters()).feed(data[start:])))
    late = rows(EventPacket.concatenate(DECODERS["evt3"](VGA, Counters()).feed(data[start + 2 :])))
    assert late[0][0] >= 4096
    # Until its first ADDR_Y the later start has y 0.
    settled = next(i for i, row in enumerate(late) if row[2])
    assert late[settled:] == whole[len(whole) - len(late) + settled :]


@pytest.mark.parametrize("name", ["cut10ms_evt2.raw", "cut10ms_evt3.raw"])
@pytest.mark.parametrize("insert", [False, True])
def test_200_random_bytes_cost_little(name: str, insert: bool, tmp_path: Path) -> None:
    data = (DATA / name).read_bytes()
    middle = len(data) // 2 // 4 * 4
    noise = np.random.default_rng(3).integers(0, 256, 201 if insert else 200, np.uint8).tobytes()
    path = tmp_path / name
    path.write_bytes(data[:middle] + noise + data[middle + (0 if insert else 200) :])
    source = open_source(str(path))
    last = list(source.packets())[-1]
    assert source.counters.events > 60_000
    # The clock is off until the next TIME_HIGH at most.
    expected = rows(next(open_source(str(DATA / "cut10ms_evt2.raw")).packets()))
    offset = (int(last.t[-1]) - expected[-1][0]) // 4096
    assert [row[1:] for row in rows(last)][-10_000:] == [row[1:] for row in expected][-10_000:]
    assert (last.t[-10_000:] - [row[0] for row in expected[-10_000:]] == offset * 4096).all()
