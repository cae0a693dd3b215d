"""`xsd-edge inspect` and `xsd-edge convert`, as a user runs them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RECORDING, ROOT, TINY_BUNDLE, Python

CUT = ROOT / "tests" / "data" / "cut10ms.dat"
KEYS = [
    *("format", "width", "height", "events", "t_first_us", "t_last_us", "on_events", "frames"),
    *("triggers", "imu", "dropped", "repaired", "truncated", "checksum"),
]


def inspected(command: Python, *arguments: str | Path) -> dict[str, object]:
    done = command("inspect", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    assert list(found) == KEYS
    return found


def test_inspect(command: Python) -> None:
    found = inspected(command, RECORDING)
    assert found["format"] == "evt3"
    assert (found["width"], found["height"], found["events"]) == (640, 480, 343_474)
    assert found["checksum"] == "8b2a8821cd94ba4cba2af413408ef72bde064a42c0a8c6737c7d784c61d7ccfd"
    done = command("inspect", RECORDING)
    assert [line.split() for line in done.stdout.splitlines()] == [
        [key, str(found[key])] for key in KEYS
    ]
    assert done.stderr == ""


def test_inspect_tells_damage(command: Python, tmp_path: Path) -> None:
    path = tmp_path / "cut.raw"
    path.write_bytes(RECORDING.read_bytes()[:-1])
    found = inspected(command, path)
    assert found["truncated"] is True
    done = command("inspect", tmp_path / "none.raw")
    assert done.returncode != 0
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["a.raw", "a_evt2.raw", "a.npz", "a.h5"])
def test_convert_keeps_the_checksum(command: Python, tmp_path: Path, name: str) -> None:
    if name == "a.h5":
        pytest.importorskip("hdf5plugin", reason='missing (pip install "xsd-edge[h5]")')
    out = tmp_path / name
    done = command("convert", CUT, out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n"), done.stderr
    assert "61339 events as" in done.stderr
    before, after = inspected(command, CUT), inspected(command, out)
    assert {**before, "format": ""} == {**after, "format": ""}


def test_convert_replaces_nothing_unasked(command: Python, tmp_path: Path) -> None:
    out = tmp_path / "a.raw"
    out.write_bytes(b"mine")
    done = command("convert", CUT, out)
    assert (done.returncode, done.stdout) == (5, "")
    assert "give another name, or --force to replace it" in done.stderr
    assert out.read_bytes() == b"mine"
    assert command("convert", CUT, out, "--force", "--format", "evt2").returncode == 0
    assert inspected(command, out)["format"] == "evt2"


def test_run_shows_the_target_a_recordings_own_frames(command: Python) -> None:
    pytest.importorskip("aedat", reason='aedat is missing (pip install "xsd-edge[aedat4]")')
    sample = ROOT / "tests" / "data" / "evl_sample.aedat4"
    run = ("run", "--bundle", TINY_BUNDLE, "--camera", sample, "--fast", "--json")
    done = command(*run, "--max-tokens", "4")
    assert done.returncode == 0, done.stderr
    answer, summary = map(json.loads, done.stdout.splitlines())
    assert answer["frames"] == "recording"
    assert summary["summary"]["events"] == 6676
