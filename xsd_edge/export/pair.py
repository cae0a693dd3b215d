"""The trained model pair of a recipe, and what a bundle's manifest says about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from xsd_edge.assets import fetch_base
from xsd_edge.bundle import ClipInfo, DrafterInfo, sha256_of
from xsd_edge.calibration.batches import Pair
from xsd_edge.errors import TrainingError
from xsd_edge.export.early import early_networks, load_early
from xsd_edge.export.networks import Network, small_networks
from xsd_edge.models.drafter import Drafter
from xsd_edge.models.trained import trained_target
from xsd_edge.recipe import Recipe


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
    width = target.config.get_text_config().hidden_size
    drafter, vocabulary = load_drafter(recipe, recipe.folder / recipe.drafter.trained, width)
    early = load_early(recipe, width, len(vocabulary))
    return Pair(
        target, drafter, vocabulary, words, recipe, clip_info(recipe), early
    ), tokenizer_json


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
    if pair.early is None:
        return small_networks(pair)
    width = pair.target.config.get_text_config().hidden_size
    return (*small_networks(pair), *early_networks(pair.early, pair.recipe, width))


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
    spec, early = pair.recipe.drafter, pair.recipe.early
    return DrafterInfo(
        width=spec.head_width,
        heads=spec.head_heads,
        head_width=spec.head_width // spec.head_heads,
        context=spec.head_context,
        gamma_max=spec.gamma_max,
        early_context=early.context if early and pair.early else 0,
    )
