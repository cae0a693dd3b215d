"""The trained model pair of a recipe, and what a bundle's manifest says about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from xsd_edge.assets import fetch_base
from xsd_edge.bundle import ClipInfo, DrafterInfo, sha256_of
from xsd_edge.calibration.batches import Pair
from xsd_edge.checkpoint_recipe import CheckpointRecipe
from xsd_edge.errors import TrainingError
from xsd_edge.export.checkpoint import load_checkpoint
from xsd_edge.export.early import early_networks, load_early
from xsd_edge.export.networks import Network, small_networks
from xsd_edge.models.drafter import Drafter
from xsd_edge.models.trained import target_info, trained_target
from xsd_edge.recipe import Recipe

LONGEST_REPEATED = 8  # tokens of a draft where earlier answers are all there is to draft from
Report = Callable[[str], None]


class Loaded(NamedTuple):
    """A pair ready for export, and what a bundle has to say of where it comes from."""

    pair: Pair
    tokenizer_json: str
    hashes: dict[str, str]  # sha256 of all weights that were read, by what they are


def load(recipe: Recipe | CheckpointRecipe, cache: Path, report: Report) -> Loaded:
    """The pair of a recipe of either kind.

    Raises:
        TrainingError, AssetError: as `load_pair` and `load_checkpoint`.
        RecipeError: a checkpoint has other sizes than its recipe says.
    """
    if isinstance(recipe, CheckpointRecipe):
        report(f"loading {recipe.name}: target {recipe.checkpoints.target}")
        return Loaded(*load_checkpoint(recipe, cache, report))
    report(f"loading {recipe.name}: base model, target, drafter")
    return Loaded(*load_pair(recipe, cache), pair_hashes(recipe, cache))


def load_pair(recipe: Recipe, cache: Path) -> tuple[Pair, str]:
    """Both models in float32, the target merged; and the tokenizer's JSON.

    Raises:
        TrainingError: one of them has not been trained, or not for this recipe's sizes.
        AssetError: the base model cannot be had.
    """
    for trained, what in ((recipe.target.trained, "target"), (recipe.drafter.trained, "drafter")):
        if not (recipe.folder / trained).is_file():
            raise TrainingError(
                f"{recipe.folder / trained} does not exist; "
                f"train it with: xsd-edge train {what} --recipe {recipe.name}"
            )
    target, words, tokenizer_json = trained_target(recipe, cache)
    info = target_info(recipe, target)
    drafter, vocabulary = load_drafter(recipe, recipe.folder / recipe.drafter.trained, info.hidden)
    pair = Pair(
        recipe.name,
        target,
        info,
        words,
        recipe.target.prompt,
        clip_info(recipe),
        recipe.world,
        drafter,
        vocabulary,
        load_early(recipe, info.hidden, len(vocabulary)),
    )
    return pair, tokenizer_json


def load_drafter(recipe: Recipe, weights: Path, width: int) -> tuple[Drafter, NDArray[np.int32]]:
    """The drafter in float32 and its vocabulary, ids of the target's tokens. [Vd]

    Raises:
        TrainingError: the file is not a drafter of this recipe's sizes.
    """
    try:
        tensors = load_file(weights)
        vocabulary = tensors.pop("draft_vocabulary").to(torch.int32).numpy()
        drafter = Drafter(recipe.drafter, width, len(vocabulary))
        drafter.load_state_dict({k: v.float() for k, v in tensors.items()})
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{weights} does not fit recipe {recipe.name} ({reason}); "
            f"train it again with: xsd-edge train drafter --recipe {recipe.name}"
        ) from error
    return drafter.eval(), vocabulary


def pair_hashes(recipe: Recipe, cache: Path) -> dict[str, str]:
    """sha256 of everything that `load_pair` reads."""
    base = fetch_base(recipe.base, cache)
    weights = sorted(base.glob("*.safetensors")) if base.is_dir() else [base]
    return {"base": " ".join(sha256_of(path) for path in weights), **trained_hashes(recipe)}


def trained_hashes(recipe: Recipe) -> dict[str, str]:
    """sha256 of everything that was trained on top of the base model."""
    trained = {"target": recipe.target.trained, "drafter": recipe.drafter.trained}
    if recipe.early is not None:
        trained["early"] = recipe.early.trained
    return {name: sha256_of(recipe.folder / path) for name, path in trained.items()}


def networks_of(pair: Pair) -> tuple[Network, ...]:
    """All parts of a pair but the target's language model."""
    small = small_networks(pair)
    if pair.early is None or pair.drafter is None:
        return small
    return (*small, *early_networks(pair.early, pair.drafter.spec, pair.width))


def clip_info(recipe: Recipe) -> ClipInfo:
    target, drafter = recipe.target, recipe.drafter
    return ClipInfo(
        frames=target.frames,
        image_side=target.image_size,
        tokens_per_frame=target.tokens_per_frame,
        duration_us=target.clip_us,
        image_mean=target.image_mean,
        image_std=target.image_std,
        resize="bicubic",
        event_side=drafter.event_side,
        event_bins=drafter.event_bins,
    )


def drafter_info(pair: Pair) -> DrafterInfo:
    if pair.drafter is None:
        return DrafterInfo(0, 0, 0, 0, gamma_max=LONGEST_REPEATED)
    spec = pair.drafter.spec
    return DrafterInfo(
        width=spec.head_width,
        heads=spec.head_heads,
        head_width=spec.head_width // spec.head_heads,
        context=spec.head_context,
        gamma_max=spec.gamma_max,
        early_context=pair.early.spec.context if pair.early else 0,
    )
