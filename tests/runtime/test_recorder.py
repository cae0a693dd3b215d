"""`run --record`: what is on the disk, what a kill leaves of it, and what playing it again says."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import RECORDING, ROOT, TINY_BUNDLE, Finished, Python
from tests.runtime.told import SLICE_US, frame_of, round_of, scene, slice_of, tell
from xsd_edge.errors import XsdEdgeError
from xsd_edge.events.clip_folder import read_clip
from xsd_edge.events.replay import ClipFolder
from xsd_edge.events.source import Extent
from xsd_edge.runtime.recorder import Recorder

RUN = ("run", "--bundle", TINY_BUNDLE, "--max-tokens", "24", "--json")
SAME = ("clip", "t0_us", "t1_us", "question", "answer", "tokens", "events", "events_dropped")


def answers(text: str) -> list[dict[str, Any]]:
    """What of each answer must not change from one run to the next."""
    parsed = [json.loads(line) for line in text.splitlines()]
    return [{key: answer[key] for key in SAME} for answer in parsed if "summary" not in answer]


def xsd_edge(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "xsd_edge", *map(str, arguments)]


def done(finished: Finished) -> list[dict[str, Any]]:
    assert finished.returncode == 0, finished.stderr
    return answers(finished.stdout)


@pytest.fixture
def recorded(command: Python, tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """A folder with two clips of a real recording, and their answers."""
    folder = tmp_path / "kept"
    said = done(command(*RUN, "--fast", "--camera", RECORDING, "--record", folder))
    assert len(said) == 2
    return folder, said


def test_replay_says_the_same(recorded: tuple[Path, list[dict[str, Any]]], command: Python) -> None:
    folder, said = recorded
    assert answers((folder / "answers.jsonl").read_text()) == said
    assert done(command(*RUN, "--fast", "--camera", folder)) == said


def test_replay_of_recorded_frames_says_the_same(command: Python, tmp_path: Path) -> None:
    """Sampled with the exact-match rule, so that seed and clip number count as well."""
    folder = tmp_path / "kept"
    sampled = ("--temperature", "1.2", "--seed", "3", "--mode", "exact-match", "--exact", "--fast")
    said = done(command(*RUN, *sampled, "--camera", "demo", "--record", folder))
    assert done(command(*RUN, *sampled, "--camera", folder)) == said
    clip = read_clip(folder / "clips" / "00000000.npz", frames=True)
    assert clip.frames is not None
    assert len(clip.frames) == len(clip.slices) == 8


def test_a_clip_file_is_a_recording_of_its_own(
    recorded: tuple[Path, list[dict[str, Any]]], command: Python
) -> None:
    folder, _ = recorded
    (said,) = done(command(*RUN, "--fast", "--camera", folder / "clips" / "00000001.npz"))
    assert said["clip"] == 0


def test_kill_leaves_what_was_answered(command: Python, tmp_path: Path) -> None:
    """kill -9 in the middle of the second clip; the first one plays again to the same answer."""
    folder = tmp_path / "kept"
    process = subprocess.Popen(
        xsd_edge(*RUN, "--camera", RECORDING, "--record", folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    process.send_signal(signal.SIGKILL)
    rest, _ = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGKILL
    said = answers(first + rest)
    assert said
    assert done(command(*RUN, "--fast", "--camera", folder))[: len(said)] == said


def test_a_full_disk_ends_the_recording_and_nothing_else(tmp_path: Path) -> None:
    """A file may have 2 MB here: the first clip fits, the second one does not."""
    folder = tmp_path / "kept"

    def quota() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, 2_000_000))

    finished = subprocess.run(
        xsd_edge(*RUN, "--fast", "--camera", RECORDING, "--record", folder),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        preexec_fn=quota,
        timeout=100,
        check=False,
    )
    assert len(done(finished)) == 2
    assert json.loads(finished.stdout.splitlines()[-1])["summary"]["clips_recorded"] == 1
    assert len(finished.stderr.strip().splitlines()) == 1
    assert "Recording stopped after 1 clips, the answers go on" in finished.stderr
    assert [path.name for path in (folder / "clips").iterdir()] == ["00000000.npz"]
    assert len((folder / "answers.jsonl").read_text().splitlines()) == 1


def test_another_question_is_remarked(
    recorded: tuple[Path, list[dict[str, Any]]], command: Python
) -> None:
    folder, _ = recorded
    plain = [a for a in RUN if a != "--json"]
    finished = command(*plain, "--fast", "--camera", folder, "--prompt", "A car?")
    assert finished.returncode == 0, finished.stderr
    assert "prompts ['Describe the scene.']" in finished.stderr
    assert "seed" not in finished.stderr


def test_a_folder_with_something_in_it_is_refused(command: Python, tmp_path: Path) -> None:
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "mine.txt").touch()
    finished = command(*RUN, "--camera", "demo", "--record", tmp_path / "kept")
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "not empty" in finished.stderr


def test_dropped_clips_are_kept_apart(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "kept", {})
    recorder.began(scene())
    tell(recorder, 0, [round_of("one")])
    recorder.dropped([slice_of(clip, index) for clip in (1, 2) for index in range(8)])
    tell(recorder, 3, [round_of("two")])
    recorder.ended()
    folder = ClipFolder(tmp_path / "kept")
    assert [clip.slices[0].clip for clip in folder.clips(frames=False)] == [0, 3]
    dropped = sorted((tmp_path / "kept" / "dropped").iterdir())
    assert [read_clip(path, frames=True).slices[0].clip for path in dropped] == [1, 2]
    lines = (tmp_path / "kept" / "answers.jsonl").read_text().splitlines()
    assert [json.loads(line)["clip"] for line in lines] == [0, 3]


def test_a_clip_comes_back_as_it_was(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "kept", {})
    recorder.began(scene())
    tell(recorder, 5, [round_of("one")])
    recorder.ended()
    clip = next(ClipFolder(tmp_path / "kept").clips(frames=True))
    assert clip.frames is not None
    for index, slice_ in enumerate(clip.slices):
        was = slice_of(5, index)
        assert (slice_.clip, slice_.index, slice_.last) == (5, index, index == 7)
        assert (slice_.t0_us, slice_.t1_us) == (was.t0_us, was.t1_us)
        for column in ("t", "x", "y", "p"):
            ours, theirs = getattr(slice_.events, column), getattr(was.events, column)
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(clip.frames[index], frame_of(was))


def test_rendered_frames_are_not_kept(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "kept", {})
    recorder.began(scene(frames="rendered"))
    tell(recorder, 0, [round_of("one")])
    recorder.ended()
    folder = ClipFolder(tmp_path / "kept")
    assert not folder.has_frames
    assert next(folder.clips(frames=True)).frames is None


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda kept: (kept / "recording.json").write_text("{"), "recording.json"),
        (lambda kept: (kept / "recording.json").write_text('{"format": 9}'), "recording.json"),
        (lambda kept: [p.unlink() for p in (kept / "clips").iterdir()], "no complete clip"),
        (lambda kept: (kept / "clips/00000000.npz").write_bytes(b"PK\x03\x04"), "00000000.npz"),
    ],
    ids=["no JSON", "another format", "no clip", "damaged clip"],
)
def test_damage_is_one_line(tmp_path: Path, damage: Any, says: str) -> None:
    recorder = Recorder(tmp_path / "kept", {})
    recorder.began(scene())
    tell(recorder, 0, [round_of("one")])
    recorder.ended()
    damage(tmp_path / "kept")
    with pytest.raises(XsdEdgeError, match=says):
        list(ClipFolder(tmp_path / "kept").clips(frames=True))


def test_other_readers_get_events_and_frames(tmp_path: Path) -> None:
    """Where a clip is missing in between, time jumps; frames are read as time goes on."""
    recorder = Recorder(tmp_path / "kept", {})
    recorder.began(scene())
    for clip in (0, 1, 4):
        tell(recorder, clip, [round_of("one")])
    recorder.ended()
    folder = ClipFolder(tmp_path / "kept")
    assert folder.extent(10**9) == Extent(0, slice_of(1, 7).t1_us)
    packets = list(folder.packets())
    assert sum(map(len, packets)) == folder.counters.events == 3 * 800
    assert [n for n, packet in enumerate(packets) if packet.discontinuity] == [16]
    assert folder.frames is not None
    for asked, slice_ in ((-1, (0, 0)), (1, (0, 1)), (9, (1, 1)), (17, (1, 7)), (33, (4, 1))):
        t_us = (asked + 1) * SLICE_US
        np.testing.assert_array_equal(folder.frames.newest(t_us), frame_of(slice_of(*slice_)))
