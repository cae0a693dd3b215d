"""The early drafter in a bundle: its trained weights, and its two networks as export sees them."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from xsd_edge.checkpoint_recipe import AnyRecipe
from xsd_edge.errors import TrainingError
from xsd_edge.export.networks import EXAMPLE_ROWS, Network, head_network
from xsd_edge.models.early import Early
from xsd_edge.recipe import DrafterSpec


def load_early(recipe: AnyRecipe, width: int, vocabulary: int) -> Early | None:
    """The trained early drafter in float32; None where the recipe has none.

    Raises:
        TrainingError: it has not been trained, or not for this recipe's sizes.
    """
    if recipe.early is None:
        return None
    path = recipe.folder / recipe.early.trained
    if not path.is_file():
        raise TrainingError(
            f"{path} does not exist; train it with: xsd-edge train early --recipe {recipe.name}"
        )
    early = Early(recipe.early, recipe.drafter, width, vocabulary)
    try:
        early.load_state_dict({k: v.float() for k, v in load_file(path).items()})
    except (SafetensorError, OSError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(
            f"{path} does not fit recipe {recipe.name} ({reason}); "
            f"train it again with: xsd-edge train early --recipe {recipe.name}"
        ) from error
    return early.eval()


def early_networks(early: Early, drafter: DrafterSpec, width: int) -> tuple[Network, ...]:
    """Memory and head; the head's rows and past vary."""
    spec = early.spec
    counts = torch.rand(1, 2 * drafter.event_bins, drafter.event_side, drafter.event_side)
    seen = (counts, torch.rand(1, spec.previous, width))
    rows = {"embedding": torch.rand(1, EXAMPLE_ROWS, width)}
    memory = (
        spec.layers * spec.heads,
        drafter.event_tokens + spec.previous,
        spec.width // spec.heads,
    )
    return (
        Network("early_memory", early.memory, ("events", "previous"), ("keys", "values"), seen),
        head_network("early_head", early.head, rows, ("logits", "keys", "values"), memory),
    )
