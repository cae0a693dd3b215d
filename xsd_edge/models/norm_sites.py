"""Where a norm feeds linear layers and nothing else, so that a scale can be moved across it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from torch import nn
from transformers.models.clip.modeling_clip import CLIPEncoderLayer

from xsd_edge.models.cached_head import CachedHead
from xsd_edge.models.drafter import DraftHead, EncoderBlock
from xsd_edge.models.early import EarlyHead, EarlyLayer, EarlyMemory

LAYER: dict[str, tuple[str, ...]] = {"norm1": ("qkv",), "norm2": ("query",), "norm3": ("gate_up",)}
# The draft head's norm4 is missing on purpose: its output is also the feature of the next row.
FED: dict[type[nn.Module], dict[str, tuple[str, ...]]] = {
    CLIPEncoderLayer: {
        "layer_norm1": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "layer_norm2": ("mlp.fc1",),
    },
    EncoderBlock: {"norm1": ("qkv",), "norm2": ("mlp.0",)},
    DraftHead: LAYER,
    CachedHead: LAYER,
    EarlyLayer: LAYER,
    EarlyHead: {"norm": ("vocabulary",)},
    EarlyMemory: {"norm": ("key", "value")},
}


class NormSite(NamedTuple):
    """A norm with a weight (and a bias, if it has one) and the linear layers that read it."""

    norm: str  # paths from the module that was asked
    linears: tuple[str, ...]


def norm_sites(module: nn.Module) -> Iterator[NormSite]:
    """Every such norm inside `module`, in the order of its layers."""
    for path, layer in module.named_modules():
        prefix = f"{path}." if path else ""
        for norm, linears in FED.get(type(layer), {}).items():
            yield NormSite(prefix + norm, tuple(prefix + linear for linear in linears))
