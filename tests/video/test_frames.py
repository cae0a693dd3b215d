"""Each frame source gives the newest frame at a slice's end, on the events' clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from xsd_edge.errors import SourceError
from xsd_edge.events.cutter import Slice
from xsd_edge.events.listening import Heard
from xsd_edge.events.live.frames import MEMORY, LiveFrames
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import FrameTrack
from xsd_edge.video.decode import Timed
from xsd_edge.video.frames import (
    FolderFrames,
    RenderedFrames,
    TrackFrames,
    VideoFrames,
    WebcamFrames,
    open_frames,
)


def slice_at(t0_us: int, t1_us: int, events: EventPacket | None = None) -> Slice:
    return Slice(
        clip=0,
        index=0,
        t0_us=t0_us,
        t1_us=t1_us,
        events=events or EventPacket.empty(),
        last=False,
        events_dropped=0,
        discontinuity=False,
        ready_s=0.0,
    )


def test_track_gives_the_frame_that_closes_the_slice() -> None:
    images = np.arange(4, dtype=np.uint8).repeat(12).reshape(4, 2, 2, 3)
    track = TrackFrames(FrameTrack(np.array([100, 200, 300, 400]), images))
    shown = [int(track.at(slice_at(0, t1))[0, 0, 0]) for t1 in (50, 100, 299, 300, 999)]
    assert shown == [0, 0, 1, 2, 3]


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Ten frames at 10 per second, frame i grey level 20 i."""
    path = tmp_path / "grey.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, 10)
        for i in range(10):
            image = np.full((32, 32, 3), 20 * i, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_video_starts_with_the_events_and_its_last_frame_stays(video: Path) -> None:
    frames = VideoFrames(video)
    origin = 7_000_000_000
    levels = []
    for end in (100_000, 150_000, 450_000, 2_000_000):
        image = frames.at(slice_at(origin, origin + end))
        assert image.shape == (32, 32, 3)
        levels.append(round(float(image.mean()) / 20))
    assert levels == [1, 1, 4, 9]


@pytest.mark.parametrize("content", [b"", b"not a video at all" * 100])
def test_what_is_no_video_is_one_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"clip\.mp4"):
        VideoFrames(path)


def test_missing_video_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read video"):
        VideoFrames(tmp_path / "none.mp4")


def test_rendered_frames_show_the_slices_events() -> None:
    events = EventPacket(
        np.array([5, 6]),
        np.array([1, 2], np.uint16),
        np.array([0, 1], np.uint16),
        np.array([1, 0], np.uint8),
    )
    image = RenderedFrames(Geometry(4, 2)).at(slice_at(0, 10, events))
    assert image.shape == (2, 4, 3)
    assert image[0, 1].tolist() == [255, 0, 0]
    assert image[1, 2].tolist() == [0, 0, 255]
    assert (image.reshape(-1, 3) == 255).all(1).sum() == 6


