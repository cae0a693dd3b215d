"""The early drafter: previous answer and events in, the next answer out, before the target has
seen the clip's end.

An encoder reads the clip's event tokens (what has changed) and the last answer's words (what events
cannot see) together; a small decoder then writes the answer behind the question. The event tokens
are its own: the draft head, which reads the target's mind as well, wants to know something else of
events. `EarlySenses` and `EarlyHead` are exported as one graph each; their docstrings are the
graphs' tables of inputs and outputs. Batch is always 1 on the device. D is the target's hidden
size, V the draft vocabulary, L the decoder's layers.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from xsd_edge.models.drafter import (
    EncoderBlock,
    EventEncoder,
    LayerParts,
    RmsNorm,
    decoder_layer,
    rotary_table,
    split_heads,
)
from xsd_edge.recipe import DrafterSpec, EarlySpec


class EarlyMemory(nn.Module):
    """Event tokens and words in, what the decoder attends to out.

    in  events    [B, E, C] float32, the clip's event tokens
    in  previous  [B, P, D] float32, the target's embeddings of the last answer, zeros behind it
    out keys      [B, L * heads, E + P, dh] float32
    out values    [B, L * heads, E + P, dh] float32
    """

    def __init__(
        self, spec: EarlySpec, event_tokens: int, event_width: int, target_width: int
    ) -> None:
        super().__init__()
        self.heads = spec.layers * spec.heads
        self.from_events = nn.Linear(event_width, spec.width)
        self.from_words = nn.Linear(target_width, spec.width)
        self.event_places = nn.Parameter(torch.randn(event_tokens, spec.width) * 0.02)
        self.word_places = nn.Parameter(torch.randn(spec.previous, spec.width) * 0.02)
        self.blocks = nn.ModuleList(
            EncoderBlock(spec.width, spec.heads) for _ in range(spec.encoder_layers)
        )
        self.norm = nn.LayerNorm(spec.width)
        self.key = nn.Linear(spec.width, spec.layers * spec.width, bias=False)
        self.value = nn.Linear(spec.width, spec.layers * spec.width, bias=False)

    def forward(self, events: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.from_events(events) + self.event_places
        x = torch.cat([seen, self.from_words(previous) + self.word_places], 1)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        return split_heads(self.key(x), self.heads), split_heads(self.value(x), self.heads)

    @torch.no_grad()
    def level(self, table: Tensor) -> None:
        """Bring words, embedded by `table`, and places to unit size before training: of small
        places the order of words is learnt late.
        """
        self.from_words.weight /= table.std()
        for places in (self.word_places, self.event_places):
            places.div_(places.std())


class EarlySenses(nn.Module):
    """What is known before the target is asked, once per clip and question.

    in  events    [B, 2*bins, side, side] float32, counts as the event encoder reads them
    in  previous  [B, P, D] float32, the target's embeddings of the last answer, zeros behind it
    out keys      [B, L * heads, E + P, dh] float32
    out values    [B, L * heads, E + P, dh] float32
    """

    def __init__(self, spec: EarlySpec, drafter: DrafterSpec, target_width: int) -> None:
        super().__init__()
        self.encoder = EventEncoder(drafter)
        self.memory = EarlyMemory(spec, drafter.event_tokens, drafter.event_hidden, target_width)

    def forward(self, events: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        known: tuple[Tensor, Tensor] = self.memory(self.encoder(events), previous)
        return known


class EarlyStep(NamedTuple):
    """What the early head returns for m rows."""

    logits: Tensor  # [B, m, V]
    keys: Tensor  # [B, m, L * heads, dh], to be written behind the past
    values: Tensor  # [B, m, L * heads, dh]


class EarlyHead(nn.Module):
    """L Llama-style layers with cross-attention to the early memory. Row i predicts token i + 1.

    in  embedding      [B, m, D] float32, the target's embedding of the row's token
    in  position       [m] int64, the rows' positions (RoPE)
    in  past_keys      [B, S, L * heads, dh] float32, the rows so far, rotated
    in  past_values    [B, S, L * heads, dh] float32
    in  mask           [m, S + m] float32, 0 where a row may look, MASKED elsewhere
    in  memory_keys    [B, L * heads, E + P, dh] float32
    in  memory_values  [B, L * heads, E + P, dh] float32
    out logits, keys, values: see `EarlyStep`
    """

    def __init__(self, spec: EarlySpec, target_width: int, vocabulary: int) -> None:
        super().__init__()
        self.from_embedding = nn.Linear(target_width, spec.width, bias=False)
        self.layers = nn.ModuleList(EarlyLayer(spec) for _ in range(spec.layers))
        self.norm = RmsNorm(spec.width)
        self.vocabulary = nn.Linear(spec.width, vocabulary, bias=False)
        cos, sin = rotary_table(spec.context, spec.width // spec.heads)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def forward(
        self,
        embedding: Tensor,
        position: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        mask: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
    ) -> EarlyStep:
        x, count = self.from_embedding(embedding), len(self.layers)
        rotation = self.cos[position], self.sin[position]  # type: ignore[index]  # registered buffers
        pasts = zip(past_keys.chunk(count, 2), past_values.chunk(count, 2), strict=True)
        memories = zip(memory_keys.chunk(count, 1), memory_values.chunk(count, 1), strict=True)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for layer, past, memory in zip(self.layers, pasts, memories, strict=True):
            x, own_keys, own_values = decoder_layer(
                cast(LayerParts, layer), x, rotation, past, mask, memory
            )
            keys.append(own_keys)
            values.append(own_values)
        logits = self.vocabulary(self.norm(x))
        return EarlyStep(logits, torch.cat(keys, 2), torch.cat(values, 2))


class EarlyLayer(nn.Module):
    """The parameters of one layer; `decoder_layer` runs it."""

    def __init__(self, spec: EarlySpec) -> None:
        super().__init__()
        width, self.heads = spec.width, spec.heads
        self.norm1 = RmsNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.norm2 = RmsNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.gather = nn.Linear(width, width, bias=False)
        self.norm3 = RmsNorm(width)
        self.gate_up = nn.Linear(width, 2 * spec.intermediate, bias=False)
        self.down = nn.Linear(spec.intermediate, width, bias=False)


class Early(nn.Module):
    """Both networks together, as they are trained."""

    def __init__(
        self, spec: EarlySpec, drafter: DrafterSpec, target_width: int, vocabulary: int
    ) -> None:
        super().__init__()
        self.spec = spec
        self.memory = EarlySenses(spec, drafter, target_width)
        self.head = EarlyHead(spec, target_width, vocabulary)

    @torch.no_grad()
    def begin(self, table: Tensor, encoder: EventEncoder) -> None:
        """Bring every input to unit size, and set out from an encoder that knows events already."""
        self.memory.memory.level(table)
        self.memory.encoder.load_state_dict(encoder.state_dict())
        self.head.from_embedding.weight /= table.std()
