"""Clip files: what we write is read, with frames; what somebody else might send is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.events.encoders import random_events, rows
from tests.events.judging import everything, judged, judged_refusal, little_allocated
from xsd_edge.errors import FormatError, SourceError
from xsd_edge.events.decoders.npz import BLOCK
from xsd_edge.events.packet import Counters, EventPacket, Geometry
from xsd_edge.events.source import FrameTrack, open_source

EVENTS = random_events(300, 500, 900_000)
CLIP: dict[str, NDArray[Any]] = {
    "t": EVENTS.t,
    "x": EVENTS.x,
    "y": EVENTS.y,
    "p": EVENTS.p,
    "width": np.array(640),
    "height": np.array(480),
    "frames": np.arange(8 * 4 * 4 * 3, dtype=np.uint8).reshape(8, 4, 4, 3),
    "frames_t_us": np.arange(1, 9) * 125_000,
}


def write(path: Path, arrays: dict[str, NDArray[Any]]) -> str:
    with path.open("wb") as file:
        np.savez_compressed(file, allow_pickle=True, **arrays)
    return str(path)


def without(*names: str) -> dict[str, NDArray[Any]]:
    return {name: array for name, array in CLIP.items() if name not in names}


@pytest.mark.parametrize("compressed", [True, False])
def test_round_trip(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "clip.npz"
    (np.savez_compressed if compressed else np.savez)(path, allow_pickle=False, **CLIP)
    source = open_source(str(path))
    assert source.geometry == Geometry(640, 480)
    assert rows(EventPacket.concatenate(list(source.packets()))) == rows(EVENTS)
    assert isinstance(source.frames, FrameTrack)
    assert np.array_equal(np.array([source.frames.images[i] for i in range(8)]), CLIP["frames"])
    assert source.frames.t_us.tolist() == CLIP["frames_t_us"].tolist()


def test_the_clip_begins_one_frame_interval_before_its_first_frame(tmp_path: Path) -> None:
    source = open_source(write(tmp_path / "a.npz", CLIP))
    assert source.extent(10**9) == (0, 1_000_000)
    source = open_source(write(tmp_path / "b.npz", without("frames")))
    assert source.extent(10**9) == (int(EVENTS.t[0]), int(EVENTS.t[-1]) + 1)


def test_frames_on_another_clock_do_not_stretch_the_clip(tmp_path: Path) -> None:
    clip = {**CLIP, "frames_t_us": np.arange(1, 9) * 125_000 + 10**15}
    source = open_source(write(tmp_path / "a.npz", clip))
    assert source.extent(10**9) == (int(EVENTS.t[0]), int(EVENTS.t[-1]) + 1)


def test_without_a_size_it_can_be_said(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", without("width", "height"))
    with pytest.raises(FormatError, match=r"\?size=640x480"):
        open_source(path)
    assert open_source(f"{path}?size=346x260").geometry == Geometry(346, 260)
    assert open_source(path, geometry=Geometry(640, 480)).geometry == Geometry(640, 480)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"t": np.array([None, 1])}, "never loaded"),
        ({"t": np.zeros(3, "i4,i4")}, "write it again"),
        ({"t": np.arange(5.0)}, "whole numbers"),
        ({"frames": np.zeros((8, 4, 4), np.uint8)}, "uint8"),
        ({"frames_t_us": np.zeros(3, np.int64)}, "one time for each frame"),
        ({"frames_t_us": np.zeros(8, np.int64)}, "do not increase"),
        ({"width": np.array(0)}, "impossible"),
        ({"width": np.array([1, 2])}, "size"),
    ],
)
def test_wrong_arrays_are_refused(
    tmp_path: Path, changed: dict[str, NDArray[Any]], message: str
) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, allow_pickle=True, **{**CLIP, **changed})
    with pytest.raises(SourceError, match=message):
        open_source(str(path))


def test_missing_arrays_are_named(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="lacks t, p"):
        open_source(write(tmp_path / "a.npz", without("t", "p")))


def test_a_small_file_cannot_claim_a_large_array(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 40,)}
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for key in "txyp":
            archive.writestr(f"{key}.npy", header.getvalue() + bytes(1 << 16))
    with (
        little_allocated(),
        pytest.raises(FormatError, match=r"t in .* claims \d+ bytes, more than it has"),
    ):
        open_source(str(path))


def _clip_bytes() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **CLIP)
    return file.getvalue()


CLIP_BYTES = _clip_bytes()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(CLIP_BYTES) - 1), st.integers(0, 255)), max_size=5),
    st.integers(0, len(CLIP_BYTES)),
)
def test_damage_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[int, int]], length: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    data = bytearray(CLIP_BYTES)
    for at, byte in changes:
        data[at] = byte
    for damaged in (bytes(data), bytes(data[:length])):
        path.write_bytes(damaged)
        try:
            with little_allocated():
                source = open_source(str(path))
                found = everything(source)
        except SourceError as error:
            judged_refusal(error)
            continue
        assert source.counters == Counters(events=len(EVENTS))
        # Every array has a checksum in the archive: what is read is what was written. Only names
        # have none, so the frames can be missing.
        assert rows(found) == rows(EVENTS)
        assert source.geometry == Geometry(640, 480)
        if source.frames is not None:
            assert isinstance(source.frames, FrameTrack)
            assert source.frames.t_us.tolist() == CLIP["frames_t_us"].tolist()


def test_longer_than_a_block_and_other_names(tmp_path: Path) -> None:
    events = random_events(2 * BLOCK + 5, 0, 800_000)
    names = {"timestamp": "t", "x_pos": "x", "y_pos": "y", "polarity": "p"}
    np.savez(tmp_path / "a.npz", **{name: getattr(events, key) for name, key in names.items()})
    source = open_source(f"{tmp_path / 'a.npz'}?size=640x480")
    packets = judged(source)
    assert [len(packet) for packet in packets] == [BLOCK, BLOCK, 5]
    assert rows(EventPacket.concatenate(packets)) == rows(events)


def test_16_bit_times_are_widened_or_refused(tmp_path: Path) -> None:
    t = np.sort(np.random.default_rng(0).integers(0, 1 << 16, 2 * BLOCK)).astype(np.uint16)
    zeros = np.zeros(len(t), np.uint8)
    np.savez(tmp_path / "a.npz", t=t, x=zeros, y=zeros, p=zeros, width=64, height=48)
    assert everything(open_source(str(tmp_path / "a.npz"))).t.tolist() == t.tolist()
    # That they run over may only show from one block to the next.
    np.savez(
        tmp_path / "b.npz", t=np.roll(t, BLOCK), x=zeros, y=zeros, p=zeros, width=64, height=48
    )
    with pytest.raises(FormatError, match="run over at 65"):
        everything(open_source(str(tmp_path / "b.npz")))
