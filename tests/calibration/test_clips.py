"""Calibration sets: what their files may say, and that the shipped one is made of real inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ROOT
from xsd_edge.calibration.clips import CalibrationSet, recorded_clips, scene_clip
from xsd_edge.errors import RecipeError
from xsd_edge.events.packet import EventPacket, Geometry
from xsd_edge.recipe import Recipe
from xsd_edge.training.scenes import HELD_OUT

pytestmark = pytest.mark.host

RECORDING = ROOT / "tests" / "data" / "eventcampy_test_events_1.evt3.raw"


@pytest.fixture
def recipe() -> Recipe:
    return Recipe.load(ROOT / "export" / "demo.toml")


def write(folder: Path, text: str) -> str:
    path = folder / "set.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_shipped_set_has_scenes_and_real_events(recipe: Recipe) -> None:
    said: list[str] = []
    shipped = CalibrationSet.load("demo")
    clips = list(shipped.clips(recipe, said.append))
    assert said == []
    assert len(clips) == shipped.scenes + 2  # the recording lasts 2.08 s
    assert {clip.geometry for clip in clips[shipped.scenes :]} == {Geometry(640, 480)}
    for clip in clips:
        assert len(clip.events) > 0
        counts = clip.counts(recipe)
        assert counts.shape == (10, 64, 64)
        assert counts.sum() > 0
        assert len(clip.frames) == recipe.target.frames


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("scenes = 0\nfirst_seed = 1\nrecordings = []", "scenes must be at least 1"),
        (f"scenes = 2\nfirst_seed = {HELD_OUT - 1}\nrecordings = []", "held-out"),
        ("scenes = 1\nrecordings = []", "first_seed is missing"),
        ('scenes = 1\nfirst_seed = 1\nrecordings = []\nfolder = "x"', "unknown key"),
        ("scenes = 1\nfirst_seed = 1\nrecordings = [1]", "must be str"),
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
    text = 'scenes = 1\nfirst_seed = 7\nrecordings = ["lost.raw"]'
    clips = list(CalibrationSet.load(write(tmp_path, text)).clips(recipe, said.append))
    assert len(clips) == 1
    assert len(said) == 1
    assert "lost.raw is not here" in said[0]


def test_digest_follows_what_is_in_the_set(tmp_path: Path) -> None:
    text = 'scenes = 1\nfirst_seed = 7\nrecordings = ["a.raw"]'
    path = write(tmp_path, text)
    absent = CalibrationSet.load(path).digest()
    (tmp_path / "a.raw").write_bytes(b"one")
    one = CalibrationSet.load(path).digest()
    (tmp_path / "a.raw").write_bytes(b"two")
    two = CalibrationSet.load(path).digest()
    assert len({absent, one, two}) == 3
    assert CalibrationSet.load(path).digest() == two


def test_recorded_clips_cover_whole_clips_without_overlap(recipe: Recipe) -> None:
    first, second = recorded_clips(RECORDING, recipe)
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
        list(recorded_clips(short, recipe))
