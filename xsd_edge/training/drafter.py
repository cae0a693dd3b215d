"""Trains the drafter behind its alignment: imitate the target, then predict what it will accept.

draft: the head imitates the target's next-token distribution, on its own features as it will be at
run time (EAGLE-3's training-time test, Li et al. 2025, arXiv 2503.01840). accept: the predictor
learns which of the head's drafts the greedy verifier accepts. joint: both at once, and the
alignment held in place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.models.drafter import MASKED, Drafter, DraftHead, DraftStep, Pair
from xsd_edge.recipe import DrafterTraining
from xsd_edge.training.alignment import AlignBatch, align_terms
from xsd_edge.training.distill import Distilled, Example
from xsd_edge.training.loop import Phase
from xsd_edge.training.losses import DISTILLATION, Mean, acceptance
from xsd_edge.training.precision import fast_products


def draft_vocabulary(data: Distilled) -> NDArray[np.int64]:
    """Every token that the target said, and what it held likely: the reduced vocabulary."""
    said = np.concatenate([e.tokens[e.question_rows :] for e in data.examples])
    likely = np.concatenate([e.top_tokens[e.top_weights > 0.02] for e in data.examples])
    return np.unique(np.concatenate([said, likely]))


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


def feedback_mask(length: int, depth: int, device: torch.device | None = None) -> Tensor:
    """Who a row of the depth-th pass may see among the keys of all passes so far. [L, (depth + 1)
    L]

    At run time row i, drafted as the depth-th of a round, has verified rows up to i - depth in its
    cache and behind them the round's own drafts, of which row i - depth + k was the k-th.
    """
    place = torch.arange(length, device=device)
    i, j = place[:, None], place[None]
    blocks = [j <= i - depth, *(j == i - depth + k for k in range(1, depth + 1))]
    return torch.where(torch.cat(blocks, 1), 0.0, MASKED)


def unrolled(
    drafter: Drafter, batch: DraftBatch, table: Tensor, depths: int
) -> Iterator[DraftStep]:
    """The head's output at each row as the first, second ... draft of a round that reaches it."""
    aligned = drafter.alignment(drafter.encoder(batch.counts))
    return unrolled_head(drafter.head, drafter.memory(aligned), batch, table, depths)


