"""The demo target: VideoLLaVA's real architecture around a small tower and SmolLM2, with low-rank
updates.

What is trained on top of the base language model (tower, projector, low-rank factors) is stored as
one safetensors file; `load_target` merges it into plain weights, so that export sees an ordinary
`VideoLlavaForConditionalGeneration`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
)

if TYPE_CHECKING:
    from xsd_edge.recipe import TargetSpec

LOW_RANK_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class LowRankLinear(nn.Module):
    """y = W x + 2 B A x with W frozen and A [r, in], B [out, r] trained in float32.

    LoRA (Hu et al. 2021, arXiv 2106.09685) with alpha = 2 r.
    """

    def __init__(self, base: nn.Linear, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(base.weight.detach(), requires_grad=False)
        self.a = nn.Parameter(torch.randn(rank, base.in_features) / base.in_features**0.5)
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))

    def forward(self, x: Tensor) -> Tensor:  # [..., in] -> [..., out]
        rows = x.flatten(0, -2)
        low = F.linear(rows, self.a.to(x.dtype))
        # addmm: the update is added inside the product, which spares two passes over the output.
        y = torch.addmm(F.linear(rows, self.weight), low, (2 * self.b).to(x.dtype).T)
        return y.unflatten(0, x.shape[:-1])

    def merged(self) -> Tensor:
        return self.weight.float() + 2 * self.b @ self.a


def video_llava_config(spec: TargetSpec, language: LlamaConfig) -> VideoLlavaConfig:
    """The architecture that a recipe's [target] section describes."""
    vision = CLIPVisionConfig(
        hidden_size=spec.vision_hidden,
        intermediate_size=spec.vision_intermediate,
        num_hidden_layers=spec.vision_layers,
        num_attention_heads=spec.vision_heads,
        image_size=spec.image_size,
        patch_size=spec.patch_size,
        projection_dim=spec.vision_hidden,
    )
    tokens = (spec.image_size // spec.patch_size) ** 2 + 1
    return VideoLlavaConfig(
        vision_config=vision,
        text_config=language,
        image_token_index=spec.image_token,
        video_token_index=spec.video_token,
        image_seq_length=tokens - 1,
        video_seq_length=tokens * spec.frames,
    )


def build_target(
    spec: TargetSpec, language: LlamaConfig, base: Mapping[str, Tensor]
) -> VideoLlavaForConditionalGeneration:
    """The untrained target: random tower and projector around the base language model's weights."""
    model = VideoLlavaForConditionalGeneration(video_llava_config(spec, language))
    body = {k.removeprefix("model."): v for k, v in base.items() if k.startswith("model.")}
    model.model.language_model.load_state_dict(body)
    head = base.get("lm_head.weight", base["model.embed_tokens.weight"])
    model.lm_head.load_state_dict({"weight": head})
    # A video model needs one tower; VideoLLaVA's second one (images) shares it here.
    model.model.image_tower = model.model.video_tower
    return model.eval()


def low_rank_sites(model: VideoLlavaForConditionalGeneration) -> Iterator[tuple[str, nn.Module]]:
    """(parent path, parent module) of every linear layer that gets a low-rank update."""
    for index, layer in enumerate(model.model.language_model.layers):
        for parent_name in ("self_attn", "mlp"):
            parent = getattr(layer, parent_name)
            for name in LOW_RANK_MODULES:
                if hasattr(parent, name):
                    yield f"{index}.{parent_name}.{name}", parent


def add_low_rank(model: VideoLlavaForConditionalGeneration, rank: int) -> None:
    """Replace each decoder projection by a trainable `LowRankLinear`, in place."""
    for path, parent in list(low_rank_sites(model)):
        name = path.rsplit(".", 1)[1]
        setattr(parent, name, LowRankLinear(getattr(parent, name), rank))


@dataclass(frozen=True, slots=True)
class TrainedPart:
    """What training put on top of the base model, as named tensors ready for safetensors."""

    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, model: VideoLlavaForConditionalGeneration) -> TrainedPart:
        tensors = {f"tower.{k}": v for k, v in model.model.video_tower.state_dict().items()}
        projector = model.model.multi_modal_projector.state_dict()
        tensors |= {f"projector.{k}": v for k, v in projector.items()}
        for path, parent in low_rank_sites(model):
            layer = getattr(parent, path.rsplit(".", 1)[1])
            if isinstance(layer, LowRankLinear):
                tensors[f"low_rank.{path}.a"] = layer.a
                tensors[f"low_rank.{path}.b"] = layer.b
        keep = {k: v.detach() for k, v in tensors.items() if v.is_floating_point()}
        return cls({k: v.to(torch.float16).contiguous() for k, v in keep.items()})

    def into(self, model: VideoLlavaForConditionalGeneration) -> None:
        """Load tower and projector; merge the low-rank updates (or fill `LowRankLinear` layers)."""
        tensors = {k: v.float() for k, v in self.tensors.items()}

        def part(prefix: str) -> dict[str, Tensor]:
            return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

        model.model.video_tower.load_state_dict(part("tower."), strict=False)
        model.model.multi_modal_projector.load_state_dict(part("projector."))
        for path, parent in low_rank_sites(model):
            layer = getattr(parent, path.rsplit(".", 1)[1])
            if f"low_rank.{path}.a" not in tensors:
                continue
            a, b = tensors[f"low_rank.{path}.a"], tensors[f"low_rank.{path}.b"]
            with torch.no_grad():
                if isinstance(layer, LowRankLinear):
                    layer.a.copy_(a)
                    layer.b.copy_(b)
                else:
                    layer.weight.add_(2 * b @ a)
