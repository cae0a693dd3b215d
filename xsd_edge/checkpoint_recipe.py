"""What a recipe TOML says of a pair of published checkpoints: where they are, and their shapes.

The shapes are those of the checkpoints' own configurations, written down so that a whole export can
be rehearsed (`xsd-edge export --dry-run`) before anything is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from xsd_edge import toml_files
from xsd_edge.errors import RecipeError
from xsd_edge.recipe import DrafterSpec, DrafterTraining, EarlySpec, EarlyTraining, Recipe
from xsd_edge.world.spec import PLAIN, World, completed


@dataclass(frozen=True, slots=True)
class CheckpointSpec:
    """The target, and a published event encoder's model that is only rehearsed: names on the
    Hugging Face hub, or folders, relative to the recipe's file.
    """

    target: str
    events: str | None = None


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
    width: int  # of its tokens
    tower: VisionSpec

    @property
    def tokens(self) -> int:
        """One per slice, and one per token of the tower."""
        return self.slices + self.tower.tokens


@dataclass(frozen=True, slots=True)
class CheckpointRecipe:
    """A pair whose target was trained elsewhere; its drafter is trained as the demo's is."""

    name: str
    checkpoints: CheckpointSpec
    clip: ClipSpec
    language: LanguageSpec
    vision: VisionSpec
    drafter: DrafterSpec
    draft_vocabulary: int  # that a rehearsal assumes; training finds its own
    folder: Path
    events: EventsSpec | None = None  # None: a rehearsal reads events as the drafter does
    drafter_training: DrafterTraining | None = None
    early: EarlySpec | None = None
    early_training: EarlyTraining | None = None
    world: World = PLAIN  # what the drafter is trained in

    @classmethod
    def load(cls, path: Path) -> CheckpointRecipe:
        """Read a recipe file.

        Raises:
            RecipeError: the file is missing, is not TOML, lacks a key or has an unknown one.
        """
        return toml_files.load(cls, path, {"world": completed})


AnyRecipe: TypeAlias = "Recipe | CheckpointRecipe"


def load_recipe(spec: str) -> AnyRecipe:
    """A recipe of either kind by name or path; a table [checkpoints] tells them apart.

    Raises:
        RecipeError: no such recipe (the known ones are listed), or its file is wrong.
    """
    path = toml_files.find("export", spec)
    kind = CheckpointRecipe if "checkpoints" in toml_files.read(path) else Recipe
    return kind.load(path)


def require_shapes(recipe: AnyRecipe) -> CheckpointRecipe:
    """The recipe that a rehearsal can be made of.

    Raises:
        RecipeError: it does not write down the shapes of its language model.
    """
    if isinstance(recipe, CheckpointRecipe):
        return recipe
    raise RecipeError(f"{recipe.name} is exported in a minute; leave out --dry-run")
