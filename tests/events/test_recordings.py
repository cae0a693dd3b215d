"""Real recordings decode to what every correct reader agrees on, bit for bit."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.events.encoders import rows
from tests.events.judging import everything
from xsd_edge.events.checksum import Checksum
from xsd_edge.events.decoders.encodings import DECODERS
from xsd_edge.events.decoders.header import Header
from xsd_edge.events.inspection import inspect_source
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import open_source

DATA = Path(__file__).parents[1] / "data"
MORE = os.environ.get("XSD_EDGE_RECORDINGS")  # a folder with recordings too large for this one
VGA = Geometry(640, 480)


class Golden(NamedTuple):
    name: str
    encoding: str
    size: tuple[int, int]
    events: int
    first_us: int
    last_us: int
    on_events: int
    checksum: str
    triggers: int = 0
    imu: int = 0
    frames: int = 0


def cut(name: str, encoding: str) -> Golden:
    """The same events in another format."""
    checksum = "2d1a3222ea90df7fae6b6f494f0dc0b3f6e8ca10054ee276c17d2999b6744283"
    return Golden(name, encoding, (640, 480), 61_339, 0, 9_999, 37_712, checksum)


BYTES = (
    cut("cut10ms_evt2.raw", "evt2"),
    cut("cut10ms_evt21_little.raw", "evt21"),
    cut("cut10ms_evt21_legacy.raw", "evt21-legacy"),
    cut("cut10ms_evt3.raw", "evt3"),
    cut("cut10ms.dat", "dat"),
    cut("cut10ms.es", "es"),
    Golden(
        "eventcampy_test_events_1.evt3.raw", "evt3", (640, 480),
        343_474, 7_139_845, 9_218_023, 125_183,
        "8b2a8821cd94ba4cba2af413408ef72bde064a42c0a8c6737c7d784c61d7ccfd", triggers=4157,
    ),
    Golden(
        "evl_ncaltech_faces_easy_0001.bin", "bin", (240, 180), 67_445, 6, 299_364, 33_770,
        "317f9df00d2f248f749af51475f8d181af6742531eedbe03de335790030b9ce5",
    ),
)  # fmt: skip
HERE = (
    *BYTES,
    cut("cut10ms.csv", "csv"),
    Golden(
        "eventgpt_sample1.npy", "npy", (640, 480), 132_268, 0, 49_595, 64_714,
        "9de1133a6a96bd32ab592739a2b4c67f58c35e202bb1ce4aa59198ea2909a8fe",
    ),
    Golden(
        "evl_event.txt?size=240x180", "csv", (240, 180), 17, 0, 5_748, 0,
        "a0c9f3080fad420dea7b028dc8e9cfcc5211b0f7a3e5edb33849ed347f81317c",
    ),
    Golden(
        "evl_sample.aedat4", "aedat4", (346, 260),
        6_676, 1_589_163_147_368_868, 1_589_163_147_538_809, 3_563,
        "702a99e10814b7c2de70b1b880dad0300970ba42897be598b218cd5d9649cbf0",
        triggers=17, imu=160, frames=4,
    ),
)  # fmt: skip
ELSEWHERE = (
    Golden(
        "dsec_interlaken_00_d_000069.npy", "npy", (640, 480),
        293_355, 51_835_949_776, 51_835_999_775, 185_469,
        "6a872295e62cc086bf78807997f58c06a564820f50dd6679e7def4ae914c2ef4",
    ),
    Golden(
        "dsec_interlaken_00_d_000079.npy", "npy", (640, 480),
        209_542, 51_836_449_776, 51_836_499_775, 131_457,
        "6b45ba673e1de653f9ab4270f509ea065d55a81892c804e86047b91431906196",
    ),
    Golden(
        "dsec_interlaken_00_d_000099.npy", "npy", (640, 480),
        135_853, 51_837_449_776, 51_837_499_775, 81_519,
        "05d41f93c93550418cc73cae075a80adc5cc1ef5a11a1e42af8f92d5cd49c874",
    ),
    Golden(
        "dsec_like_interlaken_00_d_cut.h5", "h5", (640, 480),
        1_197_468, 51_835_949_776, 51_837_999_775, 734_074,
        "5af3dc03ca0937b90f4db5b5f987fc82eac4eeac25553f7c47859214fc6ddff1",
    ),
)  # fmt: skip


def checksum(events: EventPacket) -> str:
    whole = Checksum()
    whole.add(events)
    return whole.hex


def judge(folder: Path, golden: Golden) -> None:
    if golden.encoding in ("aedat4", "h5"):
        pytest.importorskip({"aedat4": "aedat", "h5": "hdf5plugin"}[golden.encoding])
    assert inspect_source(open_source(str(folder / golden.name))) == {
        "format": golden.encoding,
        "width": golden.size[0],
        "height": golden.size[1],
        "events": golden.events,
        "t_first_us": golden.first_us,
        "t_last_us": golden.last_us,
        "on_events": golden.on_events,
        "frames": golden.frames,
        "triggers": golden.triggers,
        "imu": golden.imu,
        "dropped": 0,
        "repaired": 0,
        "truncated": False,
        "checksum": golden.checksum,
    }


@pytest.mark.parametrize("golden", HERE, ids=lambda golden: golden.name)
def test_opened_by_content(golden: Golden) -> None:
    judge(DATA, golden)


@pytest.mark.skipif(MORE is None, reason="XSD_EDGE_RECORDINGS names no folder")
@pytest.mark.parametrize("golden", ELSEWHERE, ids=lambda golden: golden.name)
def test_larger_ones_elsewhere(golden: Golden) -> None:
    assert MORE is not None
    if not (Path(MORE) / golden.name).exists():
        pytest.skip(f"{golden.name} is not in XSD_EDGE_RECORDINGS")
    judge(Path(MORE), golden)


@pytest.mark.parametrize("portion", [997, 1 << 16, 1 << 20])
@pytest.mark.parametrize("golden", BYTES, ids=lambda golden: golden.name)
def test_portions_do_not_matter(golden: Golden, portion: int) -> None:
    data = (DATA / golden.name).read_bytes()
    header = Header.parse(data)
    counters = Counters()
    decoder = DECODERS[golden.encoding](Geometry(*golden.size), counters)
    packets = []
    for at in range(header.length, len(data), portion):
        packets += decoder.feed(data[at : at + portion])
    decoder.finish()
    events = EventPacket.concatenate(packets)
    assert (len(events), checksum(events)) == (golden.events, golden.checksum)
    assert counters == Counters(events=golden.events, triggers=golden.triggers)


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


@pytest.mark.parametrize("name", ["cut10ms_evt21_little.raw", "cut10ms_evt21_legacy.raw"])
@pytest.mark.parametrize("extra", [1, 3, 201, 207])
def test_evt21_finds_its_halves_again(name: str, extra: int, tmp_path: Path) -> None:
    """Half a word off, EVT2.1 still looks like events; only TIME_HIGH tells."""
    data = (DATA / name).read_bytes()
    start = Header.parse(data).length
    middle = start + (len(data) - start) // 16 * 8
    noise = np.random.default_rng(extra).integers(0, 256, extra, np.uint8).tobytes()
    path = tmp_path / name
    path.write_bytes(data[:middle] + noise + data[middle:])
    source = open_source(str(path))
    found = everything(source)
    expected = everything(open_source(str(DATA / "cut10ms_evt2.raw")))
    assert source.counters.resyncs == 1
    assert [row[1:] for row in rows(found)[-25_000:]] == [
        row[1:] for row in rows(expected)[-25_000:]
    ]
    # Noise may have told another time, even a wrap of it; from the next TIME_HIGH on it is right.
    assert ((found.t[-25_000:] - expected.t[-25_000:]) % (1 << 34) == 0).all()
