"""Trains event encoder and alignment MLP: event tokens are regressed onto what the target reads.

On scenes that is the target's own embeddings of the words for what is seen there. On recordings,
where nobody has written down what is seen, it is the target's visual tokens at the same place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.calibration.batches import Pair, frames_of, visual_of
from xsd_edge.models.drafter import Drafter
from xsd_edge.recipe import DrafterTraining
from xsd_edge.training.loop import Phase
from xsd_edge.training.losses import Mean, contrastive, relative_squared_error
from xsd_edge.training.paired import Windows
from xsd_edge.training.precision import fast_products
from xsd_edge.world.scenes import Scene
from xsd_edge.world.things import SIDE, Motion, Thing

ALIGN_BATCH = 64
TOLD = 6.0  # weight of a cell in which something happens; most cells are empty
BUSY = 0.1  # events per pixel of a cell in which something happens
MOST_CONTRASTED = 1024  # cells of one batch that are told apart; scores grow with its square
# What `train align --loss` knows: weights of the squared error and of InfoNCE.
LOSSES = {"mse": (1.0, 0.0), "infonce": (0.0, 1.0), "mse+infonce": (1.0, 0.1)}


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

    @property
    def scale(self) -> float:
        """Root mean square of a word's elements: the aligned tokens' unit."""
        return float(torch.stack(list(self.words.values())).square().mean().sqrt())

    def of(self, thing: Thing, motion: Motion) -> Tensor:
        names = (thing.shape, thing.size, *motion)
        return torch.stack([self.words[str(name)] for name in names]).sum(0)


def scene_batches(
    counts: NDArray[np.float16], drawn: Sequence[Scene], meanings: Meanings, cells: int
) -> Iterator[AlignBatch]:
    """Endless batches; a moving thing's meaning stands in every cell that its centre crosses.

    `counts` [clips, 2 * bins, side, side] of the scenes `drawn`; `cells` a side.
    """
    rng = np.random.default_rng(5)
    trails = [_trail(scene, cells) for scene in drawn]
    while True:
        picked = rng.integers(0, len(drawn), ALIGN_BATCH)
        wanted = meanings.words["nothing"].expand(ALIGN_BATCH, cells * cells, -1).clone()
        weight = torch.ones(ALIGN_BATCH, cells * cells)
        for row, clip in enumerate(picked):
            for cell, thing, motion in trails[int(clip)]:
                wanted[row, cell] = meanings.of(thing, motion)
                weight[row, cell] = TOLD
        found = torch.from_numpy(counts[picked]).float()
        yield AlignBatch(found, (wanted + meanings.places) / 4, weight)


def _trail(scene: Scene, cells: int) -> list[tuple[int, Thing, Motion]]:
    """The cells that things in motion cross in sight, in turn."""
    found = []
    for thing in scene.moving:
        for phase in map(float, np.linspace(0, 1, 9)):
            motion, _ = thing.motion_at(phase)
            if motion.direction is not None and scene.shows(thing, phase):
                x, y = (int(v * cells // SIDE) for v in scene.centre(thing, phase))
                found.append((y * cells + x, thing, motion))
    return found


@dataclass(frozen=True, slots=True)
class Seen:
    """Windows of recordings, and what the target made of the frames that end them."""

    windows: Windows
    visual: Tensor  # [N, P, D] its visual tokens, without CLS

    @classmethod
    def by(cls, pair: Pair, windows: Windows) -> Seen:
        """Show the frames to the target's tower and projector."""
        tokens = []
        with torch.no_grad():
            for start in range(0, len(windows.frames), ALIGN_BATCH):
                images = frames_of(pair, windows.frames[start : start + ALIGN_BATCH])
                each = visual_of(pair, images)[0].unflatten(0, (len(images), -1))
                tokens.append(each[:, 1:].float())
        return cls(windows, torch.cat(tokens))

    @property
    def scale(self) -> float:
        return float(self.visual.square().mean().sqrt())

    def batches(self, cells: int) -> Iterator[AlignBatch]:
        """Endless batches; each event cell is to mean the visual token of the patch it lies in."""
        rng = np.random.default_rng(5)
        patches = int(self.visual.shape[1] ** 0.5)
        near = torch.arange(cells) * patches // cells
        patch_of = (near[:, None] * patches + near[None]).flatten()  # [E]
        while True:
            picked = rng.integers(0, len(self.visual), ALIGN_BATCH)
            counts = torch.from_numpy(self.windows.counts[picked]).float()
            busy = F.adaptive_avg_pool2d(counts.sum(1), cells).flatten(1) > BUSY
            wanted = self.visual[torch.from_numpy(picked)][:, patch_of]
            yield AlignBatch(counts, wanted, torch.where(busy, TOLD, 1.0))


def align_terms(drafter: Drafter, batch: AlignBatch, scale: float, loss: str = "mse") -> list[Mean]:
    """Relative squared error, weighted: mean of w |aligned s - wanted|^2 / |wanted|^2; InfoNCE over
    the cells in which something happens.
    """
    squared, contrast = LOSSES[loss]
    with fast_products(batch.counts.device):
        aligned = drafter.alignment(drafter.encoder(batch.counts)).float() * scale
    terms = []
    if squared:
        rows = relative_squared_error(aligned, batch.wanted, batch.weight)
        terms.append(Mean(rows, squared))
    if contrast:
        told = batch.weight > 1
        found, wanted = aligned[told][:MOST_CONTRASTED], batch.wanted[told][:MOST_CONTRASTED]
        terms.append(Mean(contrastive(found, wanted), contrast))
    return terms


def train_alignment(
    drafter: Drafter,
    batches: Iterator[AlignBatch],
    scale: float,
    spec: DrafterTraining,
    phase: Phase,
    loss: str = "mse",
) -> None:
    """`loss` is a key of LOSSES. With several workers each tells its own rows' cells apart."""

    def loss_of(batch: AlignBatch) -> tuple[list[Mean], dict[str, float]]:
        return align_terms(drafter, batch, scale, loss), {}

    parameters = [*drafter.encoder.parameters(), *drafter.alignment.parameters()]
    phase.run([{"params": parameters, "lr": spec.rate}], spec.align_steps, batches, loss_of)
