"""The trained model pair of a recipe, and what a bundle's manifest says about it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
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
from xsd_edge.checkpoint_recipe import AnyRecipe, CheckpointRecipe
from xsd_edge.errors import TrainingError
from xsd_edge.export.checkpoint import checkpoint_hashes, clip_of, load_checkpoint
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


def load(recipe: AnyRecipe, cache: Path, report: Report) -> Loaded:
    """The pair of a recipe of either kind; a published target need not have a drafter yet.

    Raises:
        TrainingError: target or drafter have not been trained, or not for this recipe's sizes.
        AssetError: the base model or checkpoint cannot be had.
        RecipeError: a checkpoint has other sizes than its recipe says.
    """
    return Loaded(*load_pair(recipe, cache, report), pair_hashes(recipe, cache))


def unheard(line: str) -> None:
    """What nobody listens to."""


def load_pair(recipe: AnyRecipe, cache: Path, report: Report = unheard) -> tuple[Pair, str]:
    """Both models in float32, the target merged; and the tokenizer's JSON. Raises as `load`."""
    drafter = recipe.folder / recipe.drafter.trained
    if isinstance(recipe, Recipe):  # before anything large is read
        _require_trained(recipe, recipe.target.trained, "target")
        _require_trained(recipe, recipe.drafter.trained, "drafter")
    pair, tokenizer_json = load_target(recipe, cache, report)
    if not drafter.is_file():
        return pair._replace(clip=replace(pair.clip, event_side=0, event_bins=0)), tokenizer_json
    network, vocabulary = load_drafter(recipe, drafter, pair.width)
    early = load_early(recipe, pair.width, len(vocabulary))
    return pair._replace(drafter=network, vocabulary=vocabulary, early=early), tokenizer_json


def load_target(recipe: AnyRecipe, cache: Path, report: Report = unheard) -> tuple[Pair, str]:
    """The target in float32, without its drafter; and the tokenizer's JSON. Raises as `load`."""
    if isinstance(recipe, CheckpointRecipe):
        report(f"loading {recipe.name}: target {recipe.checkpoints.target}")
        return load_checkpoint(recipe, cache, report)
    report(f"loading {recipe.name}: base model, target")
    target, words, tokenizer_json = trained_target(recipe, cache)
    info, clip = target_info(recipe, target), clip_info(recipe)
    pair = Pair(recipe.name, target, info, words, recipe.target.prompt, clip, recipe.world)
    return pair, tokenizer_json


def _require_trained(recipe: Recipe, trained: str, what: str) -> None:
    if not (recipe.folder / trained).is_file():
        raise TrainingError(
            f"{recipe.folder / trained} does not exist; "
            f"train it with: xsd-edge train {what} --recipe {recipe.name}"
        )


def load_drafter(recipe: AnyRecipe, weights: Path, width: int) -> tuple[Drafter, NDArray[np.int32]]:
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


def pair_hashes(recipe: AnyRecipe, cache: Path) -> dict[str, str]:
    """sha256 of everything that `load_pair` reads."""
    if isinstance(recipe, CheckpointRecipe):
        return {**checkpoint_hashes(recipe, cache), **_hashes(recipe, _drafting(recipe))}
    base = fetch_base(recipe.base, cache)
    weights = sorted(base.glob("*.safetensors")) if base.is_dir() else [base]
    return {"base": " ".join(sha256_of(path) for path in weights), **trained_hashes(recipe)}


def trained_hashes(recipe: Recipe) -> dict[str, str]:
    """sha256 of everything that was trained on top of the base model."""
    return _hashes(recipe, {"target": recipe.target.trained, **_drafting(recipe)})


def _drafting(recipe: AnyRecipe) -> dict[str, str]:
    """Where the weights of the drafter lie, and of the early drafter if there is one."""
    trained = recipe.drafter.trained
    if isinstance(recipe, CheckpointRecipe) and not (recipe.folder / trained).is_file():
        return {}
    early = {} if recipe.early is None else {"early": recipe.early.trained}
    return {"drafter": trained, **early}


def _hashes(recipe: AnyRecipe, trained: Mapping[str, str]) -> dict[str, str]:
    return {name: sha256_of(recipe.folder / path) for name, path in trained.items()}


def networks_of(pair: Pair) -> tuple[Network, ...]:
    """All parts of a pair but the target's language model."""
    small = small_networks(pair)
    if pair.early is None or pair.drafter is None:
        return small
    return (*small, *early_networks(pair.early, pair.drafter.spec, pair.width))


def clip_shown(recipe: AnyRecipe) -> ClipInfo:
    """What target and drafter are shown of a clip."""
    return clip_of(recipe) if isinstance(recipe, CheckpointRecipe) else clip_info(recipe)


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
