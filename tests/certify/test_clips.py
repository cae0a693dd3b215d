"""Clips of a bundle, a recording and the generator, in this order and by seed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import RECORDING, TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.certify.clips import clips_for, recorded
from xsd_edge.certify.options import QUESTIONS, CertifyOptions
from xsd_edge.certify.prompts import prompts_of
from xsd_edge.certify.scenery import NOISE_EVERY, synthetic
from xsd_edge.errors import SourceError
from xsd_edge.runtime.options import OptionError


def test_the_bundles_clip_comes_first_and_synthetic_ones_fill_up() -> None:
    bundle = Bundle(TINY_BUNDLE)
    clips = clips_for(bundle, (), 7, 5)
    assert len(clips) == 5
    assert clips[0].name == "demo 0"
    assert all(clip.name.startswith("synthetic 7.") for clip in clips[1:])
    info = bundle.manifest.clip
    for clip in clips:
        assert len(clip.frames) == info.frames
        assert clip.frames.dtype == np.uint8
        assert clip.t1_us - clip.t0_us == info.duration_us
        assert len(clip.events) > 0  # noise of the pixels where nothing moves


def test_a_recording_of_the_users_is_used() -> None:
    info = dataclasses.replace(Bundle(TINY_BUNDLE).manifest.clip, duration_us=20_000)
    clips = list(recorded(str(RECORDING), "mine", info, 2))
    assert [clip.name for clip in clips] == ["mine 0", "mine 1"]
    assert clips[0].t1_us == clips[1].t0_us
    height, width = clips[0].geometry.height, clips[0].geometry.width
    assert clips[0].frames.shape == (info.frames, height, width, 3)


def test_cameras_share_the_clips_with_synthetic_ones() -> None:
    bundle = Bundle(TINY_BUNDLE)
    names = [clip.name for clip in clips_for(bundle, (str(RECORDING),), 0, 4)]
    assert names[0] == "demo 0"
    assert any(name.startswith(str(RECORDING)) for name in names)
    assert names[-1].startswith("synthetic")


def test_a_missing_recording_is_the_users_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="nothing"):
        clips_for(Bundle(TINY_BUNDLE), (str(tmp_path / "nothing.raw"),), 0, 4)


def test_synthetic_clips_are_their_seeds() -> None:
    info = Bundle(TINY_BUNDLE).manifest.clip
    one, same, other = (synthetic(info, seed, 2) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.frames, same.frames)
    np.testing.assert_array_equal(one.events.t, same.events.t)
    assert not np.array_equal(one.frames, other.frames)
    noise = synthetic(info, 5, NOISE_EVERY - 1)
    assert "noise" in noise.name
    assert noise.frames.std() > 60


def test_every_question_is_asked_about_every_clip() -> None:
    clips = clips_for(Bundle(TINY_BUNDLE), (), 0, 2)
    prompts = prompts_of(clips, ("a", "b", "c"), 5)
    assert [(p.number, p.clip is clips[0], p.question) for p in prompts] == [
        (0, True, "a"),
        (1, True, "b"),
        (2, True, "c"),
        (3, False, "a"),
        (4, False, "b"),
    ]


def test_the_users_questions_come_first_and_once() -> None:
    asked = CertifyOptions(Path("b"), questions=("Is it safe?", QUESTIONS[1])).asked
    assert asked[:2] == ("Is it safe?", QUESTIONS[1])
    assert len(asked) == len(set(asked)) == len(QUESTIONS) + 1


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"prompts": 0}, "--prompts"),
        ({"contexts": 0}, "--contexts"),
        ({"max_tokens": 1}, "--max-tokens"),
        ({"seed": -1}, "--seed"),
        ({"questions": (" ",)}, "--prompt"),
        ({"cameras": ("",)}, "--camera"),
    ],
)
def test_options_out_of_range(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(OptionError, match=says):
        CertifyOptions(Path("b"), **wrong)  # type: ignore[arg-type]  # one wrong value each
