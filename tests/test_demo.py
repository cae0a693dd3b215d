"""The demo pair as a user gets it: exported, then judged on held-out scenes through the runtime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.conftest import ROOT, Python

pytestmark = [pytest.mark.host, pytest.mark.slow]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The one that `make` has just brought up to date, or one of our own."""
    made = os.environ.get("XSD_EDGE_DEMO_BUNDLE")
    if made:
        return Path(made)
    from xsd_edge.boards import Board
    from xsd_edge.export.pipeline import export_bundle
    from xsd_edge.recipe import Recipe

    folder = tmp_path_factory.mktemp("demo") / "bundle"
    cache = Path(os.environ.get("XSD_EDGE_CACHE", ROOT / ".cache"))
    said: list[str] = []
    recipe = Recipe.load(ROOT / "export" / "demo.toml")
    export_bundle(recipe, Board.load("cpu"), folder, cache=cache, report=said.append)
    assert any("greedy answers equal" in line for line in said)
    return folder


def test_held_out_scenes(bundle: Path) -> None:
    """Drafted and plain answers are equal; captions are mostly right; drafts pay."""
    from benchmarks.quality import measure
    from xsd_edge.world.scenes import HELD_OUT

    found = measure(bundle, range(HELD_OUT, HELD_OUT + 40))
    assert found["all"].answers == 80
    assert found["all"].different == 0
    captions = found["describe"]
    assert captions.right / captions.answers >= 0.6
    assert captions.drafts.tokens_per_round is not None
    assert captions.drafts.tokens_per_round >= 3.5


def test_sampled_answers_follow_the_plain_stream(bundle: Path, command: Python) -> None:
    options = ("--temperature", "0.8", "--mode", "exact-match", "--exact", "--compare-plain")
    done = command("run", "--bundle", bundle, "--camera", "demo", "--fast", "--json", *options)
    assert done.returncode == 0, done.stderr
    assert '"mismatches": 0' in done.stdout
