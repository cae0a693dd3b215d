"""Which small networks a bundle has: for each its module, its graph's names, and example inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.models.drafter import Drafter
from xsd_edge.recipe import DrafterSpec, TargetSpec


@dataclass(frozen=True, slots=True)
class Network:
    """One part of a bundle. `dynamic` names the dimensions that vary, per input."""

    name: str
    module: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    example: tuple[Tensor, ...]
    dynamic: dict[str, dict[int, str]] = field(default_factory=dict)

    def reference(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """What PyTorch answers, one tensor per output."""
        with torch.no_grad():
            result = self.module(*inputs)
        return (result,) if isinstance(result, Tensor) else tuple(result)


class Vision(nn.Module):
    """Frames as the target's language model reads them: all tower layers but one, then projector.

    in  pixels  [n, 3, side, side] float32, normalised
    out visual  [n, tokens_per_frame, D] float32, CLS first
    """

    def __init__(self, model: VideoLlavaForConditionalGeneration) -> None:
        super().__init__()
        tower = model.model.video_tower
        self.embeddings, self.norm = tower.embeddings, tower.pre_layrnorm
        # VideoLLaVA reads hidden_states[-2]: what enters the last layer.
        self.layers = tower.encoder.layers[:-1]
        self.projector = model.model.multi_modal_projector

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.norm(self.embeddings(pixels))
        for layer in self.layers:
            x = layer(x, attention_mask=None)
        return self.projector(x)  # type: ignore[no-any-return]


def small_networks(
    target: VideoLlavaForConditionalGeneration,
    drafter: Drafter,
    target_spec: TargetSpec,
    drafter_spec: DrafterSpec,
) -> tuple[Network, ...]:
    """All parts but the target's language model; each reads the results of those before it."""
    width = target.config.get_text_config().hidden_size
    side, bins = drafter_spec.event_side, drafter_spec.event_bins
    tokens = (side // drafter_spec.event_patch) ** 2
    head = (drafter_spec.head_heads, drafter_spec.head_width // drafter_spec.head_heads)
    images = torch.rand(2, 3, target_spec.image_size, target_spec.image_size)
    events = torch.rand(1, 2 * bins, side, side)
    aligned = torch.rand(1, tokens, width)
    features = torch.rand(1, tokens, drafter_spec.event_hidden)
    predicted = (torch.rand(1, width), aligned)
    return (
        Network(
            "vision", Vision(target), ("pixels",), ("visual",), (images,), {"pixels": {0: "n"}}
        ),
        Network("event_encoder", drafter.encoder, ("events",), ("features",), (events,)),
        Network("alignment", drafter.alignment, ("features",), ("aligned",), (features,)),
        Network("event_memory", drafter.memory, ("aligned",), ("keys", "values"), (aligned,)),
        draft_head_network(drafter, width, drafter_spec.head_width, tokens, head),
        Network(
            "acceptance_predictor", drafter.predictor, ("hidden", "aligned"), ("logits",), predicted
        ),
    )


def draft_head_network(
    drafter: Drafter, width: int, head_width: int, tokens: int, head: tuple[int, int]
) -> Network:
    rows, past = 3, 7
    example = {
        "embedding": torch.rand(1, rows, width),
        "hidden": torch.rand(1, rows, width),
        "feature": torch.rand(1, rows, head_width),
        "position": torch.arange(rows) + past,
        "past_keys": torch.rand(1, past, *head),
        "past_values": torch.rand(1, past, *head),
        "mask": torch.zeros(rows, past + rows),
        "memory_keys": torch.rand(1, head[0], tokens, head[1]),
        "memory_values": torch.rand(1, head[0], tokens, head[1]),
    }
    dynamic = {
        **{name: {1: "m"} for name in ("embedding", "hidden", "feature")},
        "position": {0: "m"},
        **{name: {1: "S"} for name in ("past_keys", "past_values")},
        "mask": {0: "m", 1: "T"},
    }
    outputs = ("logits", "feature_out", "keys", "values")
    return Network(
        "draft_head", drafter.head, tuple(example), outputs, tuple(example.values()), dynamic
    )
