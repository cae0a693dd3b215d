"""Which small networks a bundle has: for each its module, its graph's names, and example inputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.calibration.batches import Pair
from xsd_edge.models.drafter import Drafter, DraftHead
from xsd_edge.recipe import DrafterSpec

EXAMPLE_ROWS = 3


@dataclass(frozen=True, slots=True)
class Network:
    """One part of a bundle. `dynamic` names the dimensions that vary, per input and output."""

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


def small_networks(pair: Pair) -> tuple[Network, ...]:
    """The parts of every pair but the target's language model and the early drafter; each reads the
    results of those before it.
    """
    size = pair.clip.image_side
    vision = vision_network(pair.target, torch.rand(2, 3, size, size))
    return (vision,) if pair.drafter is None else (vision, *drafter_networks(pair, pair.drafter))


def drafter_networks(pair: Pair, drafter: Drafter) -> tuple[Network, ...]:
    width, spec = pair.width, drafter.spec
    side, tokens = spec.event_side, spec.event_tokens
    events = torch.rand(1, 2 * spec.event_bins, side, side)
    aligned = torch.rand(1, tokens, width)
    features = torch.rand(1, tokens, spec.event_hidden)
    predicted = (torch.rand(1, width), aligned)
    return (
        Network("event_encoder", drafter.encoder, ("events",), ("features",), (events,)),
        Network("alignment", drafter.alignment, ("features",), ("aligned",), (features,)),
        Network("event_memory", drafter.memory, ("aligned",), ("keys", "values"), (aligned,)),
        draft_head_network(drafter.head, spec, width, tokens),
        Network(
            "acceptance_predictor", drafter.predictor, ("hidden", "aligned"), ("logits",), predicted
        ),
    )


def vision_network(target: VideoLlavaForConditionalGeneration, images: Tensor) -> Network:
    varies = {"pixels": {0: "n"}, "visual": {0: "n"}}
    return Network("vision", Vision(target), ("pixels",), ("visual",), (images,), varies)


def draft_head_network(head: DraftHead, spec: DrafterSpec, width: int, tokens: int) -> Network:
    rows = {
        "embedding": torch.rand(1, EXAMPLE_ROWS, width),
        "hidden": torch.rand(1, EXAMPLE_ROWS, width),
        "feature": torch.rand(1, EXAMPLE_ROWS, spec.head_width),
    }
    dh = spec.head_width // spec.head_heads
    outputs = ("logits", "feature_out", "keys", "values")
    return head_network("draft_head", head, rows, outputs, (spec.head_heads, tokens, dh))


def head_network(
    name: str,
    head: nn.Module,
    rows: dict[str, Tensor],
    outputs: tuple[str, ...],
    memory: tuple[int, int, int],
) -> Network:
    """A head with a cache of its own: m rows behind S past ones. `memory` is heads, tokens, dh."""
    m, past = EXAMPLE_ROWS, EXAMPLE_ROWS + 4
    heads, tokens, dh = memory
    example = {
        **rows,
        "position": torch.arange(m) + past,
        "past_keys": torch.rand(1, past, heads, dh),
        "past_values": torch.rand(1, past, heads, dh),
        "mask": torch.zeros(m, past + m),
        "memory_keys": torch.rand(1, heads, tokens, dh),
        "memory_values": torch.rand(1, heads, tokens, dh),
    }
    dynamic = {
        **{name: {1: "m"} for name in (*rows, *outputs)},
        "position": {0: "m"},
        **{name: {1: "S"} for name in ("past_keys", "past_values")},
        "mask": {0: "m", 1: "T"},
    }
    return Network(name, head, tuple(example), outputs, tuple(example.values()), dynamic)
