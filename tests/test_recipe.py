"""Recipes are read strictly: a typing mistake is an error that names it, not a default."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import ROOT
from xsd_edge import toml_files
from xsd_edge.checkpoint_recipe import load_recipe, require_shapes
from xsd_edge.errors import RecipeError
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.prompt import FRAMES, QUESTION

DEMO = ROOT / "export" / "demo.toml"


def edited(tmp_path: Path, old: str, new: str) -> Path:
    """The demo recipe with one change."""
    text = DEMO.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize("path", toml_files.named("export").values(), ids=lambda p: p.stem)
def test_every_shipped_recipe_loads(path: Path) -> None:
    recipe = load_recipe(str(path))
    assert recipe.name == path.stem
    assert recipe.folder == path.parent


def test_published_shapes_fit_together() -> None:
    recipe = require_shapes(load_recipe("video-llava-7b"))
    assert recipe.vision.tokens == 257
    assert recipe.events is not None
    assert recipe.events.tokens == 582
    assert recipe.events.width == recipe.language.hidden
    assert recipe.language.context > recipe.clip.frames * recipe.vision.tokens
    assert FRAMES in recipe.clip.prompt
    assert QUESTION in recipe.clip.prompt
    assert recipe.drafter.event_side % recipe.drafter.event_patch == 0
    assert recipe.drafter.event_cells <= 8  # rows and columns have words up to eight


def test_a_rehearsal_wants_the_shapes_of_a_checkpoint() -> None:
    with pytest.raises(RecipeError, match="leave out --dry-run"):
        require_shapes(load_recipe("demo"))


def test_demo_sizes_fit_together() -> None:
    recipe = Recipe.load(DEMO)
    assert recipe.target.tokens_per_frame == 17
    assert recipe.drafter.event_side % recipe.drafter.event_patch == 0
    assert recipe.drafter.head_width % recipe.drafter.head_heads == 0
    assert "{question}" in recipe.target.prompt


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "demo"', 'name = "demo"\ncolor = 3', "unknown key"),
        ("image_size = 64", "image_siez = 64", "unknown key"),
        ("[drafter]", "[draughter]", "unknown key"),
        ("image_size = 64", "", "target.image_size is missing"),
        ('name = "demo"', "", "name"),
        ("image_size = 64", 'image_size = "64"', "target.image_size must be int, not '64'"),
        ("image_size = 64", "image_size = 64.5", "target.image_size must be int, not 64.5"),
        ("image_size = 64", "image_size = true", "target.image_size must be int, not True"),
        ("frames = 8", "frames = [8]", "target.frames must be int, not [8]"),
        ("image_mean = [0.5, 0.5, 0.5]", "image_mean = [0.5]", "target.image_mean must be tuple"),
        ("image_mean = [0.5, 0.5, 0.5]", 'image_mean = "grey"', "target.image_mean must be tuple"),
        ("[target]", "[target", "is not valid TOML"),
        ("image_size = 64", "image_size = 64\nimage_size = 65", "is not valid TOML"),
    ],
)
def test_a_wrong_recipe_names_file_and_key(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    path = edited(tmp_path, old, new)
    with pytest.raises(RecipeError, match=re.escape(complaint)) as caught:
        Recipe.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_section(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8")
    path = tmp_path / "short.toml"
    path.write_text(text[: text.index("[drafter_training]")], encoding="utf-8")
    with pytest.raises(RecipeError, match=r"drafter_training.* is missing"):
        Recipe.load(path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes('name = "größe"'.encode("latin-1"))
    with pytest.raises(RecipeError, match="is not valid TOML"):
        Recipe.load(path)


def test_not_there(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot read"):
        Recipe.load(tmp_path / "none.toml")


def test_a_whole_number_will_do_for_a_float(tmp_path: Path) -> None:
    recipe = Recipe.load(edited(tmp_path, "rate = 6e-4", "rate = 1"))
    assert isinstance(recipe.drafter_training.rate, float)
