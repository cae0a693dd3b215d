"""DSEC-shaped folders: windows, the rectify map, and every way not to be one."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from xsd_edge.errors import SourceError, TrainingError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.training.dsec import find, from_folder, read_times, rectify

pytestmark = pytest.mark.host

START = 7_000_000  # DSEC's clock does not begin at zero
SIZE = Geometry(32, 24)


def events(t: NDArray[np.int64] | None = None) -> EventPacket:
    if t is None:
        t = START + np.arange(0, 300_000, 500)
    rng = np.random.default_rng(0)
    x = rng.integers(0, SIZE.width, len(t)).astype(np.uint16)
    y = rng.integers(0, SIZE.height, len(t)).astype(np.uint16)
    return EventPacket(t, x, y, (x % 2).astype(np.uint8))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """0.3 s of events, an image every 50 ms from the start on."""
    pytest.importorskip("hdf5plugin", reason='h5py is missing (pip install "xsd-edge[h5]")')
    write(tmp_path, events(), [START + 50_000 * i for i in range(7)])
    return tmp_path


def write(folder: Path, found: EventPacket, times: list[int]) -> None:
    from PIL import Image

    from xsd_edge.events.writers.dsec import DsecWriter

    place = folder / "events" / "left" / "events.h5"
    place.parent.mkdir(parents=True, exist_ok=True)
    writer = DsecWriter(place, SIZE)
    writer.write(found)
    writer.finish(None)
    images = folder / "images" / "left" / "rectified"
    images.mkdir(parents=True, exist_ok=True)
    for number in range(len(times)):
        Image.new("RGB", (40, 30), (number * 20, 0, 0)).save(images / f"{number:06d}.png")
    lines = "".join(f"{time}\n" for time in times)
    (folder / "images" / "timestamps.txt").write_text(lines)


def test_windows_end_at_their_images(folder: Path) -> None:
    found = list(from_folder(folder, 50_000))
    assert [w.t1_us - START for w in found] == [50_000 * i for i in range(1, 6)]
    for number, window in enumerate(found, 1):
        assert len(window.events) == 100
        assert window.events.t[0] >= window.t1_us - 50_000
        assert window.events.t[-1] < window.t1_us
        assert window.image[0, 0, 0] == pytest.approx(number * 20, abs=2)


def test_events_move_through_the_rectify_map(folder: Path) -> None:
    import h5py

    yy, xx = np.mgrid[0 : SIZE.height, 0 : SIZE.width].astype(np.float32)
    with h5py.File(folder / "events" / "left" / "rectify_map.h5", "w") as file:
        file["rectify_map"] = np.stack([xx + 3.4, yy], -1)
    plain = events().between(START, START + 50_000)
    window = next(iter(from_folder(folder, 50_000)))
    kept = plain.x + 3 < SIZE.width
    np.testing.assert_array_equal(window.events.x, plain.x[kept] + 3)
    np.testing.assert_array_equal(window.events.t, plain.t[kept])


def test_rectify_drops_what_leaves_the_sensor() -> None:
    packet = events()
    yy, xx = np.mgrid[0 : SIZE.height, 0 : SIZE.width].astype(np.float32)
    found = rectify(packet, np.stack([xx - 10, yy - 10], -1), SIZE)
    kept = (packet.x >= 10) & (packet.y >= 10)
    np.testing.assert_array_equal(found.x, packet.x[kept] - 10)
    np.testing.assert_array_equal(found.p, packet.p[kept])


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("events", "events/left/events.h5"),
        ("images/left", "images/left/rectified"),
        ("images/timestamps.txt", "images/timestamps.txt"),
    ],
)
def test_a_folder_that_lacks_a_part(folder: Path, gone: str, named: str) -> None:
    path = folder / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(TrainingError, match=f"not DSEC-shaped: it has no {named}"):
        find(folder)


def test_image_times_that_run_backwards(folder: Path) -> None:
    (folder / "images" / "timestamps.txt").write_text("5\n6\n6\n8\n9\n10\n11\n")
    with pytest.raises(TrainingError, match=r"runs backwards at line 3"):
        read_times(find(folder))


@pytest.mark.parametrize("text", ["1\n2\n", "a\nb\n", ""])
def test_times_that_are_none(folder: Path, text: str) -> None:
    (folder / "images" / "timestamps.txt").write_text(text)
    with pytest.raises(TrainingError):
        read_times(find(folder))


def test_event_times_that_run_backwards(folder: Path) -> None:
    import h5py

    with h5py.File(folder / "events" / "left" / "events.h5", "r+") as file:
        t = file["events/t"][:]
        t[300:] -= 100_000
        file["events/t"][:] = t
    with pytest.raises(TrainingError, match="run backwards"):
        list(from_folder(folder, 50_000))


def test_events_and_images_of_different_recordings(folder: Path) -> None:
    lines = "".join(f"{START * 100 + i * 50_000}\n" for i in range(7))
    (folder / "images" / "timestamps.txt").write_text(lines)
    with pytest.raises(TrainingError, match="do not overlap in time; are they of one recording"):
        list(from_folder(folder, 50_000))


def test_events_that_are_no_hdf5(folder: Path) -> None:
    (folder / "events" / "left" / "events.h5").write_bytes(b"nothing of the kind" * 9)
    with pytest.raises(SourceError):
        list(from_folder(folder, 50_000))
