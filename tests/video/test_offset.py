"""A planted shift between the clocks of events and frames is found again."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.video.swinging import GEOMETRY, LASTING_US, picture, swinging_events
from xsd_edge.errors import SourceError
from xsd_edge.events.listening import Heard
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.events.source import FrameTrack, open_source
from xsd_edge.video.decode import Timed, video
from xsd_edge.video.frames import TrackFrames
from xsd_edge.video.offset import estimate_offset

DATA = ROOT / "tests" / "data"
MORE = os.environ.get("XSD_EDGE_RECORDINGS")  # a folder with recordings too large for this one
PLANTED_MS = (-80, -43, 0, 25, 80)
WITHIN_US = 5_000


def all_events(spec: str, until_us: int | None = None) -> EventPacket:
    source, packets = open_source(spec), []
    for packet in source.packets():
        packets.append(packet)
        if until_us is not None and len(packet) and packet.t[-1] > until_us:
            break
    source.close()
    return EventPacket.concatenate([p for p in packets if len(p)])


def shifted(frames: list[Timed], planted_ms: int) -> list[Timed]:
    """The frames' clock is set back: events then tell of a moment later by as much."""
    return [Timed(t_us - planted_ms * 1000, image) for t_us, image in frames]


@pytest.fixture(scope="module")
def swinging() -> tuple[EventPacket, list[Timed]]:
    """Four seconds of events, and a frame every 40 ms."""
    return swinging_events(), [Timed(t, picture(t)) for t in range(0, LASTING_US, 40_000)]


@pytest.mark.parametrize("planted_ms", PLANTED_MS)
def test_a_planted_shift_is_found(
    swinging: tuple[EventPacket, list[Timed]], planted_ms: int
) -> None:
    events, frames = swinging
    found = estimate_offset(events, GEOMETRY, shifted(frames, planted_ms))
    assert found.by == "activity"
    assert abs(found.us - planted_ms * 1000) <= WITHIN_US


def test_the_cameras_may_have_different_views(
    swinging: tuple[EventPacket, list[Timed]],
) -> None:
    events, frames = swinging
    other = [Timed(t, np.ascontiguousarray(image[::-2, ::3])) for t, image in shifted(frames, 30)]
    assert abs(estimate_offset(events, GEOMETRY, other).us - 30_000) <= WITHIN_US


def test_few_frames_are_compared_cell_by_cell(
    swinging: tuple[EventPacket, list[Timed]],
) -> None:
    events, frames = swinging
    found = estimate_offset(events.between(0, 400_000), GEOMETRY, shifted(frames[:8], -20))
    assert found.by == "cells"
    assert abs(found.us + 20_000) <= 2 * WITHIN_US


def test_still_frames_tell_nothing(swinging: tuple[EventPacket, list[Timed]]) -> None:
    events, frames = swinging
    still = [Timed(t, frames[0].image) for t, _ in frames]
    with pytest.raises(SourceError, match=r"cannot tell.*give --offset MS"):
        estimate_offset(events, GEOMETRY, still)
    with pytest.raises(SourceError, match="saw 1 frames"):
        estimate_offset(events, GEOMETRY, frames[:1])


def test_an_idle_scene_tells_nothing() -> None:
    frames = TrackFrames(FrameTrack(np.array([0, 40_000]), np.zeros((2, 4, 4, 3), np.uint8)))
    heard = Heard(EventPacket.empty(), began_us=0, behind_us=0)
    with pytest.raises(SourceError, match=r"0 events; give --offset MS"):
        estimate_offset(heard.events, GEOMETRY, frames.around(heard))


def test_other_scenes_frames_are_not_believed(
    swinging: tuple[EventPacket, list[Timed]],
) -> None:
    events, frames = swinging
    order = np.random.default_rng(0).permutation(len(frames))
    strange = [Timed(t, frames[i].image) for (t, _), i in zip(frames, order, strict=True)]
    with pytest.raises(SourceError, match="cannot tell"):
        estimate_offset(events, GEOMETRY, strange)


@pytest.mark.parametrize("planted_ms", PLANTED_MS)
def test_a_davis_own_frames(planted_ms: int) -> None:
    """Four frames; that sensor's events themselves tell of a moment 9 ms after its frames."""
    pytest.importorskip("aedat", reason='aedat is missing (pip install "xsd-edge[aedat4]")')
    path = DATA / "evl_sample.aedat4"
    source = open_source(str(path))
    assert isinstance(source.frames, FrameTrack)
    frames = [
        Timed(t, np.asarray(source.frames.images[i]))
        for i, t in enumerate(source.frames.t_us.tolist())
    ]
    events = all_events(str(path))
    own = estimate_offset(events, source.geometry, frames)
    found = estimate_offset(events, source.geometry, shifted(frames, planted_ms))
    source.close()
    assert 0 <= own.us <= 10_000
    assert abs(found.us - own.us - planted_ms * 1000) <= WITHIN_US


@pytest.mark.skipif(MORE is None, reason="XSD_EDGE_RECORDINGS names no folder")
@pytest.mark.parametrize("name", ["vtest.avi", "bikes.mp4"])
def test_street_videos(name: str) -> None:
    assert MORE is not None
    path, end_us = Path(MORE) / name, 6_000_000
    events = all_events(f"sim:{path}?size=320x240", end_us)
    frames = list(takewhile(lambda frame: frame.t_us <= end_us, video(path)))
    for planted_ms in PLANTED_MS:
        found = estimate_offset(events, Geometry(320, 240), shifted(frames, planted_ms))
        assert abs(found.us - planted_ms * 1000) <= WITHIN_US
