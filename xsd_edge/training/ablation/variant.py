"""One row's networks: the draft head of every row, behind a memory of what this row sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from xsd_edge.models.drafter import (
    AlignmentMlp,
    Drafter,
    DraftHead,
    EventEncoder,
    EventMemory,
    Pair,
)
from xsd_edge.models.early import EarlyMemory
from xsd_edge.recipe import Recipe
from xsd_edge.training.ablation.corpus import NONE, Corpus
from xsd_edge.training.ablation.rows import Row
from xsd_edge.training.bench import level
from xsd_edge.training.drafter import DraftBatch, Examples, distillation, unrolled_head
from xsd_edge.training.loop import Phase
from xsd_edge.training.losses import Mean
from xsd_edge.training.precision import fast_products


@dataclass(frozen=True, slots=True)
class Seen:
    """What there is to see of B clips; a row looks at its part."""

    counts: Tensor  # [B, 2 * bins, side, side] events
    frame: Tensor  # [B, T, D] the first frame's visual tokens
    previous: Tensor  # [B, P, D] embeddings of the previous answer, zeros behind it


class Variant(nn.Module):
    """The networks of one row. What no row but one needs is not there in the others.

    in  seen    what there is to see
    out keys    [B, heads, M, dh] float32, the memory that `head` attends to
    out values  [B, heads, M, dh] float32
    """

    def __init__(self, row: Row, recipe: Recipe, width: int, vocabulary: int) -> None:
        super().__init__()
        self.row, spec = row, recipe.drafter
        self.head = DraftHead(spec, width, vocabulary)  # first: all rows' begin alike
        self.tokens = spec.event_tokens
        if row.events != "none":
            self.encoder = EventEncoder(spec)
        if row.aligned:
            self.alignment = AlignmentMlp(spec, width)
        if row.previous:
            assert recipe.early is not None
            one_layer = replace(
                recipe.early, width=spec.head_width, heads=spec.head_heads, layers=1
            )
            self.before = EarlyMemory(one_layer, self.tokens, width, width)
        elif row.events != "none":
            self.memory = EventMemory(spec, width if row.aligned else spec.event_hidden)
        if row.frame:
            self.frame_memory = EventMemory(spec, width)

    def forward(self, seen: Seen) -> Pair:
        parts: list[Pair] = []
        events = self._events(seen.counts)
        if self.row.previous:
            batch, _, width = seen.previous.shape
            if events is None:
                events = seen.previous.new_zeros(batch, self.tokens, width)
            parts.append(self.before(events, seen.previous))
        elif events is not None:
            parts.append(self.memory(events))
        if self.row.frame:
            parts.append(self.frame_memory(seen.frame))
        if not parts:  # attention to one token of zeros gives zeros
            heads, width = self.head.heads, self.head.out.out_features // self.head.heads
            nothing = seen.counts.new_zeros(len(seen.counts), heads, 1, width)
            return nothing, nothing
        keys, values = zip(*parts, strict=True)
        return torch.cat(keys, 2), torch.cat(values, 2)

    def _events(self, counts: Tensor) -> Tensor | None:
        if self.row.events == "none":
            return None
        tokens: Tensor = self.encoder(counts)
        if self.row.aligned:
            tokens = self.alignment(tokens)
        return tokens if self.row.attended else tokens.mean(1, keepdim=True)

    def begin(self, corpus: Corpus, table: Tensor, aligned: Drafter) -> None:
        """Bring every input to unit size; take encoder and alignment over where a row has both."""
        level(self.head, corpus.answers, table)
        with torch.no_grad():
            if self.row.previous:
                self.before.level(table)
            if self.row.frame:
                size = float(corpus.first_frames.astype(np.float32).std())
                self.frame_memory.key.weight /= size
                self.frame_memory.value.weight /= size
        if self.row.aligned:
            self.encoder.load_state_dict(aligned.encoder.state_dict())
            self.alignment.load_state_dict(aligned.alignment.state_dict())


@dataclass(frozen=True, slots=True)
class RowBatch:
    """Answers to imitate, and what there was to see."""

    draft: DraftBatch
    seen: Seen


class Lessons:
    """Batches of a corpus: the same ones in the same order for every row."""

    def __init__(
        self, corpus: Corpus, vocabulary: NDArray[np.int64], table: Tensor, longest: int
    ) -> None:
        self._corpus, self._table, self._longest = corpus, table, longest
        self._examples = Examples(corpus.answers, vocabulary, len(table))

    def stream(self, size: int) -> Iterator[RowBatch]:
        rng = np.random.default_rng(6)
        while True:
            yield self.batch(rng.integers(0, len(self._corpus.before), size))

    def batch(self, picked: NDArray[np.int64]) -> RowBatch:
        corpus, draft = self._corpus, self._examples.batch(picked)
        clips = [corpus.answers.examples[i].clip for i in picked]
        frames = torch.from_numpy(corpus.first_frames[clips]).float()
        answers = [self._answer(int(corpus.before[i])) for i in picked]
        before = torch.stack([embedded(said, self._table, self._longest) for said in answers])
        return RowBatch(draft, Seen(draft.counts, frames, before))

    def _answer(self, number: int) -> NDArray[np.int64]:
        if number == NONE:
            return np.zeros(0, np.int64)
        example = self._corpus.answers.examples[number]
        return example.tokens[example.question_rows :]


def embedded(tokens: NDArray[np.int64], table: Tensor, longest: int) -> Tensor:
    """A previous answer as a memory reads it. [longest, D]"""
    rows = table.new_zeros(longest, table.shape[1])
    kept = torch.from_numpy(np.asarray(tokens[:longest], np.int64))
    rows[: len(kept)] = table[kept]
    return rows


def train_variant(
    variant: Variant, lessons: Lessons, table: Tensor, recipe: Recipe, phase: Phase
) -> None:
    """Distil the target into this row's networks; the recipe says for how long."""
    spec = recipe.drafter_training

    def loss_of(batch: RowBatch) -> tuple[list[Mean], dict[str, float]]:
        draft = batch.draft
        if not variant.row.hidden:
            draft = replace(draft, hidden=torch.zeros_like(draft.hidden))
        with fast_products(table.device):
            memory = variant(batch.seen)
            steps = list(unrolled_head(variant.head, memory, draft, table, spec.feedback))
        terms, right = distillation(steps, draft, "kl+tv")
        return terms, {"right": right}

    groups = [{"params": list(variant.parameters()), "lr": spec.rate}]
    phase.run(groups, spec.steps, lessons.stream(spec.batch), loss_of)
