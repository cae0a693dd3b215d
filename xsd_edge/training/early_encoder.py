"""Teaches the early drafter's event encoder to see, before anybody drafts with it.

Each event token says what has changed where it looks: which thing's centre is there, how it moves,
whether it has come or left. It is what the tower learns first, too (target.py), and for the same
reason: from answers alone an encoder learns directions last of all, since a word of an answer has
to find the thing, its motion and its name among the words of the last answer all at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from xsd_edge.models.drafter import EventEncoder
from xsd_edge.recipe import EarlyTraining
from xsd_edge.training.loop import Phase
from xsd_edge.training.precision import fast_products
from xsd_edge.world.spec import SHAPES
from xsd_edge.world.streams import FATES, FORESEEN, StreamClip
from xsd_edge.world.things import DIRECTIONS, SIDE, SIZES, SPEEDS

NOTHING = -1  # in every attribute of a token that sees no centre
# Of each attribute; None is what stands still.
ATTRIBUTES: tuple[tuple[str | None, ...], ...] = (
    SHAPES,
    tuple(SIZES),
    (None, *DIRECTIONS),
    (None, *SPEEDS),
    FATES,
)
PRESENCE = 16.0  # weight: one of a hundred tokens sees a centre


def told_by_events(clip: StreamClip, cells: int) -> NDArray[np.int8]:
    """What each of cells x cells event tokens has to say of the clip: indices into ATTRIBUTES.
    [cells^2, len(ATTRIBUTES)]
    """
    told = np.full((cells**2, len(ATTRIBUTES)), NOTHING, np.int8)
    for thing, fate, motion, at in clip.changes(FORESEEN):
        column, row = np.clip((np.array(at) * cells / SIDE).astype(int), 0, cells - 1)
        said = (thing.shape, thing.size, motion.direction, motion.speed, fate)
        told[row * cells + column] = [
            names.index(one) for names, one in zip(ATTRIBUTES, said, strict=True)
        ]
    return told


@dataclass(frozen=True, slots=True)
class EventBatch:
    """B clips: what the encoder reads, and what its tokens should say."""

    counts: Tensor  # [B, 2 * bins, side, side]
    told: Tensor  # [B, E, len(ATTRIBUTES)] int64


class EventProbe(nn.Module):
    """Reads presence and attributes off event tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (1, *map(len, ATTRIBUTES))
        self.read = nn.Linear(width, sum(self.sizes))

    def loss(self, tokens: Tensor, told: Tensor) -> tuple[Tensor, dict[str, float]]:
        """`tokens` [B, E, C]; `told` as in `EventBatch`. Cross-entropies, and how many centres are
        found with the right direction.
        """
        present, *parts = self.read(tokens.float()).split(self.sizes, -1)
        at = told[..., 0] != NOTHING
        centres = at.sum().clamp(min=1)  # a batch may have none
        loss = PRESENCE * F.binary_cross_entropy_with_logits(present[..., 0], at.float())
        for part, truth in zip(parts, told[at].unbind(-1), strict=True):
            loss = loss + F.cross_entropy(part[at], truth, reduction="sum") / centres
        found = (parts[2][at].argmax(-1) == told[at][:, 2]) & (present[at][:, 0] > 0)
        return loss, {"found": (found.sum() / centres).item()}


def event_batches(
    sources: Sequence[tuple[NDArray[np.float16], NDArray[np.int8]]], size: int
) -> Iterator[EventBatch]:
    """Endless batches of clips, each as likely as any other; a source is counts and what they
    tell.
    """
    rng = np.random.default_rng(9)
    ends = np.cumsum([len(counts) for counts, _ in sources])
    while True:
        numbers = rng.integers(ends[-1], size=size)
        of = np.searchsorted(ends, numbers, side="right")
        picked = [(sources[s], n - ends[s]) for s, n in zip(of, numbers, strict=True)]
        counts = np.stack([source[0][n] for source, n in picked]).astype(np.float32)
        told = np.stack([source[1][n] for source, n in picked]).astype(np.int64)
        yield EventBatch(torch.from_numpy(counts), torch.from_numpy(told))


def train_encoder(
    encoder: EventEncoder,
    probe: EventProbe,
    batches: Iterator[EventBatch],
    spec: EarlyTraining,
    phase: Phase,
) -> None:
    """Until each event token says what has changed there."""

    def loss_of(batch: EventBatch) -> tuple[Tensor, dict[str, float]]:
        with fast_products(batch.counts.device):
            tokens = encoder(batch.counts)
        return probe.loss(tokens, batch.told)

    groups = [{"params": [*encoder.parameters(), *probe.parameters()], "lr": spec.encoder_rate}]
    phase.run(groups, spec.encoder_steps, batches, loss_of, state={"probe": probe})
