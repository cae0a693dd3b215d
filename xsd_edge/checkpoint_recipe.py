"""What a recipe TOML says of a pair of published checkpoints: where they are, and their shapes.

The shapes are those of the checkpoints' own configurations, written down so that a whole export can
be rehearsed (`xsd-edge export --dry-run`) before anything is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from xsd_edge import toml_files
from xsd_edge.errors import RecipeError
from xsd_edge.recipe import DrafterSpec, Recipe


@dataclass(frozen=True, slots=True)
class CheckpointSpec:
    """The target and the event encoder's model: names on the Hugging Face hub, or folders, relative
    to the recipe's file.
    """

    target: str
    events: str


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """What the target is shown and told, as its makers do."""

    prompt: str
    frames: int
    clip_us: int
    image_mean: tuple[float, float, float]
    image_std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class VisionSpec:
    """A CLIP tower, and how its pictures are made."""

    image_size: int
    patch_size: int
    hidden: int
    intermediate: int
    layers: int
    heads: int

    @property
    def tokens(self) -> int:
        """Patches and CLS."""
        return (self.image_size // self.patch_size) ** 2 + 1


@dataclass(frozen=True, slots=True)
class LanguageSpec:
    """A Llama, and what of its vocabulary is words; the rest is padding and is never said."""

    vocabulary: int
    words: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    context: int


@dataclass(frozen=True, slots=True)
class EventsSpec:
    """EventGPT's tower over pictures of slices of events."""

    slices: int
    tower: VisionSpec

    @property
    def tokens(self) -> int:
        """One per slice, and one per token of the tower."""
        return self.slices + self.tower.tokens


@dataclass(frozen=True, slots=True)
class CheckpointRecipe:
    """A pair whose target and event encoder were trained elsewhere."""

    name: str
    checkpoints: CheckpointSpec
    clip: ClipSpec
    language: LanguageSpec
    vision: VisionSpec
    events: EventsSpec
    drafter: DrafterSpec
    draft_vocabulary: int
    folder: Path

    @classmethod
    def load(cls, path: Path) -> CheckpointRecipe:
        """Read a recipe file.

        Raises:
            RecipeError: the file is missing, is not TOML, lacks a key or has an unknown one.
        """
        return toml_files.load(cls, path)


def load_recipe(spec: str) -> Recipe | CheckpointRecipe:
    """A recipe of either kind by name or path; a table [checkpoints] tells them apart.

    Raises:
        RecipeError: no such recipe (the known ones are listed), or its file is wrong.
    """
    path = toml_files.find("export", spec)
    kind = CheckpointRecipe if "checkpoints" in toml_files.read(path) else Recipe
    return kind.load(path)


def require_shapes(recipe: Recipe | CheckpointRecipe) -> CheckpointRecipe:
    """The recipe that a rehearsal can be made of.

    Raises:
        RecipeError: it does not write down the shapes of its language model.
    """
    if isinstance(recipe, CheckpointRecipe):
        return recipe
    raise RecipeError(f"{recipe.name} is exported in a minute; leave out --dry-run")
