"""`xsd-edge build` and a run on what it built, as processes that see the stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import FAKES, TINY_BUNDLE, Python
from tests.fakes.orin_bundle import PARTS, orin_bundle


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Lets processes import the stand-ins."""
    monkeypatch.setenv("XSD_FAKES", str(FAKES))
    return monkeypatch


WITH_FAKES = """
import os, sys
sys.path.insert(0, os.environ["XSD_FAKES"])
from xsd_edge.cli import main
main()
"""


def test_build_then_run(python: Python, seen: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = orin_bundle(tmp_path / "bundle", tolerance=0.97)
    done = python("-c", WITH_FAKES, "build", folder, "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["place"]["tensorrt"] == "10.3.0"
    assert {part["chosen"] for part in document["parts"].values()} <= {"fp16", "int8"}
    assert set(document["parts"]) == set(PARTS)
    arguments = ("run", "--bundle", folder, "--camera", "demo", "--fast", "--json")
    ran = python("-c", WITH_FAKES, *arguments, "--max-clips", "1", "--max-tokens", "4")
    assert ran.returncode == 0, ran.stderr
    assert "much slower" not in ran.stderr
    answer = json.loads(ran.stdout.splitlines()[0])
    assert answer["tokens"] >= 1


def test_a_table_for_people(python: Python, seen: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = orin_bundle(tmp_path / "bundle")
    done = python("-c", WITH_FAKES, "build", folder)
    assert done.returncode == 0, done.stderr
    assert "# Engines" in done.stdout
    assert "TensorRT 10.3.0 on Orin, 8 SMs" in done.stderr


def test_no_engine_within_tolerance_is_an_error(
    python: Python, seen: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen.setenv("FAKE_NOISE", json.dumps({"fp32": 2.0, "int8": 2.0}))
    folder = orin_bundle(tmp_path / "bundle")
    done = python("-c", WITH_FAKES, "build", folder)
    assert done.returncode == 4
    last = done.stderr.splitlines()[-1]
    assert last.startswith("xsd-edge: error: no engine of alignment, event_memory passed")


def test_without_tensorrt_one_line_says_what_to_do(command: Python, tmp_path: Path) -> None:
    folder = orin_bundle(tmp_path / "bundle")
    done = command("build", folder)
    assert (done.returncode, done.stdout) == (9, "")
    (line,) = done.stderr.splitlines()
    assert "--system-site-packages" in line


def test_a_bundle_for_a_cpu(command: Python) -> None:
    done = command("build", TINY_BUNDLE)
    assert done.returncode == 4
    assert "needs no engines" in done.stderr


def test_run_without_engines_falls_back_and_says_so(command: Python, tmp_path: Path) -> None:
    folder = orin_bundle(tmp_path / "bundle")
    arguments = ("run", "--bundle", folder, "--camera", "demo", "--fast", "--json")
    done = command(*arguments, "--max-clips", "1", "--max-tokens", "4")
    assert done.returncode == 0, done.stderr
    assert "ONNX Runtime runs alignment, event_memory, much slower" in done.stderr
