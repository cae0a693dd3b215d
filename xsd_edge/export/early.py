"""The early drafter in a bundle: its trained weights, and its two networks as export sees them."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from xsd_edge.errors import TrainingError
from xsd_edge.export.networks import Network
from xsd_edge.models.early import Early
from xsd_edge.recipe import Recipe


def load_early(recipe: Recipe, width: int, vocabulary: int) -> Early | None:
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


def early_networks(early: Early, recipe: Recipe, width: int) -> tuple[Network, ...]:
    """Memory and head; the head's rows and past vary."""
    spec = recipe.early
    assert spec is not None
    events = (recipe.drafter.event_side // recipe.drafter.event_patch) ** 2
    heads, head_width = spec.layers * spec.heads, spec.width // spec.heads
    known = (1, heads, events + spec.previous, head_width)
    rows, past = 3, 7
    example = {
        "embedding": torch.rand(1, rows, width),
        "position": torch.arange(rows) + past,
        "past_keys": torch.rand(1, past, heads, head_width),
        "past_values": torch.rand(1, past, heads, head_width),
        "mask": torch.zeros(rows, past + rows),
        "memory_keys": torch.rand(known),
        "memory_values": torch.rand(known),
    }
    outputs = ("logits", "keys", "values")
    dynamic = {
        "embedding": {1: "m"},
        "position": {0: "m"},
        "past_keys": {1: "S"},
        "past_values": {1: "S"},
        "mask": {0: "m", 1: "T"},
        **{name: {1: "m"} for name in outputs},
    }
    seen = (torch.rand(1, events, width), torch.rand(1, spec.previous, width))
    return (
        Network("early_memory", early.memory, ("aligned", "previous"), ("keys", "values"), seen),
        Network(
            "early_head", early.head, tuple(example), outputs, tuple(example.values()), dynamic
        ),
    )
