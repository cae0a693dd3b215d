"""Options of `xsd-edge run` that make no sense are refused before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xsd_edge.runtime.options import OptionError, RunOptions, parse_gamma


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"bundle": Path("bundle"), "camera": "demo", **changes})


def test_defaults_are_greedy_and_adaptive() -> None:
    asked = options()
    assert (asked.temperature, asked.gamma, asked.prompts) == (0, None, ("Describe the scene.",))


@pytest.mark.parametrize(
    "changes",
    [
        {"temperature": 1.5, "top_p": 0.1, "top_k": 5, "seed": 3},
        {"gamma": 0},
        {"plain": True, "gamma": 0},
        {"plain": True, "exact": True},
        {"video": "street.mp4", "compare_plain": True},
        {"frames": "rendered", "mode": "exact-match"},
    ],
)
def test_sensible_combinations(changes: dict[str, Any]) -> None:
    assert options(**changes)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"camera": ""}, "--camera"),
        ({"prompts": ("What moves?", " ")}, "--prompt"),
        ({"prompts": ()}, "--prompt"),
        ({"temperature": -0.1}, "--temperature"),
        ({"temperature": float("nan")}, "--temperature"),
        ({"temperature": float("inf")}, "--temperature"),
        ({"top_p": 0.0}, "--top-p"),
        ({"top_p": 1.01}, "--top-p"),
        ({"top_p": float("nan")}, "--top-p"),
        ({"top_k": -1}, "--top-k"),
        ({"seed": -1}, "--seed"),
        ({"gamma": -1}, "--gamma"),
        ({"max_clips": 0}, "--max-clips"),
        ({"max_tokens": 0}, "--max-tokens"),
        ({"frames": "drawn"}, "--frames must be auto or rendered"),
        ({"mode": "gated"}, "--mode must be rejection or exact-match"),
        ({"plain": True, "compare_plain": True}, "--compare-plain"),
        ({"plain": True, "gamma": 4}, "--gamma"),
        ({"video": "street.mp4", "frames": "rendered"}, "--video"),
    ],
)
def test_nonsense_names_the_option(changes: dict[str, Any], names: str) -> None:
    with pytest.raises(OptionError, match=names):
        options(**changes)


def test_gamma_is_auto_or_a_number() -> None:
    assert parse_gamma("auto") is None
    assert parse_gamma("0") == 0
    with pytest.raises(OptionError, match=r"'auto' or a number, not '3.5'"):
        parse_gamma("3.5")
