"""Calibration sets: what their files may say, and that the shipped one is made of real inputs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from tests.conftest import ROOT
from tests.lesser_processor import on_a_lesser_processor
from xsd_edge.bundle import ClipInfo
from xsd_edge.calibration.clips import CalibrationSet, digest, recorded_clips, scene_clip
from xsd_edge.calibration.ranges import Ranges
from xsd_edge.errors import RecipeError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.export.calibrate import model_digest
from xsd_edge.export.pair import clip_info, trained_hashes
from xsd_edge.recipe import Recipe
from xsd_edge.world.scenes import HELD_OUT
from xsd_edge.world.spec import World

pytestmark = pytest.mark.host

SET = "scenes = 1\nfirst_seed = 7\n"
RECORDING = ROOT / "tests" / "data" / "eventcampy_test_events_1.evt3.raw"


@pytest.fixture
def recipe() -> Recipe:
    return shipped_recipe()


def shipped_recipe() -> Recipe:
    return Recipe.load(ROOT / "export" / "demo.toml")


def shown() -> tuple[World, ClipInfo]:
    """What the demo pair's clips are drawn in, and how long they are."""
    recipe = shipped_recipe()
    return recipe.world, clip_info(recipe)


def shipped_digest() -> str:
    return digest(CalibrationSet.load("demo").clips(*shown(), print))


def write(folder: Path, text: str) -> str:
    path = folder / "set.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_shipped_set_has_scenes_and_real_events(recipe: Recipe) -> None:
    said: list[str] = []
    shipped = CalibrationSet.load("demo")
    clips = list(shipped.clips(*shown(), said.append))
    assert said == []
    assert len(clips) == shipped.scenes + 2  # the recording lasts 2.08 s
    assert {clip.geometry for clip in clips[shipped.scenes :]} == {Geometry(640, 480)}
    for clip in clips:
        assert len(clip.events) > 0
        counts = clip.counts(clip_info(recipe))
        assert counts.shape == (10, 64, 64)
        assert counts.sum() > 0
        assert len(clip.frames) == recipe.target.frames


def test_shipped_ranges_are_of_the_shipped_weights_and_clips(recipe: Recipe) -> None:
    """Else each export measures anew. After new weights or another set: xsd-edge calibrate."""
    committed = Ranges.load(ROOT / "calibration" / "demo.json")
    assert committed is not None
    assert committed.data == shipped_digest()
    hashes = {"base": recipe.base.sha256, **trained_hashes(recipe)}
    assert committed.model == model_digest(hashes)


def test_clips_are_the_same_on_a_processor_that_can_do_less() -> None:
    """Their hash says whose the committed ranges are: it must not depend on who reads them."""
    assert on_a_lesser_processor("tests.calibration.test_clips", "shipped_digest") == (
        shipped_digest()
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("scenes = 0\nfirst_seed = 1\nrecordings = []", "scenes must be at least 1"),
        (f"scenes = 2\nfirst_seed = {HELD_OUT - 1}\nrecordings = []", "held-out"),
        ("scenes = 1\nrecordings = []", "first_seed is missing"),
        ('scenes = 1\nfirst_seed = 1\nrecordings = []\nfolder = "x"', "unknown key"),
        ("scenes = 1\nfirst_seed = 1\nrecordings = [1]", "must be a table"),
        (SET + '[[recordings]]\npath = "a"\nwindows_us = [[5, 5]]', "window 5 to 5 is no window"),
        (SET + '[[recordings]]\npath = "a"\nwindow = 3', "unknown key recordings\\[0\\].window"),
    ],
)
def test_wrong_sets_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        CalibrationSet.load(write(tmp_path, text))


def test_unknown_set_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError, match="known: demo"):
        CalibrationSet.load("nonesuch")


def test_absent_recording_is_said(tmp_path: Path, recipe: Recipe) -> None:
    said: list[str] = []
    text = SET + '[[recordings]]\npath = "lost.raw"'
    clips = list(CalibrationSet.load(write(tmp_path, text)).clips(*shown(), said.append))
    assert len(clips) == 1
    assert len(said) == 1
    assert "lost.raw is not here" in said[0]


def test_a_video_is_shown_as_video_llava_is_shown_one(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "grey.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=20)  # lossless
        stream.width, stream.height, stream.pix_fmt = 48, 32, "bgr0"
        for grey in range(40):
            picture = np.full((32, 48, 3), 5 * grey, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    said: list[str] = []
    text = 'videos = ["grey.mkv", "lost.mp4"]\n' + SET
    _, clip = CalibrationSet.load(write(tmp_path, text)).clips(*shown(), said.append)
    assert clip.frames.shape == (8, 32, 48, 3)
    assert clip.frames[:, 0, 0, 0].tolist() == [5 * n for n in range(0, 40, 5)]
    assert len(clip.events) == 0
    assert len(said) == 1
    assert "lost.mp4 is not here" in said[0]


def test_digest_follows_what_the_clips_show_and_ask(recipe: Recipe) -> None:
    first, second = scene_clip(7), scene_clip(8)
    assert digest([first, second]) == digest([scene_clip(7), scene_clip(8)])
    others = [
        [second, first],
        [first],
        [replace(first, answer=first.answer + "."), second],
        [replace(first, frames=first.frames[:, ::-1]), second],
        [replace(first, events=first.events.slice(1, len(first.events))), second],
    ]
    assert len({digest(clips) for clips in [[first, second], *others]}) == 6


def test_windows_are_clips(recipe: Recipe) -> None:
    windows = ((0, 300_000), (900_000, 1_900_000))
    found = list(recorded_clips(RECORDING, clip_info(recipe), windows))
    start = found[0].t0_us
    assert [(c.t0_us - start, c.t1_us - start) for c in found] == list(windows)
    for clip in found:
        assert clip.t0_us <= clip.events.t[0]
        assert clip.events.t[-1] < clip.t1_us
        assert len(clip.frames) == recipe.target.frames


def test_a_window_behind_the_end_is_refused(recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="shorter than a clip or window"):
        list(recorded_clips(RECORDING, clip_info(recipe), ((0, 10**9),)))


def test_recorded_clips_cover_whole_clips_without_overlap(recipe: Recipe) -> None:
    first, second = recorded_clips(RECORDING, clip_info(recipe))
    assert first.t1_us == second.t0_us
    assert first.events.t[0] == first.t0_us
    assert first.events.t[-1] < first.t1_us <= second.events.t[0]
    assert first.frames.shape == (8, 480, 640, 3)


def test_short_recording_is_refused(tmp_path: Path, recipe: Recipe) -> None:
    short = tmp_path / "short.npz"
    clip = scene_clip(3)
    half = EventPacket.concatenate([clip.events.between(0, 400_000)])
    np.savez(short, t=half.t, x=half.x, y=half.y, p=half.p, width=64, height=64)
    with pytest.raises(RecipeError, match="shorter than a clip"):
        list(recorded_clips(short, clip_info(recipe)))
