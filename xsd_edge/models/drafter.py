"""The small networks that draft: event encoder, alignment MLP, event memory, draft head, acceptance
predictor.

Each module is exported as one graph; its docstring is the graph's table of inputs and outputs.
Batch is always 1 on the device. D is the target's hidden size, d the draft head's width, V the
draft vocabulary.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from xsd_edge.recipe import DrafterSpec

MASKED = -1e4  # additive attention mask; finite in float16


class EventEncoder(nn.Module):
    """A small ViT over the event representation.

    in  events    [B, 2*bins, side, side] float32, counts per pixel and bin (OFF bins, then ON bins)
    out features  [B, E, hidden] float32, E = (side / patch)^2
    """

    def __init__(self, spec: DrafterSpec) -> None:
        super().__init__()
        self.patches = nn.Conv2d(
            2 * spec.event_bins, spec.event_hidden, spec.event_patch, spec.event_patch
        )
        self.places = nn.Parameter(torch.randn(spec.event_tokens, spec.event_hidden) * 0.02)
        self.blocks = nn.ModuleList(
            EncoderBlock(spec.event_hidden, spec.event_heads) for _ in range(spec.event_layers)
        )
        self.norm = nn.LayerNorm(spec.event_hidden)

    def forward(self, events: Tensor) -> Tensor:
        # Counts span decades; the logarithm keeps one hot pixel from drowning a faint edge.
        x = self.patches(torch.log1p(events)).flatten(2).transpose(1, 2) + self.places
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class EncoderBlock(nn.Module):
    """Pre-norm self-attention and MLP. [B, E, C] -> [B, E, C]"""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(self.norm1(x)).chunk(3, -1))
        x = x + self.out(merge_heads(F.scaled_dot_product_attention(q, k, v)))
        return x + self.mlp(self.norm2(x))


class AlignmentMlp(nn.Module):
    """Event features into the target's embedding space.

    in  features  [B, E, hidden] float32
    out aligned   [B, E, D] float32
    """

    def __init__(self, spec: DrafterSpec, target_width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(spec.event_hidden, spec.align_hidden),
            nn.GELU(),
            nn.Linear(spec.align_hidden, target_width),
            nn.LayerNorm(target_width),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.net(features)


class EventMemory(nn.Module):
    """Keys and values of the draft head's cross-attention, computed once per clip.

    in  aligned  [B, E, D] float32
    out keys     [B, heads, E, dh] float32
    out values   [B, heads, E, dh] float32
    """

    def __init__(self, spec: DrafterSpec, target_width: int) -> None:
        super().__init__()
        self.heads = spec.head_heads
        self.key = nn.Linear(target_width, spec.head_width, bias=False)
        self.value = nn.Linear(target_width, spec.head_width, bias=False)

    def forward(self, aligned: Tensor) -> tuple[Tensor, Tensor]:
        return split_heads(self.key(aligned), self.heads), split_heads(
            self.value(aligned), self.heads
        )


class DraftStep(NamedTuple):
    """What the draft head returns for m rows."""

    logits: Tensor  # [B, m, V]
    feature_out: Tensor  # [B, m, d], feeds the next row in place of the target's hidden state
    keys: Tensor  # [B, m, heads, dh], to be written behind the past
    values: Tensor  # [B, m, heads, dh]


class DraftHead(nn.Module):
    """One Llama-style layer with cross-attention to the events (EAGLE's inputs, DREAM's cross-
    attention).

    Row i holds the token at position i+1 and what is known of position i: the target's hidden state
    where the target has been, else the head's own feature of the row before. It predicts the token
    at i+2.

    in  embedding      [B, m, D] float32, the target's embedding of the row's token
    in  hidden         [B, m, D] float32, the target's hidden state, or zeros
    in  feature        [B, m, d] float32, the head's own feature, or zeros
    in  position       [m] int64, the rows' positions (RoPE)
    in  past_keys      [B, S, heads, dh] float32, the rows so far, rotated (row-major: a prefix is
        one block)
    in  past_values    [B, S, heads, dh] float32
    in  mask           [m, S + m] float32, 0 where a row may look, MASKED elsewhere
    in  memory_keys    [B, heads, E, dh] float32
    in  memory_values  [B, heads, E, dh] float32
    out logits, feature_out, keys, values: see `DraftStep`
    """

    def __init__(self, spec: DrafterSpec, target_width: int, vocabulary: int) -> None:
        super().__init__()
        width, self.heads = spec.head_width, spec.head_heads
        self.from_embedding = nn.Linear(target_width, width, bias=False)
        self.from_hidden = nn.Linear(target_width, width, bias=False)
        self.from_feature = nn.Linear(width, width, bias=False)
        self.norm1 = RmsNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = RmsNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.gather = nn.Linear(width, width, bias=False)
        self.norm3 = RmsNorm(width)
        self.gate_up = nn.Linear(width, 2 * spec.head_intermediate, bias=False)
        self.down = nn.Linear(spec.head_intermediate, width, bias=False)
        self.norm4 = RmsNorm(width)
        self.vocabulary = nn.Linear(width, vocabulary, bias=False)
        cos, sin = rotary_table(spec.head_context, width // self.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(
        self,
        embedding: Tensor,
        hidden: Tensor,
        feature: Tensor,
        position: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        mask: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
    ) -> DraftStep:
        x = self.from_embedding(embedding) + self.from_hidden(hidden) + self.from_feature(feature)
        cos, sin = self.cos[position], self.sin[position]  # type: ignore[index]  # registered buffers
        memory = (memory_keys, memory_values)
        x, keys, values = decoder_layer(self, x, (cos, sin), (past_keys, past_values), mask, memory)
        feature = self.norm4(x)
        logits = self.vocabulary(feature)
        return DraftStep(logits, feature, keys, values)


class LayerParts(Protocol):
    """The parameters of one Llama-style layer with cross-attention."""

    heads: int
    norm1: RmsNorm
    qkv: nn.Linear
    out: nn.Linear
    norm2: RmsNorm
    query: nn.Linear
    gather: nn.Linear
    norm3: RmsNorm
    gate_up: nn.Linear
    down: nn.Linear


Pair = tuple[Tensor, Tensor]


def decoder_layer(
    parts: LayerParts, x: Tensor, rotation: Pair, past: Pair, mask: Tensor, memory: Pair
) -> tuple[Tensor, Tensor, Tensor]:
    """Self-attention behind a past, attention to a memory, gated MLP; all pre-norm, all residual.

    x [B, m, d], past keys and values [B, S, heads, dh], memory keys and values [B, heads, E, dh];
    returns x and the rows' own keys and values [B, m, heads, dh].
    """
    heads = parts.heads
    qkv = parts.qkv(parts.norm1(x)).unflatten(-1, (3 * heads, -1))  # [B, m, 3 * heads, dh]
    asking, v = qkv.split((2 * heads, heads), 2)
    q, k = rotate(asking, *(part[:, None] for part in rotation)).chunk(2, 2)
    keys, values = (torch.cat(pair, 1).transpose(1, 2) for pair in zip(past, (k, v), strict=True))
    found = merge_heads(attend(q.transpose(1, 2), keys, values, mask))
    return behind_attention(parts, x, found, memory), k, v


def behind_attention(parts: LayerParts, x: Tensor, found: Tensor, memory: Pair) -> Tensor:
    """The layer's rest, for rows x [B, m, d] whose attention found [B, m, d]; returns x."""
    x = x + parts.out(found)
    asked = split_heads(parts.query(parts.norm2(x)), parts.heads)
    x = x + parts.gather(merge_heads(attend(asked, *memory)))
    gate, up = parts.gate_up(parts.norm3(x)).chunk(2, -1)
    return x + parts.down(F.silu(gate) * up)


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention, written out: the exporter writes torch's own with nine more
    nodes and a copy of the keys where a length varies.

    q [B, heads, m, dh], k and v [B, heads, T, dh], mask [m, T], added; returns [B, heads, m, dh].
    """
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(-1, -2)
    return (scores if mask is None else scores + mask).softmax(-1) @ v


class AcceptancePredictor(nn.Module):
    """How likely the verifier accepts each draft position, known before anything is drafted.

    in  hidden   [B, D] float32, the target's newest hidden state
    in  aligned  [B, E, D] float32, the clip's event tokens
    out logits   [B, gamma_max] float32; sigmoid of row i: P(draft i accepted | drafts before it
        accepted)
    """

    def __init__(self, spec: DrafterSpec, target_width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * target_width, 192), nn.GELU(), nn.Linear(192, spec.gamma_max)
        )

    def forward(self, hidden: Tensor, aligned: Tensor) -> Tensor:
        return self.net(torch.cat([hidden, aligned.mean(1)], -1))


class RmsNorm(nn.Module):
    """RMS norm in primitive operators: TensorRT 10.3 knows no RMSNormalization node, and ONNX
    Runtime makes one of these, as long as they divide by the root.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x / torch.sqrt(x.square().mean(-1, keepdim=True) + 1e-5) * self.weight


def rotary_table(length: int, width: int) -> tuple[Tensor, Tensor]:
    """cos and sin of RoPE (Su et al. 2021, arXiv 2104.09864), base 10000. [length, width] each."""
    rates = 10000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * torch.cat([rates, rates])[None]
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


def split_heads(x: Tensor, heads: int) -> Tensor:  # [B, n, heads * dh] -> [B, heads, n, dh]
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:  # [B, heads, n, dh] -> [B, n, heads * dh]
    return x.transpose(1, 2).flatten(2)


class Drafter(nn.Module):
    """The five networks together, as they are trained."""

    def __init__(self, spec: DrafterSpec, target_width: int, vocabulary: int) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = EventEncoder(spec)
        self.alignment = AlignmentMlp(spec, target_width)
        self.memory = EventMemory(spec, target_width)
        self.head = DraftHead(spec, target_width, vocabulary)
        self.predictor = AcceptancePredictor(spec, target_width)
