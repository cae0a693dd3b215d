"""Who drafts what in a conversation: with a bundle's draft head, and without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import RECORDING, TINY_BUNDLE, Python
from xsd_edge.bundle import Bundle
from xsd_edge.errors import BundleError
from xsd_edge.runtime.session import Session
from xsd_edge.runtime.speculation import Speculation

ASKED = ("--prompt", "What moves?", "--prompt", "What moves?")


def test_without_a_head_earlier_answers_draft(headless: Path, command: Python) -> None:
    run = ("run", "--bundle", headless, "--camera", "demo", "--fast", "--max-tokens", "16")
    done = command(*run, *ASKED, "--exact", "--compare-plain", "--json")
    assert done.returncode == 0, done.stderr
    first, second, _ = [json.loads(line) for line in done.stdout.splitlines()]
    assert first["equal"]
    assert second["equal"]
    assert first["answer"] == second["answer"]
    assert second["early_accepted"] + second["accepted"] > 0


def test_a_fixed_length_is_the_draft_heads(headless: Path) -> None:
    with pytest.raises(BundleError, match="no draft head for --gamma 3; leave --gamma out"):
        Speculation(Session(Bundle(headless)), 3)
    assert Speculation(Session(Bundle(TINY_BUNDLE)), 3).costs is None


def test_without_a_head_nothing_reads_events(headless: Path) -> None:
    session = Session(Bundle(headless))
    assert session.silence().aligned.shape == (1, 0, session.manifest.target.hidden)
    assert session.predictor is None


def test_without_a_head_a_profile_is_made(headless: Path, command: Python) -> None:
    done = command(
        "profile", headless, "--camera", RECORDING, "--max-clips", "2", "--json", timeout=200
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"]
