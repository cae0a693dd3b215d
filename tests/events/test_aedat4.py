"""AEDAT4: events, frames and triggers; a recorder that was killed; a reader that crashes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from tests.events.encoders import rows
from tests.events.judging import everything, judged_refusal
from xsd_edge.errors import ExtraMissingError, FormatError, SourceError
from xsd_edge.events.clips import ClipReader
from xsd_edge.events.packet import Geometry
from xsd_edge.events.source import FrameTrack, open_source
from xsd_edge.video.frames import TrackFrames

pytest.importorskip("aedat", reason='aedat is missing (pip install "xsd-edge[aedat4]")')
SAMPLE = Path(__file__).parents[1] / "data" / "evl_sample.aedat4"


def test_frames_are_grey_on_the_clock_of_the_events_and_in_any_order() -> None:
    source = open_source(str(SAMPLE))
    assert source.geometry == Geometry(346, 260)
    track = source.frames
    assert isinstance(track, FrameTrack)
    assert np.diff(track.t_us).tolist() == [40_000] * 3  # the middles of exposures, 25 a second
    images = [track.images[index] for index in (0, 1, 2, 3)]
    assert {image.shape for image in images} == {(260, 346, 3)}
    assert len({image.tobytes() for image in images}) == 4
    assert (images[0][..., 0] == images[0][..., 2]).all()
    assert [track.images[index].tobytes() for index in (2, 0, 3)] == [
        images[index].tobytes() for index in (2, 0, 3)
    ]
    events = everything(source)
    assert track.t_us[0] - 5_000 < events.t[0] < track.t_us[-1]


def test_each_frame_closes_a_slice_of_the_events_before_it() -> None:
    """A window looks back from its frame, as a live one must; and no event is later than it."""
    source = open_source(str(SAMPLE))
    assert isinstance(source.frames, FrameTrack)
    times = source.frames.t_us.tolist()
    frames = TrackFrames(source.frames)
    reader = ClipReader(source, 160_000, 4, drop_late=False)
    found = list(reader)
    assert [part.t1_us for part in found] == times
    for index, part in enumerate(found):
        assert np.array_equal(frames.at(part), source.frames.images[index])
        assert part.t1_us - part.t0_us == 40_000
        assert ((part.events.t >= part.t0_us) & (part.events.t < part.t1_us)).all()
    assert all(len(part.events) > 1000 for part in found[1:])  # the first frame was before them


def test_a_recorder_that_was_killed_leaves_what_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "cut.aedat4"
    path.write_bytes(SAMPLE.read_bytes()[:200_000])
    source = open_source(str(path))
    found = everything(source)
    assert 0 < len(found) < 6676
    assert rows(found) == rows(everything(open_source(str(SAMPLE))))[: len(found)]
    assert source.counters.truncated


@pytest.mark.parametrize("length", [14, 40, 300, 2000])
def test_cut_before_the_first_event(tmp_path: Path, length: int) -> None:
    path = tmp_path / "cut.aedat4"
    path.write_bytes(SAMPLE.read_bytes()[:length])
    with pytest.raises(FormatError, match="record it again"):
        list(open_source(str(path)).packets())


def test_damage_that_aborts_the_library_is_one_sentence(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 in the description make its Rust code abort the process."""
    path = tmp_path / "bad.aedat4"
    data = bytearray(SAMPLE.read_bytes())
    for at in range(40, 400, 9):
        data[at] = 0xD4
    path.write_bytes(data)
    with pytest.raises(FormatError, match="record it again") as caught:
        list(open_source(str(path)).packets())
    assert "\n" not in str(caught.value)


def test_altered_it_is_refused_or_keeps_the_rules(tmp_path: Path) -> None:
    """In the description, in the packets' headers, and inside of what is packed."""
    path = tmp_path / "altered.aedat4"
    data = SAMPLE.read_bytes()
    rng = np.random.default_rng(6)
    for number in range(8):
        at = int(rng.integers(14, 2000 if number % 2 else len(data) - 20))
        path.write_bytes(data[:at] + rng.bytes(20) + data[at + 20 :])
        try:
            assert len(everything(open_source(str(path)))) <= 6676
        except SourceError as error:
            judged_refusal(error)


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process cannot import it either."""
    (tmp_path / "aedat.py").write_text("raise ModuleNotFoundError('aedat', name='aedat')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ExtraMissingError, match=r'pip install "xsd-edge\[aedat4\]"'):
        open_source(str(SAMPLE))


SLOW = """
import time
import numpy

class Decoder:
    def __init__(self, path):
        pass

    def id_to_stream(self):
        return {0: {"type": "events", "width": 4, "height": 4}}

    def __iter__(self):
        for number in range(6):
            time.sleep(0.5)
            events = numpy.zeros(1, [("t", "u8"), ("x", "u2"), ("y", "u2"), ("on", "?")])
            events["t"] = number
            yield {"stream_id": 0, "events": events}
"""


def test_a_survey_that_takes_long_is_no_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of an hour's recording does, which is read once to find its frames."""
    (tmp_path / "aedat.py").write_text(SLOW)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "xsd_edge.events.decoders.child", "aedat4", "survey", SAMPLE, "0"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        stdout=subprocess.PIPE,
        check=True,
    )
    said = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
    assert set(said[:-2]) == {"alive"}
    assert said[-2:] == ["survey", "end"]
    assert rows(everything(open_source(str(SAMPLE)))) == [(n, 0, 0, 0) for n in range(6)]


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aedat.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr("xsd_edge.events.decoders.isolated.SILENCE_S", 2.0)
    with pytest.raises(SourceError, match="hangs its reader; copy or record it again"):
        open_source(str(SAMPLE))
