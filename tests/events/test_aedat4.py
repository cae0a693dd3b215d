"""AEDAT4: events, frames and triggers; a recorder that was killed; a reader that crashes."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.events.encoders import rows
from tests.events.judging import everything
from xsd_edge.errors import ExtraMissingError, FormatError, SourceError
from xsd_edge.events.packet import Geometry
from xsd_edge.events.source import FrameTrack, open_source

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


def test_without_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The child process cannot import it either."""
    (tmp_path / "aedat.py").write_text("raise ModuleNotFoundError('aedat', name='aedat')")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(ExtraMissingError, match=r'pip install "xsd-edge\[aedat4\]"'):
        open_source(str(SAMPLE))


def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "aedat.py").write_text("import time\ntime.sleep(60)")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setattr("xsd_edge.events.decoders.isolated.SILENCE_S", 2.0)
    with pytest.raises(SourceError, match="hangs its reader; copy or record it again"):
        open_source(str(SAMPLE))
