"""Videos as event cameras, and folders of DSEC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.events.encoders import rows
from xsd_edge.errors import CameraAbsentError, SourceError
from xsd_edge.events.live.simulated import SimulatedWebcam
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.simulator import PRESETS, luma_of, simulate
from xsd_edge.events.source import EventSource, open_source
from xsd_edge.video.decode import Timed, video

av = pytest.importorskip("av", reason="PyAV is not installed")


def write_video(path: Path, frames: list[np.ndarray], rate: int) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def moving_bar(count: int) -> list[np.ndarray]:
    frames = []
    for number in range(count):
        frame = np.full((48, 64, 3), 40, np.uint8)
        frame[:, 4 * number : 4 * number + 8] = 220
        frames.append(frame)
    return frames


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "bar.mp4"
    write_video(path, moving_bar(12), 20)
    return path


def events_of(source: EventSource) -> EventPacket:
    return EventPacket.concatenate([p for p in source.packets() if len(p)])


def test_a_simulated_video_is_the_simulators_events(clip: Path) -> None:
    source = open_source(f"sim:{clip}?pixels=clean")
    assert (source.geometry, source.live) == (Geometry(64, 48), False)
    frames = list(video(clip))
    wanted = simulate(
        np.stack([luma_of(f.image) for f in frames]),
        np.array([f.t_us for f in frames]),
        PRESETS["clean"],
        0,
    )
    found = events_of(source)
    assert rows(found) == rows(wanted)
    assert source.counters.events == len(found) > 1000


def test_its_frames_are_the_videos_on_the_same_clock(clip: Path) -> None:
    source = open_source(f"sim:{clip}")
    assert source.frames is not None
    frames = list(video(clip))
    for t, number in ((0, 0), (149_999, 2), (150_000, 3), (10**9, 11)):
        np.testing.assert_array_equal(source.frames.newest(t), frames[number].image)


def test_rate_and_size_may_be_said(clip: Path) -> None:
    source = open_source(f"sim:{clip}?fps=10&size=32x24")
    assert source.geometry == Geometry(32, 24)
    events = events_of(source)
    assert 1_000_000 <= events.t[-1] <= 1_100_000  # 12 frames at ten a second
    assert source.frames is not None
    assert source.frames.newest(0).shape == (24, 32, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("?fps=0", "fps must be"),
        ("?fps=x", "fps must be"),
        ("?pixels=good", "known: clean, default"),
        ("?format=evt3", "unknown option 'format'.*known: fps, size, pixels"),
    ],
)
def test_options_that_make_no_sense(clip: Path, options: str, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        open_source(f"sim:{clip}{options}")


def test_what_is_no_video(tmp_path: Path) -> None:
    (tmp_path / "no.mp4").write_bytes(b"nothing of the kind" * 50)
    with pytest.raises(SourceError, match=r"cannot read video .*no\.mp4"):
        open_source(f"sim:{tmp_path / 'no.mp4'}")


def test_a_webcam_is_live_and_its_loss_is_seen() -> None:
    def frames() -> object:
        for number, frame in enumerate(moving_bar(5)):
            yield Timed(50_000 * number, frame)
        raise CameraAbsentError("gone; plug it in again")

    camera = SimulatedWebcam(frames(), "/dev/video0", PRESETS["clean"])  # type: ignore[arg-type]  # a generator
    assert camera.live
    assert camera.geometry == Geometry(64, 48)
    found: list[EventPacket] = []
    with pytest.raises(CameraAbsentError):
        found.extend(camera.packets())
    assert sum(map(len, found)) > 300
    np.testing.assert_array_equal(camera.frames.newest(100_000), moving_bar(3)[2])  # type: ignore[union-attr]  # it has some


def test_a_dsec_folder_has_events_and_images(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed")
    pytest.importorskip("hdf5plugin", reason="hdf5plugin is not installed")
    (tmp_path / "events" / "left").mkdir(parents=True)
    images = tmp_path / "images" / "left" / "rectified"
    images.mkdir(parents=True)
    t = np.arange(0, 100_000, 100)
    with h5py.File(tmp_path / "events" / "left" / "events.h5", "w") as file:
        file["events/t"] = t.astype("u4")
        file["events/x"], file["events/y"] = (t % 640).astype("u2"), (t % 480).astype("u2")
        file["events/p"] = (t % 200 == 0).astype("u1")
        file["ms_to_idx"] = np.searchsorted(t, np.arange(0, 101_000, 1000)).astype("u8")
        file["t_offset"] = np.int64(5_000_000)
    for number in range(2):
        level = np.full((8, 8, 3), 100 * number, np.uint8)
        with av.open(str(images / f"{number:06d}.png"), "w", format="image2") as container:
            stream = container.add_stream("png")
            stream.width = stream.height = 8
            stream.pix_fmt = "rgb24"
            container.mux(stream.encode(av.VideoFrame.from_ndarray(level, format="rgb24")))
    (tmp_path / "images" / "timestamps.txt").write_text("5000000\n5050000\n")
    source = open_source(str(tmp_path))
    events = events_of(source)
    assert (len(events), int(events.t[0])) == (1000, 5_000_000)
    assert source.frames is not None
    assert [int(source.frames.newest(5_000_000 + t)[0, 0, 0]) for t in (0, 49_999, 50_000)] == [
        0, 0, 100,
    ]  # fmt: skip
