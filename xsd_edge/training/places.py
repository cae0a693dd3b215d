"""Teaches a trained target where things are.

The map square of a thing is finer than a patch. While the target learns to talk nothing asks its
tower for that, and what the patch phases had taught it fades: after the language phase a linear
probe reads the right square off 22 % of the visual tokens. So, once it can talk:

1. patch-places: tower and projector, on single frames, learn to add the words for row and column to
   the tokens of things, and to leave everything else as it is. A probe behind the projector reads
   the place: the words alone, a sixth of a token's size, are learnt too slowly.
2. places: the target goes on talking about clips, asked mostly for places. That probe holds the
   projector to them, and another one the language model half way up, from where an answer can copy
   them: deep supervision as in `MotionProbe`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.recipe import Recipe
from xsd_edge.training.clips import IGNORED, ClipBatch, clip_batches
from xsd_edge.training.loop import Phase
from xsd_edge.training.patches import PatchBatch, patch_batches
from xsd_edge.training.target import (
    LanguageLoss,
    language_parameters,
    projected,
    trainable,
    with_negatives,
    word_table,
)
from xsd_edge.world.scenes import QuestionAnswer
from xsd_edge.world.things import COLUMNS, ROWS

# Frames and clips that the phases before have not seen.
PATCH_SEED, CLIP_SEED = 400_000, 20_000_000
ASKED_PLACES, ASKED_OTHERS = 4, 1  # beside the caption
PROBE_RATE = 5e-3  # of the probes: they are to have learnt before what they read has


def mostly_places(others: Sequence[QuestionAnswer], rng: np.random.Generator) -> list[int]:
    """Numbers of four questions for places, where there are so many, and of one other."""
    places = [n for n, asked in enumerate(others) if asked.kind == "where"]
    rest = [n for n, asked in enumerate(others) if asked.kind != "where"]
    count = min(ASKED_PLACES, len(places))
    chosen = [*rng.choice(len(places), count, replace=False)] if places else []
    return [*(places[n] for n in chosen), *(rest[n] for n in rng.choice(len(rest), ASKED_OTHERS))]


def train_patch_places(
    model: VideoLlavaForConditionalGeneration,
    probe: PlaceProbe,
    recipe: Recipe,
    words: Tokenizer,
    phase: Phase,
) -> None:
    spec = recipe.target_training
    seeing = trainable(model, when=lambda n: "video_tower" in n or "projector" in n)
    before = copy.deepcopy(model).requires_grad_(False)
    rows, columns = word_table(model, words, ROWS), word_table(model, words, COLUMNS)
    batches = patch_batches(recipe, spec.projector_batch, first_seed=PATCH_SEED)

    def loss_of(batch: PatchBatch) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            wanted = projected(before, batch.pixels)
            place = (rows[batch.square[..., 0]] + columns[batch.square[..., 1]]) / 3
            wanted[:, 1:] += torch.where(batch.present[..., None], place, 0.0)
        tokens = projected(model, batch.pixels)
        error = (tokens - wanted).square().sum(-1) / wanted.square().sum(-1)
        weight = F.pad(torch.where(batch.present, 6.0, 1.0), (1, 0), value=1.0)  # CLS first
        held = (error * weight).mean()
        place = torch.where(batch.present[..., None], batch.square, IGNORED)
        read, seen = probe.loss(tokens[:, 1:], place)
        return held + spec.place_weight * read, {"held": held.item(), "seen": seen}

    groups = [
        {"params": seeing, "lr": spec.tower_rate},
        {"params": list(probe.parameters()), "lr": PROBE_RATE},
    ]
    phase.run(groups, spec.patch_places_steps, batches, loss_of)


class PlaceProbe(nn.Module):
    """Reads row and column off the visual tokens that a thing lies in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.sizes = (len(ROWS), len(COLUMNS))
        self.read = nn.Linear(width, sum(self.sizes))

    def loss(self, states: Tensor, place: Tensor) -> tuple[Tensor, float]:
        """`states` [B, T, D] and the truth [B, T, 2], IGNORED where nothing is; and the share
        found.
        """
        at = place[..., 0] != IGNORED
        read = self.read(F.layer_norm(states[at].float(), states.shape[-1:]))
        row, column = read.split(self.sizes, -1)
        truth = place[at]
        found = (row.argmax(-1) == truth[:, 0]) & (column.argmax(-1) == truth[:, 1])
        loss = F.cross_entropy(row, truth[:, 0]) + F.cross_entropy(column, truth[:, 1])
        return loss, found.float().mean().item()


class PlacingLoss(LanguageLoss):
    """The language phase's loss, and two place probes: behind the projector, and half way up."""

    def __init__(
        self,
        model: VideoLlavaForConditionalGeneration,
        at_projector: PlaceProbe,
        recipe: Recipe,
        words: Tokenizer,
    ) -> None:
        super().__init__(model, recipe, words)
        self.at_projector, self.half_way = at_projector, PlaceProbe(self.width)
        self._place_weight = recipe.target_training.place_weight
        self._projected: list[Tensor] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        hook = self.model.model.multi_modal_projector.register_forward_hook(
            lambda module, inputs, output: self._projected.append(output)
        )
        try:
            with super().reading():
                yield
        finally:
            hook.remove()
            self._projected.clear()

    def probed(self, visual: Tensor, batch: ClipBatch) -> tuple[Tensor, dict[str, float]]:
        moved, values = super().probed(visual, batch)
        tokens = self._projected.pop().unflatten(0, (len(visual), -1)).flatten(1, 2)
        early, seen = self.at_projector.loss(tokens, batch.place)
        late, found = self.half_way.loss(visual, batch.place)
        return moved + self._place_weight * (early + late), values | {"seen": seen, "found": found}


def train_places(
    model: VideoLlavaForConditionalGeneration,
    probe: PlaceProbe,
    recipe: Recipe,
    words: Tokenizer,
    end: int,
    phase: Phase,
) -> None:
    """`model` is a trained target with its low-rank updates apart, `probe` that of
    `train_patch_places`.
    """
    spec = recipe.target_training
    factors, vision = language_parameters(model)
    loss = PlacingLoss(model, probe, recipe, words)
    probes = nn.ModuleList([loss.probe, loss.at_projector, loss.half_way])
    groups = [
        {"params": factors, "lr": spec.places_rate},
        {"params": vision, "lr": spec.vision_rate},
        {"params": list(probes.parameters()), "lr": PROBE_RATE},
    ]
    clips = clip_batches(recipe, words, end, CLIP_SEED, mostly_places)
    batches = with_negatives(clips, len(model.lm_head.weight))
    with loss.reading():
        phase.run(groups, spec.places_steps, batches, loss, state={"probes": probes})
