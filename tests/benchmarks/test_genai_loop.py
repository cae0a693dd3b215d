"""benchmarks/genai_loop.py: both loops do the same work."""

from __future__ import annotations

import json

import pytest

from tests.conftest import ROOT, TINY_BUNDLE, Python

pytestmark = pytest.mark.host


def test_both_say_the_same_and_the_ratio_is_told(python: Python) -> None:
    done = python(ROOT / "benchmarks" / "genai_loop.py", TINY_BUNDLE, "--runs", "3")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["same_answers"] == found["plain_vs_genai"]["n"] == 3
    low, high = found["plain_vs_genai"]["interval"]
    assert 0 < low <= found["plain_vs_genai"]["value"] <= high


def test_the_bundle_is_left_as_it_was(python: Python) -> None:
    before = sorted(TINY_BUNDLE.parent.iterdir())
    python(ROOT / "benchmarks" / "genai_loop.py", TINY_BUNDLE, "--runs", "1")
    assert sorted(TINY_BUNDLE.parent.iterdir()) == before
