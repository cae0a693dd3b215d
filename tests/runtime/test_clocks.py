"""`run --offset`: frames of another clock are shown when the events say that they were taken."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import RECORDING, TINY_BUNDLE, Python
from tests.video.swinging import GEOMETRY, picture, swinging_events
from tests.video.test_frames import slice_at
from xsd_edge.events.source import FrameTrack
from xsd_edge.events.writers.npz import NpzWriter
from xsd_edge.video.frames import TrackFrames

LATE_US = 60_000  # the video begins so much after the events
RUN = ("run", "--bundle", TINY_BUNDLE, "--max-tokens", "2", "--fast")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Four seconds of events, and a video of the same whose clock is late."""
    folder = tmp_path_factory.mktemp("pair")
    writer = NpzWriter(folder / "events.npz", GEOMETRY)
    writer.write(swinging_events())
    writer.finish(None)
    writer.close()
    with av.open(str(folder / "frames.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height = GEOMETRY.width, GEOMETRY.height
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 8_000_000
        stream.codec_context.time_base = Fraction(1, 25)
        for t_us in range(LATE_US, 4_000_000, 40_000):
            frame = av.VideoFrame.from_ndarray(picture(t_us), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return folder / "events.npz", folder / "frames.mp4"


def test_auto_measures_the_offset_and_loses_no_event(
    command: Python, pair: tuple[Path, Path]
) -> None:
    events, video = pair
    arguments = (*RUN, "--camera", events, "--video", video, "--json")
    auto = command(*arguments, "--offset", "auto")
    assert auto.returncode == 0, auto.stderr
    told = re.search(r"Events tell of a moment (\S+) ms after the frames do", auto.stderr)
    assert told is not None, auto.stderr
    assert abs(float(told[1]) - LATE_US / 1e3) <= 5
    *answers, last = map(json.loads, auto.stdout.splitlines())
    assert len(answers) == 3
    assert last["summary"]["events"] == len(swinging_events())
    same = command(*arguments, "--offset", told[1])
    assert [a["answer"] for a in answers] == [
        json.loads(line)["answer"] for line in same.stdout.splitlines()[:-1]
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--offset", "soon"), "--offset must be 'auto' or milliseconds, not 'soon'"),
        (("--offset", "nan"), "--offset must be 'auto' or up to 10000 ms, either way"),
        (("--offset", "20"), "the rendered frames are on the events' clock; leave out --offset"),
        (("--offset", "auto"), "the rendered frames are on the events' clock; leave out --offset"),
    ],
)
def test_no_frames_or_no_number(command: Python, arguments: tuple[str, ...], said: str) -> None:
    done = command(*RUN, "--camera", RECORDING, *arguments)
    assert done.returncode != 0
    assert said in done.stderr
    assert done.stdout == ""


def test_a_recorded_runs_own_frames_are_not_shifted(command: Python, tmp_path: Path) -> None:
    run = (*RUN, "--camera", "demo", "--record", tmp_path / "kept")
    assert command(*run).returncode == 0
    done = command(*RUN, "--camera", tmp_path / "kept", "--offset", "20")
    assert "the recorded run's frames are on the events' clock; leave out --offset" in done.stderr
    assert (done.returncode != 0, done.stdout) == (True, "")


def test_frames_are_shown_by_their_offset() -> None:
    """Each source, asked for the end of a slice, shows what was newest that much earlier."""
    images = np.arange(4, dtype=np.uint8).repeat(12).reshape(4, 2, 2, 3)
    track = TrackFrames(FrameTrack(np.array([100, 200, 300, 400]), images))
    track.offset_us = 150
    assert [int(track.at(slice_at(0, t1))[0, 0, 0]) for t1 in (250, 449, 450)] == [0, 1, 2]
