"""benchmarks/roofline.py: its arithmetic against figures worked out by hand or published."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "benchmarks/roofline.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_plain_step_is_its_bytes_through_the_bus(document: dict[str, Any]) -> None:
    """6.48e9 + 0.13e9 weights of 4.5 bits and 2097 tokens of half a megabyte, at 186.4 GB/s."""
    layers = 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    moved = (layers + 32064 * 4096) * 4.5 / 8 + 2 * 32 * 4096 * 2 * (8 * 257 + 41)
    step = document["boards"]["orin"]["roofline"]["stages_ms"]["plain_step"]
    assert step == pytest.approx(moved / (0.91 * 204.8e9) * 1e3, rel=1e-3)


def test_half_the_bandwidth_is_twice_the_time(document: dict[str, Any]) -> None:
    steps = {
        name: both["roofline"]["stages_ms"]["plain_step"]
        for name, both in document["boards"].items()
    }
    assert steps["orin-nx-16"] == pytest.approx(2 * steps["orin"], rel=1e-3)
    assert set(steps) == {"orin", "orin-agx-32", "orin-nx-16", "orin-nx-8", "orin-nano-8"}


def test_only_the_large_boards_hold_a_7b_target(document: dict[str, Any]) -> None:
    fits = {name for name, both in document["boards"].items() if both["roofline"]["fits"]}
    assert fits == {"orin", "orin-agx-32", "orin-nx-16"}


def test_the_errors_are_told_and_used(document: dict[str, Any]) -> None:
    rows = document["checked_against"]
    assert len(rows) >= 5
    assert all(-50 < row["error_percent"] < 10 for row in rows)
    worst = max(row["off"] for row in rows if row["bound"] == "bus")
    orin = document["boards"]["orin"]
    slow, best = (orin[kind]["stages_ms"]["plain_step"] for kind in ("as published", "roofline"))
    assert slow == pytest.approx(worst * best, rel=2e-3)
    assert orin["as published"]["speedup"] < orin["roofline"]["speedup"]


def test_speedup_is_tokens_by_the_rounds_cost(document: dict[str, Any]) -> None:
    found = document["boards"]["orin"]["roofline"]
    a, gamma = document["acceptance"], document["gamma"]
    tokens = (1 - a ** (gamma + 1)) / (1 - a)
    assert found["tokens_per_round"] == pytest.approx(tokens, rel=1e-3)
    assert found["speedup"] == pytest.approx(tokens / (gamma * found["c"] + found["v"]), rel=2e-3)
