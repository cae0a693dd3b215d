"""`xsd-edge certify` as a process: exit codes, one JSON document, tables."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import TINY_BUNDLE, Python
from tests.test_cli import assert_one_line_error


def test_help(command: Python) -> None:
    text = command("certify", "--help").stdout
    options = ("--prompts", "--prompt", "--camera", "--exact", "--self-test", "--json", "--seed")
    assert all(option in text for option in options)
    assert "exit 20" in text


def test_without_a_bundle(command: Python, tmp_path: Path) -> None:
    assert_one_line_error(command("certify", tmp_path / "none"), 4, "xsd-edge export")


@pytest.mark.parametrize("option", ["--prompts", "--contexts", "--max-tokens"])
def test_bad_values_are_refused_first(command: Python, option: str) -> None:
    assert_one_line_error(command("certify", "none", option, "0"), 2, option)


SMALL = ("--prompts", "6", "--contexts", "1", "--max-tokens", "8")


@pytest.mark.slow
def test_a_lossless_bundle_gets_its_certificate(command: Python) -> None:
    done = command("certify", TINY_BUNDLE, *SMALL, "--json", timeout=400)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["verdict"] == "lossless"
    assert document["greedy"]["prompts"] == 6
    assert {test["mode"] for test in document["distributions"]["tests"]} == {
        "rejection",
        "exact-match",
    }
    assert all(test["draws"] >= test["draws_needed"] for test in document["distributions"]["tests"])
    assert "greedy answers 6/6" in done.stderr


WITH_A_BUG = """
import sys
import numpy as np
from xsd_edge.runtime import verifier

def judge(self, logits, proposal):
    drafted = len(proposal.tokens)
    return verifier.Verdict(drafted, int(logits[drafted].argmax()))

verifier.GreedyVerifier.judge = judge  # accepts whatever was drafted
from xsd_edge.cli import main
main()
"""


@pytest.mark.slow
def test_a_product_with_a_bug_gets_none(python: Python) -> None:
    """The bug is in the installed product itself, not in what certify plants."""
    done = python("-c", WITH_A_BUG, "certify", TINY_BUNDLE, *SMALL, "--exact", timeout=400)
    assert done.returncode == 20, done.stderr
    lines = done.stdout.splitlines()
    assert any("greedy answers are not plain decoding's" in line for line in lines)
    assert lines[-1].startswith("NOT lossless")
