"""A tiny ablation from nothing to the table; cut in the middle, it goes on."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import ROOT, TINY_BUNDLE
from tests.export.conftest import smallest_recipe, write_base, write_trained
from xsd_edge.bundle import Bundle, sha256_of
from xsd_edge.errors import TrainingError
from xsd_edge.recipe import AblationSpec, Recipe
from xsd_edge.training.ablation.plot import draw
from xsd_edge.training.ablation.rows import BY_NAME
from xsd_edge.training.ablation.run import ablate
from xsd_edge.training.ablation.table import render
from xsd_edge.training.bench import Run

pytestmark = [pytest.mark.host, pytest.mark.slow]

ROWS = tuple(BY_NAME[name] for name in ("text", "lookup", "previous_events"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ablation")


@pytest.fixture(scope="module")
def recipe(place: Path) -> Recipe:
    """The tiny bundle's sizes; answers in single bytes are long, so there are few."""
    demo = Recipe.load(ROOT / "export" / "demo.toml")
    assert demo.early is not None
    tiny = smallest_recipe(place / "recipe")
    tiny = replace(
        tiny,
        drafter_training=replace(tiny.drafter_training, feedback=2),
        ablation=AblationSpec(
            streams=1,
            clips=3,
            questions=1,
            align_steps=2,
            steps=3,
            batch=2,
            judged_streams=2,
            judged_clips=2,
        ),
    )
    torch.manual_seed(0)
    write_trained(tiny, write_base(place / "cache" / "nobody--tiny"))
    return replace(tiny, early=replace(demo.early, encoder_layers=1))


@pytest.fixture(scope="module")
def bundle(recipe: Recipe, place: Path) -> Bundle:
    """The tiny bundle, as if exported from this very target."""
    return bundle_of(sha256_of(recipe.folder / recipe.target.trained), place / "bundle")


def bundle_of(target: str, folder: Path) -> Bundle:
    shutil.copytree(TINY_BUNDLE, folder)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["provenance"]["target"] = target
    (folder / "bundle.json").write_text(json.dumps(manifest))
    return Bundle(folder)


def test_a_cut_run_ends_where_a_whole_one_does(recipe: Recipe, bundle: Bundle, place: Path) -> None:
    done: list[str] = []

    def cut(name: str, step: int, steps: int, values: dict[str, float]) -> None:
        if name == "judge blur":
            raise KeyboardInterrupt

    def note(name: str, step: int, steps: int, values: dict[str, float]) -> None:
        done.append(name)

    folder = place / "run"
    with pytest.raises(KeyboardInterrupt):
        ablate(Run(recipe, folder, place / "cache", False, cut), bundle, ROWS)
    before = (folder / "judged" / "blur.jsonl").read_text()
    found = ablate(Run(recipe, folder, place / "cache", True, note), bundle, ROWS)
    assert {name for name in done if "judge" not in name} == set()  # nothing is trained again
    assert (folder / "judged" / "blur.jsonl").read_text().startswith(before)

    assert list(found["conditions"]) == ["sharp", "blur", "dark", "two_frames"]
    assert list(found["conditions"]["sharp"]["rows"]) == [row.name for row in ROWS]
    assert "text" not in found["conditions"]["dark"]["rows"]
    check_rows(found)
    assert all(cost > 0 for cost in found["c"].values())
    for row in ROWS:
        assert f"| {row.title} |" in render(found)
    draw(found, folder / "kinds.png")
    assert (folder / "kinds.png").read_bytes().startswith(b"\x89PNG")

    with pytest.raises(TrainingError, match="judged other rows"):
        ablate(Run(recipe, folder, place / "cache", True, note), bundle, ROWS[:2])


def check_rows(found: dict[str, Any]) -> None:
    for condition in found["conditions"].values():
        for figures in condition["rows"].values():
            assert 0 <= figures["acceptance_t0"] <= 1
            assert 1 <= figures["tokens_per_round"] <= 6
            assert figures["speedup"] > 0


def test_another_target_is_refused(recipe: Recipe, place: Path) -> None:
    def silent(name: str, step: int, steps: int, values: dict[str, float]) -> None:
        pass

    run = Run(recipe, place / "none", place / "cache", False, silent)
    with pytest.raises(TrainingError, match="has another target"):
        ablate(run, bundle_of("0" * 64, place / "other"), ROWS)
    with pytest.raises(TrainingError, match="no \\[early\\] and \\[ablation\\]"):
        ablate(replace(run, recipe=replace(recipe, ablation=None)), Bundle(TINY_BUNDLE), ROWS)
