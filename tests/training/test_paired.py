"""Windows of events that end at a frame, from a small video."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import ROOT
from xsd_edge.errors import TrainingError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.export.pair import clip_info
from xsd_edge.recipe import Recipe
from xsd_edge.training.paired import Frame, Windows, from_video, sliding, square, video_frames

pytestmark = pytest.mark.host

CLIP = clip_info(Recipe.load(ROOT / "export" / "demo.toml"))
SIDE = CLIP.event_side


def write_video(path: Path, frames: int = 25, rate: int = 25) -> Path:
    """A bright square that crosses a dark picture from left to right. 96 x 64."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for number in range(frames):
            image = np.full((64, 96, 3), 20, np.uint8)
            left = 10 + number * 60 // frames
            image[24:40, left : left + 16] = 230
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return path


def test_every_frame_of_a_video_ends_a_window(tmp_path: Path) -> None:
    path = write_video(tmp_path / "moves.mp4")
    found = list(from_video(path, 400_000, SIDE))
    assert len(found) == 15  # 25 frames of 40 ms, the first 0.4 s lead up to one
    for window in found:
        assert window.geometry == Geometry(128, 128)
        assert len(window.events) > 100
        assert window.events.t[0] >= window.t1_us - 400_000
        assert window.events.t[-1] < window.t1_us
    first, last = found[0].events, found[-1].events
    assert np.median(last.x) > np.median(first.x) + 20  # the square has moved right


def test_windows_become_what_the_networks_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "moves.mp4")
    found = Windows.of(from_video(path, 400_000, SIDE), 400_000, CLIP)
    assert found.counts.shape == (15, 10, 64, 64)
    assert found.frames.shape == (15, 64, 64, 3)
    assert found.counts.dtype == np.float16
    assert found.counts.astype(np.float32).sum() > 0
    both = Windows.joined([found, found])
    assert len(both.counts) == len(both.frames) == 30


def test_a_video_that_is_too_short_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "short.mp4", frames=4)
    with pytest.raises(TrainingError, match="longer recording, or a shorter --window-ms"):
        Windows.of(from_video(path, 1_000_000, SIDE), 1_000_000, CLIP)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a video")
    with pytest.raises(TrainingError, match=r"cannot read video .*notes\.mp4"):
        list(video_frames(text))
    with pytest.raises(TrainingError, match="give another file"):
        list(video_frames(tmp_path / "nowhere.mp4"))


def test_sliding_windows_are_cut_where_they_should_be() -> None:
    t = np.arange(0, 1000, 10)
    zeros = np.zeros(len(t), np.uint16)
    whole = EventPacket(t, zeros, zeros, zeros.astype(np.uint8))
    packets = iter([whole.slice(i, i + 7) for i in range(0, 100, 7)])
    black = np.zeros((4, 4, 3), np.uint8)
    frames = [Frame(time, black) for time in (50, 300, 305, 700, 1200)]
    found = list(sliding(packets, frames, Geometry(4, 4), 200))
    assert [w.t1_us for w in found] == [300, 305, 700]  # the others reach beyond the events
    for window in found:
        between = whole.between(window.t1_us - 200, window.t1_us)
        np.testing.assert_array_equal(window.events.t, between.t)


def test_pictures_become_squares() -> None:
    wide = np.zeros((20, 40, 3), np.uint8)
    wide[:, 10:30] = 200
    assert (square(wide, 10) > 150).all()
    assert square(wide, 10).shape == (10, 10, 3)
    small = np.zeros((8, 8, 3), np.uint8)
    assert square(small, 8) is small
