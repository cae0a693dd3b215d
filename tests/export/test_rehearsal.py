"""`--dry-run`: the whole export of published shapes, small here, and one tower at its true size."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT, Python
from xsd_edge.boards import Board
from xsd_edge.checkpoint_recipe import (
    CheckpointRecipe,
    EventsSpec,
    LanguageSpec,
    VisionSpec,
    load_recipe,
    require_shapes,
)
from xsd_edge.export import rehearsal, rtx
from xsd_edge.export.rehearsal import rehearse

pytestmark = [pytest.mark.host, pytest.mark.slow]

PARTS = {
    "vision",
    "event_encoder",
    "alignment",
    "event_memory",
    "draft_head",
    "acceptance_predictor",
    "target",
}
GIGABYTES = 6


@pytest.fixture(scope="module")
def shrunk() -> CheckpointRecipe:
    """Video-LLaVA's pair with every size cut."""
    recipe = require_shapes(load_recipe("video-llava-7b"))
    tower = VisionSpec(56, 14, 64, 128, 2, 2)
    return replace(
        recipe,
        language=LanguageSpec(256, 200, 96, 160, 8, 3, 128),
        vision=tower,
        events=EventsSpec(5, 96, tower),
        drafter=replace(
            recipe.drafter,
            align_hidden=64,
            head_width=64,
            head_heads=2,
            head_intermediate=96,
            head_context=48,
        ),
        draft_vocabulary=40,
    )


def test_every_part_is_made_and_judged(shrunk: CheckpointRecipe) -> None:
    said: list[str] = []
    steps: list[tuple[int, int]] = []
    found = rehearse(
        shrunk,
        Board.load("orin"),
        report=said.append,
        progress=lambda phase, step, of, values: steps.append((step, of)),
    )
    assert set(found["parts"]) == PARTS
    assert json.loads(json.dumps(found)) == found
    for name in PARTS - {"target"}:
        part = found["parts"][name]
        assert set(part["bytes"]) == {"fp16", "int8"}
        assert min(part["cosine_min"].values()) > 0.97
        assert part["compiled"] == (["fp16", "int8"] if rtx.available() else [])
    assert steps[-1] == (len(PARTS), len(PARTS))
    assert said[0].endswith("of the language model's 8 layers only 2")
    assert (found["parts"]["target"]["layers"], found["parts"]["target"]["of_layers"]) == (2, 8)
    assert "peak memory" in said[-1]


def test_events_are_read_as_the_drafter_does_where_no_encoder_is_named(
    shrunk: CheckpointRecipe,
) -> None:
    spec = replace(shrunk.drafter, event_layers=1, event_hidden=24, event_heads=2)
    network, feeds = rehearsal._event_encoder(replace(shrunk, events=None, drafter=spec))
    assert feeds[0]["events"].shape == (1, 10, 128, 128)
    (features,) = network.reference(*network.example)
    assert features.shape == (1, spec.event_tokens, 24)


TOWER = """
import resource, sys, tempfile
from pathlib import Path
from xsd_edge.boards import Board
from xsd_edge.checkpoint_recipe import load_recipe, require_shapes
from xsd_edge.export import rehearsal, rtx

rtx.available = lambda: False  # the small rehearsal is compiled
recipe = require_shapes(load_recipe("video-llava-7b"))
with tempfile.TemporaryDirectory() as folder:
    made = rehearsal._small(*rehearsal._vision(recipe), recipe, Board.load("orin"), Path(folder))
assert set(made.graphs) == {"fp16", "int8"}
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20))
"""


def test_a_whole_tower_in_memory(python: Python) -> None:
    """ViT-L/14 with its projector, 312 M parameters: lint and parity."""
    done = python("-c", TOWER, timeout=900)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < GIGABYTES


LANGUAGE = """
import sys
from pathlib import Path
from xsd_edge.boards import Board
from xsd_edge.checkpoint_recipe import load_recipe, require_shapes
from xsd_edge.export import rehearsal

recipe = require_shapes(load_recipe("video-llava-7b"))
made = rehearsal._target(recipe, Board.load("orin"), Path(sys.argv[1]), print)
print(made["cosine_min"]["int4"], made["layers"], made["bytes"]["int4"])
"""


def test_a_language_model_of_7b_shapes(python: Python, tmp_path: Path) -> None:
    """Two of its layers in INT4 for CUDA, 670 M parameters, answer as PyTorch's."""
    done = python("-c", LANGUAGE, tmp_path / "target", timeout=900)
    assert done.returncode == 0, done.stderr
    cosine, layers, size = done.stdout.splitlines()[-1].split()
    assert float(cosine) > 0.9999
    assert layers == "2"
    assert 3.5e9 < int(size) < 4.5e9  # all 32 layers, extrapolated


def test_a_recipe_that_is_quick_has_no_rehearsal(python: Python) -> None:
    recipe = ROOT / "export" / "demo.toml"
    arguments = ("export", "--target", "orin", "--recipe", recipe, "--dry-run")
    done = python("-m", "xsd_edge", *arguments)
    assert done.returncode == 2
    assert "leave out --dry-run" in done.stderr
