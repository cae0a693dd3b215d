"""The early drafter's networks at run time: previous answer and events in, a draft of the next
answer out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xsd_edge.bundle import TensorSpec
from xsd_edge.runtime.drafter import EventMemory
from xsd_edge.runtime.early import EarlyDraft
from xsd_edge.runtime.engine import Array, Engine, allocate
from xsd_edge.runtime.fixed_head import causal

LEAST = 0.02  # a prefix less likely than this is never worth a row: stop drafting there


class EarlyEngines(NamedTuple):
    """The two loaded networks, and what the memory takes and gives."""

    memory: Engine
    head: Engine
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


class EarlyHead:
    """Greedy drafts; how likely a token is to be accepted is taken to be the head's own q of it."""

    def __init__(
        self,
        engines: EarlyEngines,
        context: int,
        embedding: NDArray[np.float16],
        vocabulary: NDArray[np.int64],
        ends: tuple[int, ...],
    ) -> None:
        self._engines, self._context, self._ends = engines, context, ends
        self._embedding, self._vocabulary = embedding, vocabulary
        self._previous = allocate(engines.inputs)["previous"]
        kept = allocate(engines.outputs)
        self._memory: dict[str, Array] = kept
        heads, width = kept["keys"].shape[1], kept["keys"].shape[3]
        self._keys = np.zeros((1, context, heads, width), np.float32)
        self._values = np.zeros((1, context, heads, width), np.float32)
        self._rows = np.zeros((1, context, embedding.shape[1]), np.float32)
        self._logits = np.zeros((1, context, len(vocabulary)), np.float32)
        self._positions = np.arange(context, dtype=np.int64)

    def propose(
        self, question: Sequence[int], previous: Sequence[int], memory: EventMemory
    ) -> EarlyDraft:
        self._remember(previous, memory)
        tokens: list[int] = []
        chances: list[float] = []
        likely, past, fresh = 1.0, 0, list(question)
        while past + len(fresh) <= self._context and likely > LEAST:
            logits = self._step(past, fresh)
            past += len(fresh)
            best = int(logits.argmax())
            chance = float(1.0 / np.exp(logits - logits[best]).sum(dtype=np.float64))
            fresh = [int(self._vocabulary[best])]
            tokens += fresh
            chances.append(chance)
            likely *= chance
            if fresh[0] in self._ends:
                break
        sure = np.clip(np.array(chances), 1e-6, 1 - 1e-6)
        return EarlyDraft(tuple(tokens), np.log(sure / (1 - sure)))

    def _remember(self, previous: Sequence[int], memory: EventMemory) -> None:
        count = min(len(previous), self._previous.shape[1])
        self._previous[0, :count] = self._embedding[np.asarray(previous[:count], np.int64)]
        self._previous[0, count:] = 0
        feeds: dict[str, Array] = {"events": memory.counts, "previous": self._previous}
        self._engines.memory.run(feeds, self._memory)

    def _step(self, past: int, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Run new rows behind `past`; logits of the last one. [Vd]"""
        count, stop = len(tokens), past + len(tokens)
        self._rows[0, :count] = self._embedding[np.asarray(tokens, np.int64)]
        feeds: dict[str, Array] = {
            "embedding": self._rows[:, :count],
            "position": self._positions[past:stop],
            "past_keys": self._keys[:, :past],
            "past_values": self._values[:, :past],
            "mask": causal(past, count),
            "memory_keys": self._memory["keys"],
            "memory_values": self._memory["values"],
        }
        results: dict[str, Array] = {
            "logits": self._logits[:, :count],
            "keys": self._keys[:, past:stop],
            "values": self._values[:, past:stop],
        }
        self._engines.head.run(feeds, results)
        last: NDArray[np.float32] = self._logits[0, count - 1]
        return last
