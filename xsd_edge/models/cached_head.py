"""The draft head as ONNX Runtime's CPU runs it: embeddings, cache and greedy choice in the graph.

What one row costs there is half the nodes around its products, and what the host does between two
rows. So a row's token goes in by its number, the likeliest next one comes out by its number, and
the cache stays where it is.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.onnx.ops import symbolic_multi_out

from xsd_edge.models.drafter import DraftHead, attend, behind_attention, rotate, split_heads


class CachedStep(NamedTuple):
    """What the head says behind the last of its rows, and its cache with all of them."""

    drafted: Tensor  # [1, 1] int64, the likeliest token, by the target's numbers
    logits: Tensor  # [1, 1, Vd]
    feature_out: Tensor  # [1, 1, d]
    keys: Tensor  # [1, heads, C, dh]
    values: Tensor  # [1, heads, C, dh]


class CachedHead(DraftHead):
    """The same network with the same parameters; only the last row goes on behind the attention.

    in  token          [1, m] int64, the rows' tokens, by the target's numbers
    in  table          [V, D] float16, the target's embeddings
    in  hidden         [1, m, D] float32, as `DraftHead` reads it
    in  feature        [1, m, d] float32, as `DraftHead` reads it
    in  newest         [1] int32, the last row's place in the cache
    in  total          [1] int32, rows in the cache, these included
    in  past_keys      [1, heads, C, dh] float32, rotated; room for all rows there may ever be
    in  past_values    [1, heads, C, dh] float32
    in  memory_keys    [1, heads, E, dh] float32
    in  memory_values  [1, heads, E, dh] float32
    out drafted, logits, feature_out, keys, values: see `CachedStep`; the caches may lie where the
        past ones do
    """

    ids: Tensor
    cos: Tensor
    sin: Tensor

    def __init__(self, head: DraftHead, vocabulary: Tensor) -> None:
        """`vocabulary` [Vd] int64 are the target's numbers of what the head can say."""
        nn.Module.__init__(self)  # the layers are the head's own, not new ones
        for name, layer in head.named_children():
            self.add_module(name, layer)
        for name, buffer in (*head.named_buffers(), ("ids", vocabulary)):
            self.register_buffer(name, buffer, persistent=False)
        self.heads = head.heads

    @property
    def room(self) -> int:
        """Rows that its cache has place for."""
        return len(self.cos)

    def forward(  # type: ignore[override]  # other inputs: see above
        self,
        token: Tensor,
        table: Tensor,
        hidden: Tensor,
        feature: Tensor,
        newest: Tensor,
        total: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
        memory_keys: Tensor,
        memory_values: Tensor,
    ) -> CachedStep:
        embedding = F.embedding(token, table).float()
        x = self.from_embedding(embedding) + self.from_hidden(hidden) + self.from_feature(feature)
        attention = self._fused if torch.compiler.is_exporting() else self._written_out
        qkv = self.qkv(self.norm1(x))
        found, keys, values = attention(qkv, newest, total, past_keys, past_values)
        x = behind_attention(self, x[:, -1:], found[:, -1:], (memory_keys, memory_values))
        feature = self.norm4(x)
        logits = self.vocabulary(feature)
        return CachedStep(self.ids[logits.argmax(-1)], logits, feature, keys, values)

    def _fused(
        self, qkv: Tensor, newest: Tensor, total: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, ...]:
        """ONNX Runtime's own operator, which writes new rows into a cache in place."""
        half = self.cos.shape[1] // 2  # the other half is the same
        tables = [part[:, :half].contiguous() for part in (self.cos, self.sin)]
        width = qkv.shape[-1] // 3
        return tuple(
            symbolic_multi_out(
                "com.microsoft::GroupQueryAttention",
                [qkv, None, None, keys, values, newest, total, *tables],
                {"num_heads": self.heads, "kv_num_heads": self.heads, "do_rotary": 1},
                dtypes=[qkv.dtype] * 3,
                shapes=[(*qkv.shape[:2], width), tuple(keys.shape), tuple(values.shape)],
                version=1,
            )
        )

    def _written_out(
        self, qkv: Tensor, newest: Tensor, total: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, ...]:
        """What that operator does (ONNX Runtime's ContribOperators.md), in PyTorch."""
        rows, stop = qkv.shape[1], int(total)
        places = torch.arange(stop - rows, stop)
        q, k, v = (split_heads(part, self.heads) for part in qkv.chunk(3, -1))
        cos, sin = self.cos[places], self.sin[places]
        keys, values = keys.clone(), values.clone()
        keys[:, :, places], values[:, :, places] = rotate(k, cos, sin), v
        hidden = torch.arange(stop)[None] > places[:, None]
        mask = torch.zeros(rows, stop).masked_fill(hidden, -torch.inf)
        found = attend(rotate(q, cos, sin), keys[:, :, :stop], values[:, :, :stop], mask)
        return found.transpose(1, 2).flatten(2), keys, values
