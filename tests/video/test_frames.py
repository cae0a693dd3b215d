"""Each frame source gives the newest frame at a slice's end, on the events' clock."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from xsd_edge.errors import SourceError
from xsd_edge.events.cutter import Slice
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import FrameTrack
from xsd_edge.video.frames import RenderedFrames, TrackFrames, VideoFrames


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