def unrolled_head(
    head: DraftHead, memory: Pair, batch: DraftBatch, table: Tensor, depths: int
) -> Iterator[DraftStep]:
    """`unrolled` behind any memory: keys and values [B, heads, E, dh]."""
    length, device = batch.tokens.shape[1], batch.tokens.device
    embedding, position = table[batch.tokens], torch.arange(length, device=device)
    nothing = batch.hidden.new_zeros(len(batch.tokens), length, head.out.out_features)
    step: DraftStep | None = None
    keys: list[Tensor] = []
    values: list[Tensor] = []
    for depth in range(depths):
        hidden = batch.hidden if step is None else torch.zeros_like(batch.hidden)
        # The feature of the row before, which at run time came from the draft before.
        feature = nothing if step is None else F.pad(step.feature_out[:, :-1], (0, 0, 1, 0))
        none = nothing.new_zeros(len(nothing), 0, head.heads, nothing.shape[-1] // head.heads)
        past_keys = torch.cat([none, *keys], 1)
        past_values = torch.cat([none, *values], 1)
        mask = feedback_mask(length, depth, device)
        step = head(embedding, hidden, feature, position, past_keys, past_values, mask, *memory)
        keys.append(step.keys)
        values.append(step.values)
        yield step


def draft_terms(
    drafter: Drafter, batch: DraftBatch, table: Tensor, depths: int, loss: str = "kl+tv"
) -> tuple[list[Mean], float]:
    """The distillation loss of each depth, deeper ones weighing less, and the share of drafts that
    are the target's choice. `loss` is a key of DISTILLATION.
    """
    with fast_products(batch.hidden.device):
        steps = list(unrolled(drafter, batch, table, depths))
    return distillation(steps, batch, loss)


def distillation(
    steps: Sequence[DraftStep], batch: DraftBatch, loss: str
) -> tuple[list[Mean], float]:
    """The terms of `draft_terms`, from what the head said at each depth."""
    terms, hits = [], 0.0
    for depth, step in enumerate(steps):
        at = batch.wanted >= 0
        at[:, :depth] = False
        log_q, p = step.logits.float()[at].log_softmax(-1), batch.p[at]
        terms.append(Mean(DISTILLATION[loss](p, log_q), 0.85**depth))
        hits += (log_q.argmax(-1) == batch.wanted[at]).float().mean().item()
    return terms, hits / len(steps)


def train_head(
    drafter: Drafter,
    examples: Examples,
    table: Tensor,
    spec: DrafterTraining,
    phase: Phase,
    loss: str = "kl+tv",
) -> None:

    def loss_of(batch: DraftBatch) -> tuple[list[Mean], dict[str, float]]:
        terms, right = draft_terms(drafter, batch, table, spec.feedback, loss)
        return terms, {"right": right}

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


def accept_terms(
    drafter: Drafter, batch: DraftBatch, table: Tensor, aligned: Tensor, gamma: int
) -> tuple[list[Mean], float]:
    """The predictor's loss over the positions that a round reaches, and the mean run of accepted
    drafts. `aligned` [B, E, D].
    """
    with torch.no_grad():
        runs = accepted_runs(drafter, batch, table, gamma)
    at = batch.wanted >= 0
    clip = torch.arange(len(runs), device=runs.device)[:, None].expand_as(runs)[at]
    logits = drafter.predictor(batch.hidden[at], aligned[clip])
    left = at.flip(1).cumsum(1).flip(1)[at]  # rows of the answer from here on
    return [Mean(acceptance(logits, runs[at], left))], runs[at].float().mean().item()


def train_predictor(
    drafter: Drafter, examples: Examples, table: Tensor, spec: DrafterTraining, phase: Phase
) -> None:
    gamma = drafter.spec.gamma_max

    def loss_of(batch: DraftBatch) -> tuple[list[Mean], dict[str, float]]:
        with torch.no_grad():
            aligned = drafter.alignment(drafter.encoder(batch.counts))
        terms, drafts = accept_terms(drafter, batch, table, aligned, gamma)
        return terms, {"drafts": drafts}

    groups = [{"params": list(drafter.predictor.parameters()), "lr": spec.rate}]
    phase.run(groups, spec.predictor_steps, examples.stream(spec.batch, seed=7), loss_of)


# --- joint ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class JointBatch:
    """Answers to imitate, and clips whose events are to keep their meaning."""

    draft: DraftBatch
    align: AlignBatch


@dataclass(frozen=True, slots=True)
class JointWeights:
    """loss = loss_LM + align * loss_align + accept * loss_accept."""

    align: float = 0.1
    accept: float = 0.1


def train_jointly(
    drafter: Drafter,
    examples: Examples,
    clips: Iterator[AlignBatch],
    scale: float,
    table: Tensor,
    spec: DrafterTraining,
    phase: Phase,
    weights: JointWeights,
) -> None:
    """Every part at once; the drafts that the predictor judges are the head's of that very step."""
    gamma = drafter.spec.gamma_max

    def loss_of(batch: JointBatch) -> tuple[list[Mean], dict[str, float]]:
        terms, right = draft_terms(drafter, batch.draft, table, spec.feedback)
        held = align_terms(drafter, batch.align, scale)
        aligned = drafter.alignment(drafter.encoder(batch.draft.counts))
        judged, drafts = accept_terms(drafter, batch.draft, table, aligned, gamma)
        terms += [Mean(term.rows, weights.align * term.weight) for term in held]
        terms += [Mean(term.rows, weights.accept * term.weight) for term in judged]
        return terms, {"right": right, "drafts": drafts}

    answers = examples.stream(spec.batch, seed=8)
    batches = (JointBatch(*pair) for pair in zip(answers, clips, strict=False))
    groups = [{"params": list(drafter.parameters()), "lr": spec.rate / 3}]  # all is learnt already
    phase.run(groups, spec.steps, batches, loss_of)