def write_image(path: Path, level: int) -> None:
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("png")
        stream.width, stream.height, stream.pix_fmt = 8, 6, "rgb24"
        picture = np.full((6, 8, 3), level, np.uint8)
        for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
            container.mux(packet)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four images, grey levels 0, 50, 100, 150."""
    images = tmp_path / "images" / "left" / "rectified"
    images.mkdir(parents=True)
    for number in range(4):
        write_image(images / f"{number:06d}.png", 50 * number)
    return images


def levels(source: FolderFrames | WebcamFrames, *slices: Slice) -> list[int]:
    return [int(source.at(part)[0, 0, 0]) for part in slices]


@pytest.mark.parametrize("above", [0, 1, 2])
def test_a_folder_whose_times_are_the_events(folder: Path, above: int) -> None:
    place = [folder, *folder.parents][above]
    (place / "timestamps.txt").write_text("1000000\n1050000\n1100000\n1150000\n")
    frames = open_frames(str(folder))
    assert isinstance(frames, FolderFrames)
    assert frames.at(slice_at(1_000_000, 1_020_000)).shape == (6, 8, 3)
    at = [slice_at(1_000_000, t1) for t1 in (1_049_999, 1_050_000, 1_120_000, 9_000_000)]
    assert levels(frames, *at) == [0, 50, 100, 150]


def test_a_folder_on_another_clock_starts_with_the_events(folder: Path) -> None:
    (folder / "timestamps.txt").write_text("".join(f"{10**15 + n * 50_000}\n" for n in range(4)))
    frames = open_frames(str(folder))
    assert isinstance(frames, FolderFrames)
    assert levels(frames, slice_at(7, 49_000), slice_at(49_000, 100_007)) == [0, 100]


def test_a_folder_at_a_rate(folder: Path) -> None:
    frames = open_frames(f"{folder}?fps=10")
    assert isinstance(frames, FolderFrames)
    assert levels(frames, slice_at(7, 100_006), slice_at(7, 100_007)) == [0, 50]


def test_folders_that_make_no_sense(folder: Path, tmp_path: Path) -> None:
    for spec, message in (
        (f"{tmp_path}", "has no images"),
        (f"{folder}", r"no timestamps\.txt; say how many a second: .*\?fps=20"),
        (f"{folder}?fps=0", "the only option of --video"),
        (f"{folder}?rate=5", "the only option of --video"),
    ):
        with pytest.raises(SourceError, match=message):
            open_frames(spec)
    (folder / "timestamps.txt").write_text("1\n2\n")
    with pytest.raises(SourceError, match="2 times for 4 images"):
        open_frames(str(folder))
    (folder / "timestamps.txt").write_text("1\n2.5\n3\n4\n")
    with pytest.raises(SourceError, match="not one time in microseconds a line"):
        open_frames(str(folder))


def test_a_webcam_gives_the_frame_of_when_the_slice_was_complete() -> None:
    pictures = [Timed(1_000_000 * n, np.full((4, 4, 3), 10 * n, np.uint8)) for n in range(1, 4)]

    def frames() -> Iterator[Timed]:
        yield from pictures
        raise SourceError("/dev/video0 gives no more frames; plug the camera in again")

    webcam = WebcamFrames(frames(), "/dev/video0", compared=True)
    deadline = time.monotonic() + 30
    while webcam._error is None and time.monotonic() < deadline:
        time.sleep(0.01)
    kept, webcam._error = webcam._error, None
    at = [replace(slice_at(0, 1), ready_s=s) for s in (0.5, 1.0, 2.9, 99.0)]
    assert levels(webcam, *at) == [10, 10, 20, 30]
    webcam.offset_us = 1_000_000
    assert levels(webcam, *at) == [10, 10, 10, 30]
    heard = Heard(EventPacket.empty(), began_us=0, behind_us=400_000)
    assert [frame.t_us for frame in webcam.around(heard)] == [600_000, 1_600_000, 2_600_000]
    webcam._error = kept
    with pytest.raises(SourceError, match="plug the camera in again"):
        webcam.at(at[0])


def test_frames_about_what_was_heard_are_on_the_events_clock(video: Path, folder: Path) -> None:
    began = 7_000_000_000
    t = np.array([began, began + 100_000])
    none = np.zeros(2, np.uint16)
    heard = Heard(EventPacket(t, none, none, none.astype(np.uint8)), began, 0)
    shown = list(VideoFrames(video).around(heard))
    assert [frame.t_us - began for frame in shown] == [100_000 * n for n in range(10)]
    images = open_frames(f"{folder}?fps=10")
    assert [frame.t_us - began for frame in images.around(heard)] == [0, 100_000, 200_000, 300_000]


def test_live_frames_keep_to_their_memory() -> None:
    frames = LiveFrames("camera")
    image = np.zeros((1000, 1000, 3), np.uint8)
    for number in range(100):
        frames.add(number, image + np.uint8(number))
    assert sum(frame.image.nbytes for frame in frames._frames) <= MEMORY
    assert frames.newest(99)[0, 0, 0] == 99
    assert frames.newest(0)[0, 0, 0] > 0  # the oldest that is left
    frames.add(5, image)  # the camera's clock began anew
    assert len(frames._frames) == 1
    track = TrackFrames(frames)
    assert track.kind == "camera"
    assert track.at(slice_at(0, 10)).shape == (1000, 1000, 3)
