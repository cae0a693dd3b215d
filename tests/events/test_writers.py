"""What is converted comes back: every event, the sensor's size, absolute time; or it is refused."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Generator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.events.encoders import packet, random_events, rows
from tests.events.judging import everything
from xsd_edge.errors import SourceError
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.recording import Recording
from xsd_edge.events.source import FrameTrack, open_source
from xsd_edge.events.writers.convert import WRITERS, convert, output_format

DATA = Path(__file__).parents[1] / "data"
VGA = Geometry(640, 480)
BYTE_FORMATS = ("evt2", "evt3", "dat")


def recording(
    *packets: EventPacket, size: Geometry = VGA, frames: FrameTrack | None = None
) -> Recording:
    events = sum(map(len, packets))
    return Recording("memory", "test", size, Counters(events), (part for part in packets), frames)


def needs(kind: str) -> None:
    if kind == "h5":
        pytest.importorskip("hdf5plugin", reason='missing (pip install "xsd-edge[h5]")')


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("start", [0, 7_139_845, 1_589_163_147_368_868, -5_000_000])
def test_round_trip(tmp_path: Path, kind: str, start: int) -> None:
    needs(kind)
    events = random_events(4000, start, start + 300_000)
    parts = [events.slice(0, 1), events.slice(1, 1500), events.slice(1500, 4000)]
    out = tmp_path / f"a.{kind}"
    assert convert(recording(*parts), out, kind, force=False) == 4000
    source = open_source(str(out))
    assert (source.encoding, source.geometry) == (kind, VGA)
    assert rows(everything(source)) == rows(events)
    assert source.counters == Counters(events=4000)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(BYTE_FORMATS),
    st.lists(
        st.sampled_from([0, 1, 63, 64, 4095, 4096, 5000, 10**6, 9 * 10**6, 10**8]), min_size=1
    ),
    st.integers(0, 2**34),
)
def test_silences_of_any_length(
    tmp_path_factory: pytest.TempPathFactory, kind: str, steps: list[int], start: int
) -> None:
    """A wrap within a silence has to be said: after 16.8 s EVT3's time begins anew."""
    t = start + np.cumsum(steps)
    ones = np.ones(len(t), np.uint16)
    out = tmp_path_factory.getbasetemp() / f"silences.{kind}"
    convert(recording(EventPacket(t, ones, ones, ones.astype(np.uint8))), out, kind, force=True)
    found = [row for part in open_source(str(out)).packets() for row in rows(part)]
    assert [row[0] for row in found] == t.tolist()


@pytest.mark.parametrize("kind", BYTE_FORMATS)
def test_time_that_runs_back_a_little_is_said(tmp_path: Path, kind: str) -> None:
    first, second = packet([5_000_000], [1], [2], [1]), packet([4_000_000], [3], [4], [0])
    again = EventPacket(second.t, second.x, second.y, second.p, discontinuity=True)
    convert(recording(first, again), tmp_path / f"a.{kind}", kind, force=False)
    parts = list(open_source(str(tmp_path / f"a.{kind}")).packets())
    assert [row for part in parts for row in rows(part)] == [*rows(first), *rows(second)]
    assert [part.discontinuity for part in parts] == [False, True]


@pytest.mark.parametrize(
    ("kind", "times", "message"),
    [
        ("evt3", [20_000_000, 10_000_000], "runs back by more than EVT3 can say"),
        ("evt3", [17_000_000, 16_000_000], "runs back by more than EVT3 can say"),
        ("evt2", [2**34 + 5, 2**34 - 5_000_000], "runs back by more than EVT2 can say"),
        ("dat", [0, 2**31 + 5], "longer than DAT can say"),
        ("dat", [2**32 + 5, 2**32 - 2_000_000], "longer than DAT can say"),
        ("h5", [2_000_000, 10], "no place for time that runs back"),
        ("h5", [0, 2**32], "no place for time that runs back or 71 minutes on"),
    ],
)
def test_what_a_format_cannot_say_is_refused(
    tmp_path: Path, kind: str, times: list[int], message: str
) -> None:
    needs(kind)
    parts = [packet([t], [1], [2], [1]) for t in (*([0] if times[0] > 2**32 else []), *times)]
    with pytest.raises(SourceError, match=message):
        convert(recording(*parts), tmp_path / "a.out", kind, force=False)
    assert not list(tmp_path.iterdir())


def test_evt_has_no_place_for_large_sensors(tmp_path: Path) -> None:
    events = packet([1], [3000], [2], [1])
    with pytest.raises(SourceError, match="EVT3 has no place for 4096x2048; convert to npz"):
        convert(recording(events, size=Geometry(4096, 2048)), tmp_path / "a", "evt3", force=False)
    convert(recording(events, size=Geometry(4096, 2048)), tmp_path / "a", "dat", force=False)
    assert rows(everything(open_source(str(tmp_path / "a")))) == rows(events)


