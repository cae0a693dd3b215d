"""What a profile says it was measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import TINY_BUNDLE
from tests.profiling import boards
from xsd_edge.bundle import Bundle
from xsd_edge.machine import Machine
from xsd_edge.profiling.facts import bundle_facts, machine_facts, power_mode


def test_a_board(tmp_path: Path) -> None:
    facts = machine_facts(Machine(boards.agx_orin_jetpack5(tmp_path)))
    assert facts["model"] == "NVIDIA Jetson AGX Orin Developer Kit"
    assert facts["power_mode"] == "30W"
    assert facts["clocks_pinned"] is False
    assert facts["l4t"] == "35.4.1"
    assert facts["cores"] >= 1


def test_an_empty_root_says_nothing(tmp_path: Path) -> None:
    facts = machine_facts(Machine(tmp_path))
    for key in ("model", "board", "processor", "memory_bytes", "jetpack", "power_mode"):
        assert facts[key] is None, key
    assert facts["clocks_pinned"] is None
    assert facts["software"]["tensorrt"] is None or facts["software"]["tensorrt"]


@pytest.mark.parametrize(
    ("script", "mode"),
    [
        ("echo 'NV Power Mode: 25W'; echo 1", "25W"),
        ("echo 'NVPM ERROR: need root' >&2; exit 1", None),
    ],
)
def test_nvpmodel_is_asked_where_its_files_are_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, mode: str | None
) -> None:
    if Machine().power_mode is not None:
        pytest.skip("this machine's own nvpmodel files tell")
    program = tmp_path / "nvpmodel"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert power_mode(Machine()) == mode
    assert power_mode(Machine(tmp_path)) is None  # another root is another machine


def test_a_bundle_is_known_by_its_manifest() -> None:
    facts = bundle_facts(Bundle(TINY_BUNDLE))
    assert len(facts["id"]) == 64
    assert facts["board"] == "cpu"
    assert facts["parts"]["target"]
