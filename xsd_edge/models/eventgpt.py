"""EventGPT's event encoder (Liu et al., CVPR 2025): slices of events to 582 tokens.

Five slices of equal event counts are drawn as pictures (`events.slices`). Each goes through CLIP's
ViT-L/14-336, whose final layer is read with CLS and without the norm behind it. Projector and
adaptor follow, then means: over tokens (one row per slice) and over slices (one row per token).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModel

from xsd_edge.models.video_llava import require_all_keys

SLICES = 5
VIT_L_336 = CLIPVisionConfig(
    hidden_size=1024,
    intermediate_size=4096,
    num_hidden_layers=24,
    num_attention_heads=16,
    image_size=336,
    patch_size=14,
)
TOWER = "model.visual_tower.visual_tower.vision_model."
OURS = {
    "model.visual_projector.0.": "projector.0.",
    "model.visual_projector.2.": "projector.2.",
    "model.feature_adaptor.": "adaptor.",
}
# Parts of the checkpoint that are no business of the encoder: the language model that it speaks by.
LANGUAGE = ("model.embed_tokens.", "model.layers.", "model.norm.", "lm_head.")
UNREAD = ("embeddings.position_ids", "post_layernorm.weight", "post_layernorm.bias")


class EventGptEncoder(nn.Module):
    """As EventGPT computes it, slice by slice through everything: the oracle.

    in  pixels    [slices, 3, side, side] float32, normalised as CLIP does
    out features  [1, slices + patches + 1, D] float32: a row per slice, then a row per token
    """

    def __init__(self, vision: CLIPVisionConfig, width: int) -> None:
        super().__init__()
        tower = CLIPVisionModel(vision)
        self.embeddings, self.norm = tower.embeddings, tower.pre_layrnorm
        self.layers = tower.encoder.layers
        hidden = vision.hidden_size
        self.projector = nn.Sequential(nn.Linear(hidden, width), nn.GELU(), nn.Linear(width, width))
        self.adaptor = nn.Linear(width, width)

    def forward(self, pixels: Tensor) -> Tensor:
        tokens = self.adaptor(self.projector(self.tower(pixels)))
        return pooled(tokens)

    def tower(self, pixels: Tensor) -> Tensor:
        """The final layer's rows, CLS first, without CLIP's last norm. [slices, tokens, hidden]"""
        x = self.norm(self.embeddings(pixels))
        for layer in self.layers:
            x = layer(x, attention_mask=None)
        return x


class FoldedEncoder(nn.Module):
    """The same function with a ninth of the projector's work, in one graph for the device.

    After the GELU only affine maps remain, and means commute with them: pooling comes first, and
    the projector's second layer and the adaptor are one product, W = W_a W_2, b = W_a b_2 + b_a.
    """

    def __init__(self, encoder: EventGptEncoder) -> None:
        super().__init__()
        self.embeddings, self.norm = encoder.embeddings, encoder.norm
        self.layers = encoder.layers
        self.first, last = encoder.projector[0], encoder.projector[2]
        assert isinstance(last, nn.Linear)
        self.folded = nn.Linear(last.in_features, encoder.adaptor.out_features)
        outer = encoder.adaptor
        with torch.no_grad():
            self.folded.weight.copy_((outer.weight.double() @ last.weight.double()).float())
            bias = outer.weight.double() @ last.bias.double() + outer.bias.double()
            self.folded.bias.copy_(bias.float())

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.norm(self.embeddings(pixels))
        for layer in self.layers:
            x = layer(x, attention_mask=None)
        return self.folded(pooled(nn.functional.gelu(self.first(x))))


def pooled(tokens: Tensor) -> Tensor:
    """Means over tokens, then means over slices. [slices, n, D] -> [1, slices + n, D]"""
    return torch.cat([tokens.mean(1), tokens.mean(0)])[None]


def load_encoder(
    tensors: Mapping[str, Tensor],
    what: Path,
    vision: CLIPVisionConfig = VIT_L_336,
    width: int = 4096,
) -> EventGptEncoder:
    """The encoder out of an EventGPT checkpoint's tensors; `what` names it in errors.

    Raises:
        AssetError: parameters are missing or unknown; names them.
    """
    encoder = EventGptEncoder(vision, width)
    found, unknown = {}, []
    for key, tensor in tensors.items():
        name = _ours(key)
        if name is not None:
            found[name] = tensor.float()
        elif not key.startswith(LANGUAGE) and key.removeprefix(TOWER) not in UNREAD:
            unknown.append(key)
    missing, surplus = encoder.load_state_dict(found, strict=False)
    theirs = [_theirs(name) for name in missing if not name.endswith("position_ids")]
    require_all_keys(what, theirs, [*unknown, *(_theirs(name) for name in surplus)])
    return encoder.eval()


def _ours(key: str) -> str | None:
    """Our name of a checkpoint's key; None for what the encoder does not read."""
    for theirs, ours in OURS.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    if not key.startswith(TOWER) or key.removeprefix(TOWER) in UNREAD:
        return None
    name = key.removeprefix(TOWER).replace("encoder.layers.", "layers.", 1)
    return name.replace("pre_layrnorm.", "norm.", 1)


def _theirs(name: str) -> str:
    for theirs, ours in OURS.items():
        if name.startswith(ours):
            return theirs + name.removeprefix(ours)
    if name.startswith("layers."):
        return f"{TOWER}encoder.{name}"
    return TOWER + (name.replace("norm.", "pre_layrnorm.", 1) if name.startswith("norm.") else name)