def test_npz_keeps_frames(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (3, 5, 7, 3), np.uint8)
    track = FrameTrack(np.array([10, 20, 30]), images)
    for name in ("a.npz", "b.npz"):
        convert(
            recording(random_events(50, 0, 30), frames=track), tmp_path / name, "npz", force=False
        )
    found = open_source(str(tmp_path / "a.npz")).frames
    assert isinstance(found, FrameTrack)
    assert found.t_us.tolist() == [10, 20, 30]
    assert all(np.array_equal(found.images[index], images[index]) for index in range(3))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_dsecs_index(tmp_path: Path) -> None:
    """t[ms_to_idx[ms]] >= ms * 1000 and t[ms_to_idx[ms] - 1] < ms * 1000."""
    needs("h5")
    import h5py

    events = random_events(900, 12_345, 60_000)
    parts = [events.slice(at, at + 100) for at in range(0, 900, 100)]
    convert(recording(*parts), tmp_path / "a.h5", "h5", force=False)
    with h5py.File(tmp_path / "a.h5") as file:
        t, index = file["events/t"][:], file["ms_to_idx"][:]
        assert int(file["t_offset"][()]) == int(events.t[0])
        assert {file[f"events/{key}"].dtype.str for key in "txyp"} == {"<u4", "<u2", "|u1"}
    assert len(index) == t[-1] // 1000 + 1
    assert index.tolist() == np.searchsorted(t, np.arange(len(index)) * 1000).tolist()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    out = tmp_path / "a.raw"
    out.write_bytes(b"mine")
    with pytest.raises(SourceError, match="exists; give another name, or --force"):
        convert(recording(random_events(9, 0, 9)), out, "evt3", force=False)

    def breaks_off() -> Generator[EventPacket]:
        yield random_events(9, 0, 9)
        raise SourceError("gone")

    source = Recording("memory", "test", VGA, Counters(9), breaks_off())
    with pytest.raises(SourceError, match="gone"):
        convert(source, out, "evt3", force=True)
    assert out.read_bytes() == b"mine"
    assert list(tmp_path.iterdir()) == [out]
    convert(recording(random_events(9, 0, 9)), out, "evt3", force=True)
    assert len(everything(open_source(str(out)))) == 9


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"cannot write .*; give a place"):
        convert(recording(random_events(9, 0, 9)), tmp_path / "no" / "a.raw", "evt3", force=False)


def test_a_recording_into_itself(tmp_path: Path) -> None:
    out = tmp_path / "a.raw"
    out.write_bytes((DATA / "cut10ms_evt3.raw").read_bytes())
    before = rows(everything(open_source(str(out))))
    convert(open_source(str(out)), out, "evt2", force=True)
    assert rows(everything(open_source(str(out)))) == before


@pytest.mark.parametrize(
    ("name", "said", "kind"),
    [
        ("a.raw", None, "evt3"),
        ("a_evt2.raw", None, "evt2"),
        ("a.evt2", None, "evt2"),
        ("a.DAT", None, "dat"),
        ("a.hdf5", None, "h5"),
        ("a.npz", None, "npz"),
        ("a.raw", "evt2", "evt2"),
        ("a", "npz", "npz"),
    ],
)
def test_the_name_tells_the_format(name: str, said: str | None, kind: str) -> None:
    assert output_format(Path(name), said) == kind


@pytest.mark.parametrize(
    ("name", "said", "message"),
    [("a.csv", None, "a.csv names no format"), ("a.raw", "es", "unknown format 'es'")],
)
def test_other_formats_are_not_written(name: str, said: str | None, message: str) -> None:
    with pytest.raises(SourceError, match=f"{message}.*one of: evt2, evt3, dat, npz, h5"):
        output_format(Path(name), said)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["evt3", "npz"])
def test_memory_does_not_grow_with_the_recording(tmp_path: Path, kind: str) -> None:
    """Six million events, 78 MB as arrays, there and back."""
    part = random_events(100_000, 0, 100_000)

    def parts() -> Generator[EventPacket]:
        for number in range(60):
            yield EventPacket(part.t + number * 100_000, part.x, part.y, part.p)

    tracemalloc.start()
    try:
        source = Recording("memory", "test", VGA, Counters(6_000_000), parts())
        assert convert(source, tmp_path / "a", kind, force=False) == 6_000_000
        assert sum(map(len, open_source(str(tmp_path / "a")).packets())) == 6_000_000
        assert tracemalloc.get_traced_memory()[1] < 40 << 20
    finally:
        tracemalloc.stop()
    os.unlink(tmp_path / "a")
