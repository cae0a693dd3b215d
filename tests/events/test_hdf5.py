"""HDF5 in three layouts, and what the child process that reads it makes of damage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.events.encoders import random_events, rows
from tests.events.judging import everything, judged_refusal
from xsd_edge.errors import FormatError
from xsd_edge.events.packet import Geometry
from xsd_edge.events.source import FrameTrack, open_source

if TYPE_CHECKING:
    import h5py
else:
    h5py = pytest.importorskip("h5py", reason='h5py is missing (pip install "xsd-edge[h5]")')
    pytest.importorskip("hdf5plugin")

EVENTS = random_events(3000, 7_000_000, 7_100_000)
KEYS = ("t", "x", "y", "p")


def write_group(file: h5py.File, name: str, offset: int = 0) -> None:
    for key in KEYS:
        column = getattr(EVENTS, key)
        file[f"{name}/{key}"] = column - offset if key == "t" else column


def test_dsec(tmp_path: Path) -> None:
    path = tmp_path / "events.h5"
    with h5py.File(path, "w") as file:
        write_group(file, "events", 7_000_000)
        file["t_offset"] = np.int64(7_000_000)
    source = open_source(str(path))
    assert (source.encoding, source.geometry) == ("h5", Geometry(640, 480))
    assert rows(everything(source)) == rows(EVENTS)
    assert source.frames is None


def test_m3ed_with_frames(tmp_path: Path) -> None:
    path = tmp_path / "car_data.h5"
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    with h5py.File(path, "w") as file:
        write_group(file, "prophesee/left")
        file["prophesee/left/calib/resolution"] = [1280, 720]
        file["ovc/rgb/data"], file["ovc/ts"] = images, 7_000_000 + 40_000 * np.arange(1, 6)
    source = open_source(str(path))
    assert source.geometry == Geometry(1280, 720)
    assert rows(everything(source)) == rows(EVENTS)
    assert isinstance(source.frames, FrameTrack)
    assert source.frames.t_us.tolist() == [7_040_000, 7_080_000, 7_120_000, 7_160_000, 7_200_000]
    for index in (0, 1, 1, 4, 2):  # forwards, again, and back
        assert np.array_equal(source.frames.images[index], images[index])
    assert np.array_equal(source.frames.newest(7_090_000), images[1])


def test_prophesee_compound(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    records = np.empty(len(EVENTS), [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
    for key in KEYS:
        records[key] = getattr(EVENTS, key)
    with h5py.File(path, "w") as file:
        file["CD/events"] = records
        file.attrs["geometry"] = "640x480"
    source = open_source(str(path))
    assert source.geometry == Geometry(640, 480)
    assert rows(everything(source)) == rows(EVENTS)


def test_prophesees_codec_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf5"
    with h5py.File(path, "w") as file:
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((100,))
        properties.set_filter(36559, h5py.h5z.FLAG_OPTIONAL, ())  # the codec may be absent here
        record = np.dtype([("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")])
        space = h5py.h5s.create_simple((100,))
        kind = h5py.h5t.py_create(record)
        file.create_group("CD")
        h5py.h5d.create(file.id, b"CD/events", kind, space, properties)
        file.attrs["geometry"] = "640x480"
    with pytest.raises(FormatError, match="ECF codec; set HDF5_PLUGIN_PATH"):
        list(open_source(str(path)).packets())


def test_an_unknown_layout_is_described(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["davis/left"] = np.arange(4)
    with pytest.raises(FormatError, match=r"none of /events, .* but davis, davis/left; convert"):
        open_source(str(path))
    with h5py.File(path, "w") as file:
        file["a\n\x1b[2Jb"] = np.arange(4)  # what a terminal would obey
    with pytest.raises(FormatError, match=r"but a \\x1b\[2Jb; convert") as caught:
        open_source(str(path))
    judged_refusal(caught.value)


@pytest.mark.parametrize("claim", ["length", "chunk"])
def test_sizes_that_the_file_cannot_hold_are_refused(tmp_path: Path, claim: str) -> None:
    path = tmp_path / "a.h5"
    shape, chunk = ((1 << 40,), 1 << 10) if claim == "length" else ((1 << 31,), 1 << 31)
    with h5py.File(path, "w") as file:
        for key, kind in zip(KEYS, ("u8", "u2", "u2", "u1"), strict=True):
            file.create_dataset(f"events/{key}", shape, kind, chunks=(chunk,))
    with pytest.raises(FormatError, match=r"claims \d+ bytes"):
        list(open_source(str(path)).packets())


@pytest.mark.parametrize("length", [8, 100, 5000])
def test_cut_off_it_is_lost(tmp_path: Path, length: int) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write_group(file, "events")
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(FormatError, match="a file whose recorder was killed is lost") as caught:
        open_source(str(path))
    assert "\n" not in str(caught.value)


def test_altered_it_is_refused_or_keeps_the_rules(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write_group(file, "events")
    data = path.read_bytes()
    rng = np.random.default_rng(5)
    for number in range(8):
        at = int(rng.integers(0, 3000 if number % 2 else len(data) - 20))
        path.write_bytes(data[:at] + rng.bytes(20) + data[at + 20 :])
        try:
            assert len(everything(open_source(str(path)))) <= len(EVENTS)
        except FormatError as error:
            judged_refusal(error)
