"""Trains the drafter: name what moves, imitate the target, then predict what the verifier will
accept.

1. align: event tokens are regressed onto the target's embeddings of the words for what is seen
   there.
2. draft: the head imitates the target's next-token distribution, on its own features as it will be
   at run
   time (EAGLE-3's training-time test, Li et al. 2025, arXiv 2503.01840).
3. accept: the predictor learns which of the head's drafts the greedy verifier accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.models.drafter import MASKED, Drafter, DraftStep
from xsd_edge.recipe import Recipe
from xsd_edge.training import scenes
from xsd_edge.training.distill import Distilled, Example
from xsd_edge.training.loop import Phase

ALIGN_BATCH = 64


def draft_vocabulary(data: Distilled) -> NDArray[np.int64]:
    """Every token that the target said, and what it held likely: the reduced vocabulary."""
    said = np.concatenate([e.tokens[e.question_rows :] for e in data.examples])
    likely = np.concatenate([e.top_tokens[e.top_weights > 0.02] for e in data.examples])
    return np.unique(np.concatenate([said, likely]))


# --- align ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AlignBatch:
    """Events of B clips and what each event token should mean."""

    counts: Tensor  # [B, 2 * bins, side, side]
    wanted: Tensor  # [B, E, D]
    weight: Tensor  # [B, E]


@dataclass(frozen=True, slots=True)
class Meanings:
    """The target's own embeddings of the words for what events can show."""

    words: dict[str, Tensor]  # [D] each
    places: Tensor  # [E, D]

    def of(self, thing: scenes.Thing) -> Tensor:
        names = (thing.shape, thing.size, thing.direction, thing.speed)
        return torch.stack([self.words[str(name)] for name in names]).sum(0)


