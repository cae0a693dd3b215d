"""`xsd-edge profile` as a process on a real bundle with random weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RECORDING, TINY_BUNDLE, Python

SHORT = ("--max-clips", "2", "--max-tokens", "8")
PATIENCE = 240.0  # a machine that is busy with other things


def test_json_and_files(command: Python, tmp_path: Path) -> None:
    files = ("--trace", tmp_path / "t.json", "--html", tmp_path / "r.html")
    done = command(
        "profile", TINY_BUNDLE, "--camera", "demo", "--json", *files, *SHORT, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    profile = json.loads(done.stdout)
    assert profile["source"]["clips"] == 2
    assert profile["source"]["different_clips"] == 1
    assert profile["power"]["rails_w"] == {} or profile["power"]["mean_w"] != 0
    assert json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert "<svg" not in (tmp_path / "r.html").read_text()  # drawn in the browser
    assert str(tmp_path / "r.html") in done.stderr


def test_tables_for_people(command: Python) -> None:
    done = command(
        "profile", TINY_BUNDLE, "--camera", RECORDING, "--gamma", "4", *SHORT, timeout=PATIENCE
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(("speculation helps here", "turn it off", "cannot tell"))
    for word in (
        "event decode",
        "verify",
        "break-even alpha",
        "predicted",
        "KV cache",
        "power mode",
    ):
        assert word in done.stdout


def test_compare(command: Python, tmp_path: Path) -> None:
    for name in ("a", "b"):
        done = command(
            "profile", TINY_BUNDLE, "--camera", "demo", "--json", *SHORT, timeout=PATIENCE
        )
        (tmp_path / f"{name}.json").write_text(done.stdout)
    done = command("profile", "--compare", tmp_path / "a.json", tmp_path / "b.json")
    assert done.returncode == 0, done.stderr
    assert "answer" in done.stdout
    other = json.loads((tmp_path / "b.json").read_text())
    other["bundle"]["id"] = "f" * 64
    (tmp_path / "b.json").write_text(json.dumps(other))
    refused = command("profile", "--compare", tmp_path / "a.json", tmp_path / "b.json", "--json")
    assert refused.returncode == 2
    assert "--force" in refused.stderr
    assert refused.stdout == ""
    forced = command(
        "profile", "--compare", tmp_path / "a.json", tmp_path / "b.json", "--json", "--force"
    )
    assert json.loads(forced.stdout)["figures"]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ((), 2, "profile BUNDLE --camera SRC"),
        ((TINY_BUNDLE,), 2, "profile BUNDLE --camera SRC"),
        ((TINY_BUNDLE, "--camera", "demo", "--max-clips", "1"), 2, "--max-clips"),
        (
            (TINY_BUNDLE, "--camera", "demo", "--html", "nowhere/r.html"),
            2,
            "nowhere does not exist",
        ),
        (
            (TINY_BUNDLE, "--camera", "demo", "--trace", "nowhere/t.json"),
            2,
            "nowhere does not exist",
        ),
        ((TINY_BUNDLE, "--camera", "demo", "--compare", "a", "b"), 2, "leave out BUNDLE"),
        (("--compare", "a.json", "b.json"), 2, "cannot read a.json"),
        (("nothing", "--camera", "demo"), 4, "is not a bundle"),
        ((TINY_BUNDLE, "--camera", "nothing.raw"), 5, "does not exist"),
        ((TINY_BUNDLE, "--camera", "demo", "--gamma", "many"), 2, "--gamma"),
    ],
)
def test_bad_input_is_one_line(
    command: Python, arguments: tuple[str | Path, ...], code: int, says: str
) -> None:
    done = command("profile", *arguments)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert says in done.stderr
