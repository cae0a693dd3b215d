"""[world] in a recipe, and the world that a bundle records: strict, and the same when read back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.conftest import ROOT, TINY_BUNDLE
from xsd_edge.bundle import Bundle
from xsd_edge.errors import RecipeError
from xsd_edge.events.simulator import PRESETS
from xsd_edge.recipe import Recipe
from xsd_edge.world.spec import PIXELS, PLAIN, RICH, World

DEMO = ROOT / "export" / "demo.toml"


def with_world(folder: Path, table: str) -> Path:
    text = DEMO.read_text(encoding="utf-8")
    before, rest = text.split("[world]")
    path = folder / "own.toml"
    path.write_text(f"{before}[world]\n{table}\n[{rest.split('[', 1)[1]}", encoding="utf-8")
    return path


def test_the_demo_s_weights_are_of_the_plain_world() -> None:
    assert Recipe.load(DEMO).world == PLAIN


def test_a_level_and_what_differs_from_it(tmp_path: Path) -> None:
    recipe = Recipe.load(
        with_world(
            tmp_path, 'level = "rich"\ncamera = 0\nshapes = ["circle", "ring", "cross", "square"]'
        )
    )
    shapes = ("circle", "ring", "cross", "square")
    assert recipe.world == replace(RICH, camera=0.0, shapes=shapes)
    assert (PLAIN.name, RICH.name, recipe.world.name) == ("plain", "rich", "own")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('level = "baroque"', "known: plain, rich"),
        ("rain = 0.5", "unknown key world.rain"),
        ("flicker = 2", "flicker must be a chance"),
        ('grounds = ["water"]', "grounds must be some of"),
        ('shapes = ["circle", "square", "ring", "heart"]', "no shape"),
        ('shapes = ["circle", "square"]', "at least four"),
        ('pixels = "cheap"', "pixels must be"),
        ('camera = "yes"', "world.camera must be float"),
    ],
)
def test_a_wrong_table_is_one_clear_line(tmp_path: Path, table: str, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Recipe.load(with_world(tmp_path, table))


def test_pixels_are_the_simulator_s_presets() -> None:
    assert {*PIXELS} == {*PRESETS}


@pytest.mark.parametrize("world", [PLAIN, RICH, replace(RICH, turns=0.0)], ids=str)
def test_a_bundle_records_its_world(world: World, tmp_path: Path) -> None:
    manifest = json.loads((TINY_BUNDLE / "bundle.json").read_text(encoding="utf-8"))
    manifest["world"] = world.table()
    (tmp_path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert World.of(Bundle(tmp_path)) == world


def test_a_bundle_from_before_is_of_the_plain_world() -> None:
    assert World.of(Bundle(TINY_BUNDLE)) == PLAIN


def test_a_bundle_of_a_world_to_come_is_refused(tmp_path: Path) -> None:
    manifest = json.loads((TINY_BUNDLE / "bundle.json").read_text(encoding="utf-8"))
    manifest["world"] = {"rain": 1.0}
    (tmp_path / "bundle.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(RecipeError, match=r"unknown key world\.rain"):
        World.of(Bundle(tmp_path))