def align_batches(
    data: Distilled, seeds: range, meanings: Meanings, cells: int
) -> Iterator[AlignBatch]:
    """Endless batches; a moving thing's meaning stands in every cell that its centre crosses."""
    rng = np.random.default_rng(5)
    cell = scenes.SIDE / cells
    while True:
        picked = rng.integers(0, len(seeds), ALIGN_BATCH)
        wanted = meanings.words["nothing"].expand(ALIGN_BATCH, cells * cells, -1).clone()
        weight = torch.ones(ALIGN_BATCH, cells * cells)
        for row, clip in enumerate(picked):
            for thing in scenes.Scene.from_seed(seeds[int(clip)]).moving:
                for phase in np.linspace(0, 1, 9):
                    x, y = (int(v // cell) for v in thing.centre(float(phase)))
                    wanted[row, y * cells + x] = meanings.of(thing)
                    weight[row, y * cells + x] = 6.0
        counts = torch.from_numpy(data.counts[picked]).float()
        yield AlignBatch(counts, (wanted + meanings.places) / 4, weight)


def train_alignment(
    drafter: Drafter,
    data: Distilled,
    seeds: range,
    meanings: Meanings,
    recipe: Recipe,
    phase: Phase,
) -> None:
    spec = recipe.drafter_training
    cells = recipe.drafter.event_side // recipe.drafter.event_patch
    scale = torch.stack(list(meanings.words.values())).square().mean().sqrt()

    def loss_of(batch: AlignBatch) -> tuple[Tensor, dict[str, float]]:
        """Relative squared error, weighted: mean of |aligned s - wanted|^2 / |wanted|^2."""
        with torch.autocast("cpu", torch.bfloat16):
            aligned = drafter.alignment(drafter.encoder(batch.counts)).float() * scale
        error = (aligned - batch.wanted).square().sum(-1) / batch.wanted.square().sum(-1)
        return (error * batch.weight).mean(), {}

    parameters = [*drafter.encoder.parameters(), *drafter.alignment.parameters()]
    batches = align_batches(data, seeds, meanings, cells)
    phase.run([{"params": parameters, "lr": spec.rate}], spec.align_steps, batches, loss_of)


# --- draft ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DraftBatch:
    """B answers, padded to L rows. Row i: (token i+1, hidden state i) -> the target's choice of
    token i+2.
    """

    counts: Tensor  # [B, 2 * bins, side, side]
    tokens: Tensor  # [B, L] token i+1, as ids of the target
    hidden: Tensor  # [B, L, D]
    wanted: Tensor  # [B, L] index into the draft vocabulary of token i+2, -1 where there is none
    p: Tensor  # [B, L, V] the target's distribution of token i+2 on the draft vocabulary


class Examples:
    """Makes batches of examples, the draft vocabulary applied."""

    def __init__(self, data: Distilled, vocabulary: NDArray[np.int64], size: int) -> None:
        self.data = data
        self._index = np.full(size, -1, np.int64)
        self._index[vocabulary] = np.arange(len(vocabulary))
        self._vocabulary = vocabulary

    def batch(self, picked: NDArray[np.int64]) -> DraftBatch:
        chosen: list[Example] = [self.data.examples[i] for i in picked]
        length = max(len(e.hidden) for e in chosen)
        width, kinds = chosen[0].hidden.shape[1], len(self._vocabulary)
        tokens = np.zeros((len(chosen), length), np.int64)
        wanted = np.full((len(chosen), length), -1, np.int64)
        hidden = np.zeros((len(chosen), length, width), np.float32)
        p = np.zeros((len(chosen), length, kinds), np.float32)
        for row, e in enumerate(chosen):
            n = len(e.hidden)
            tokens[row, :n] = e.tokens[1:]
            hidden[row, :n] = e.hidden
            answer = slice(e.question_rows - 1, n - 1)
            wanted[row, answer] = self._index[e.tokens[e.question_rows + 1 :]]
            spots = self._index[e.top_tokens[e.question_rows :]]
            weights = np.where(spots >= 0, e.top_weights[e.question_rows :], 0)
            np.put_along_axis(p[row, answer], np.maximum(spots, 0), weights, 1)
            # Of several unknown tokens that fell onto index 0 the last would stand: set it right.
            p[row, answer, 0] = np.where(spots == 0, weights, 0).sum(1)
        counts = torch.from_numpy(self.data.counts[[e.clip for e in chosen]]).float()
        arrays = (torch.from_numpy(a) for a in (tokens, hidden, wanted, p))
        return DraftBatch(counts, *arrays)

    def stream(self, size: int, seed: int) -> Iterator[DraftBatch]:
        rng = np.random.default_rng(seed)
        while True:
            yield self.batch(rng.integers(0, len(self.data.examples), size))


def feedback_mask(length: int, depth: int) -> Tensor:
    """Who a row of the depth-th pass may see among the keys of all passes so far. [L, (depth + 1)
    L]

    At run time row i, drafted as the depth-th of a round, has verified rows up to i - depth in its
    cache and behind them the round's own drafts, of which row i - depth + k was the k-th.
    """
    i, j = torch.arange(length)[:, None], torch.arange(length)[None]
    blocks = [j <= i - depth, *(j == i - depth + k for k in range(1, depth + 1))]
    return torch.where(torch.cat(blocks, 1), 0.0, MASKED)


def unrolled(
    drafter: Drafter, batch: DraftBatch, table: Tensor, depths: int
) -> Iterator[DraftStep]:
    """The head's output at each row as the first, second ... draft of a round that reaches it."""
    aligned = drafter.alignment(drafter.encoder(batch.counts))
    memory = drafter.memory(aligned)
    length = batch.tokens.shape[1]
    embedding, position = table[batch.tokens], torch.arange(length)
    nothing = torch.zeros(len(batch.tokens), length, drafter.head.out.out_features)
    step: DraftStep | None = None
    keys: list[Tensor] = []
    values: list[Tensor] = []
    for depth in range(depths):
        hidden = batch.hidden if step is None else torch.zeros_like(batch.hidden)
        # The feature of the row before, which at run time came from the draft before.
        feature = nothing if step is None else F.pad(step.feature_out[:, :-1], (0, 0, 1, 0))
        heads, width = drafter.head.heads, nothing.shape[-1] // drafter.head.heads
        none = nothing.new_zeros(len(nothing), 0, heads, width)
        past_keys = torch.cat([none, *keys], 1)
        past_values = torch.cat([none, *values], 1)
        mask = feedback_mask(length, depth)
        step = drafter.head(
            embedding, hidden, feature, position, past_keys, past_values, mask, *memory
        )
        keys.append(step.keys)
        values.append(step.values)
        yield step


def train_head(
    drafter: Drafter, examples: Examples, table: Tensor, recipe: Recipe, phase: Phase
) -> None:
    spec = recipe.drafter_training

    def loss_of(batch: DraftBatch) -> tuple[Tensor, dict[str, float]]:
        """KL(p || q) up to p's entropy, plus TV(p, q) = 1 - sum min(p, q), which acceptance is made
        of.
        """
        loss, hits = torch.zeros(()), 0.0
        with torch.autocast("cpu", torch.bfloat16):
            steps = list(unrolled(drafter, batch, table, spec.feedback))
        for depth, step in enumerate(steps):
            at = batch.wanted >= 0
            at[:, :depth] = False
            log_q, p = step.logits.float()[at].log_softmax(-1), batch.p[at]
            cross = -(p * log_q).sum(-1)
            variation = 1 - torch.minimum(p, log_q.exp()).sum(-1)
            loss = loss + 0.85**depth * (cross + variation).mean()
            hits += (log_q.argmax(-1) == batch.wanted[at]).float().mean().item()
        return loss, {"right": hits / spec.feedback}

    trained = (drafter.encoder, drafter.alignment, drafter.memory, drafter.head)
    parameters = [p for module in trained for p in module.parameters()]
    batches = examples.stream(spec.batch, seed=6)
    phase.run([{"params": parameters, "lr": spec.rate}], spec.steps, batches, loss_of)


# --- accept --------------------------------------------------------------------------------------


def accepted_runs(drafter: Drafter, batch: DraftBatch, table: Tensor, gamma: int) -> Tensor:
    """How many greedy drafts the greedy verifier would accept from each row on. [B, L] in 0..gamma

    Exact, not teacher-forced: behind a wrong draft nothing is counted, and before it the head's
    inputs are those of a real round.
    """
    agree = [s.logits.argmax(-1) == batch.wanted for s in unrolled(drafter, batch, table, gamma)]
    runs = torch.zeros_like(batch.wanted)
    alive = torch.ones_like(agree[0])
    for depth, right in enumerate(agree):
        # The draft that is depth-th from row i is made at row i + depth.
        shifted = F.pad(right[:, depth:], (0, depth), value=False)
        alive = alive & shifted
        runs += alive
    return runs


def train_predictor(
    drafter: Drafter, examples: Examples, table: Tensor, recipe: Recipe, phase: Phase
) -> None:
    spec, gamma = recipe.drafter_training, recipe.drafter.gamma_max
    depths = torch.arange(gamma)

    def loss_of(batch: DraftBatch) -> tuple[Tensor, dict[str, float]]:
        """Binary cross-entropy per draft position, over the positions that a round reaches."""
        with torch.no_grad():
            runs = accepted_runs(drafter, batch, table, gamma)
            aligned = drafter.alignment(drafter.encoder(batch.counts))
        at = batch.wanted >= 0
        clip = torch.arange(len(runs))[:, None].expand_as(runs)[at]
        logits = drafter.predictor(batch.hidden[at], aligned[clip])
        accepted = (runs[at][:, None] > depths).float()
        left = at.flip(1).cumsum(1).flip(1)[at]  # rows of the answer from here on
        reached = (runs[at][:, None] >= depths) & (depths < left[:, None])
        loss = F.binary_cross_entropy_with_logits(logits[reached], accepted[reached])
        return loss, {"drafts": runs[at].float().mean().item()}

    groups = [{"params": list(drafter.predictor.parameters()), "lr": spec.rate}]
    phase.run(groups, spec.predictor_steps, examples.stream(spec.batch, seed=7), loss_of)
