"""Lessons for a target that can talk: where things are, then what they are.

Captions alone leave gaps. The map square of a thing is finer than a patch: while the target learns
to talk nothing asks its tower for that, and after the language phase a linear probe reads the right
square off 22 % of the visual tokens. Later, what fails is the third of three things: it is left
out, or one thing's look is told of another. A lesson has two phases:

1. patch: tower and projector, on single frames, learn to show what the lesson is about on the
   tokens of things, and to leave everything else as it is. A probe behind the projector reads it.
2. talk: the target goes on talking about clips, chosen and asked as the lesson says. That probe
   holds the projector to it, and another one the language model half way up, from where an answer
   can copy it: deep supervision as in `MotionProbe`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.recipe import Recipe
from xsd_edge.training.clips import Chooser, ClipBatch, Picker, any_scene, clip_batches
from xsd_edge.training.loop import Phase
from xsd_edge.training.patches import IGNORED, LOOKS, PatchBatch, look_counts, patch_batches
from xsd_edge.training.target import (
    LanguageLoss,
    language_parameters,
    projected,
    trainable,
    with_negatives,
    word_table,
)
from xsd_edge.world.scenes import QuestionAnswer, Scene
from xsd_edge.world.things import COLUMNS, ROWS

PROBE_RATE = 5e-3  # of the probes: they are to have learnt before what they read has


def some_of(wanted: dict[str, int], others: int) -> Picker:
    """So many questions of each kind in `wanted`, where there are so many, and so many others."""

    def pick(asked: Sequence[QuestionAnswer], rng: np.random.Generator) -> list[int]:
        chosen: list[int] = []
        for kind, most in wanted.items():
            known = [n for n, exchange in enumerate(asked) if exchange.kind == kind]
            if known:
                chosen += rng.choice(known, min(most, len(known)), replace=False).tolist()
        rest = [n for n, exchange in enumerate(asked) if exchange.kind not in wanted]
        return chosen + rng.choice(rest, min(others, len(rest)), replace=False).tolist()

    return pick


def mostly_several(seed: int, scene: Scene) -> bool:
    """Three of four seeds only if there are two things or three: one alone is told right."""
    return len(scene.told) > 1 or seed % 4 == 0


@dataclass(frozen=True, slots=True)
class Lesson:
    """What is to be read off the tokens of things, and what is talked about meanwhile."""

    name: str
    looks: tuple[str, ...]  # of LOOKS
    new_words: bool  # those for row and column are to be added to the tokens of things
    patch_seed: int  # frames and clips that the phases before have not seen
    clip_seed: int
    pick: Picker
    choose: Chooser = any_scene


PLACES = Lesson("places", ("row", "column"), True, 400_000, 20_000_000, some_of({"where": 4}, 1))
THINGS = Lesson(
    "things",
    LOOKS,
    False,
    600_000,
    30_000_000,
    some_of({"count": 1, "count_moving": 1, "where": 1}, 2),
    mostly_several,
)


class Student(NamedTuple):
    """A trained target with its low-rank updates apart, and what it is taught with."""

    model: VideoLlavaForConditionalGeneration
    probe: LookProbe  # behind the projector
    recipe: Recipe
    words: Tokenizer


class LookProbe(nn.Module):
    """Reads some of LOOKS off the visual tokens that a thing lies in."""

    def __init__(self, recipe: Recipe, width: int, looks: Sequence[str]) -> None:
        super().__init__()
        self._at = [LOOKS.index(look) for look in looks]
        self.sizes = [look_counts(recipe)[n] for n in self._at]
        self.read = nn.Linear(width, sum(self.sizes))

    def loss(self, states: Tensor, looks: Tensor) -> tuple[Tensor, float]:
        """`states` [B, T, D] and the truth [B, T, LOOKS], IGNORED where nothing is; and the share
        of things that are read right in every respect.
        """
        at = looks[..., 0] != IGNORED
        read = self.read(F.layer_norm(states[at].float(), states.shape[-1:])).split(self.sizes, -1)
        truth = looks[at][:, self._at].unbind(-1)
        pairs = list(zip(read, truth, strict=True))
        right = torch.stack([logits.argmax(-1) == wanted for logits, wanted in pairs]).all(0)
        losses = torch.stack([F.cross_entropy(logits, wanted) for logits, wanted in pairs])
        return losses.sum(), right.float().mean().item()


def teach_patches(student: Student, lesson: Lesson, steps: int, phase: Phase) -> None:
    model, probe, recipe, words = student
    spec = recipe.target_training
    seeing = trainable(model, when=lambda n: "video_tower" in n or "projector" in n)
    before = copy.deepcopy(model).requires_grad_(False)
    rows, columns = word_table(model, words, ROWS), word_table(model, words, COLUMNS)
    batches = patch_batches(recipe, spec.projector_batch, first_seed=lesson.patch_seed)

    def loss_of(batch: PatchBatch) -> tuple[Tensor, dict[str, float]]:
        with torch.no_grad():
            wanted = projected(before, batch.pixels)
            if lesson.new_words:
                place = (rows[batch.square[..., 0]] + columns[batch.square[..., 1]]) / 3
                wanted[:, 1:] += torch.where(batch.present[..., None], place, 0.0)
        tokens = projected(model, batch.pixels)
        error = (tokens - wanted).square().sum(-1) / wanted.square().sum(-1)
        weight = F.pad(torch.where(batch.present, 6.0, 1.0), (1, 0), value=1.0)  # CLS first
        held = (error * weight).mean()
        # The words alone, a sixth of a token's size, are learnt too slowly.
        read, seen = probe.loss(tokens[:, 1:], batch.looks)
        return held + spec.read_weight * read, {"held": held.item(), "seen": seen}

    groups = [
        {"params": seeing, "lr": spec.tower_rate},
        {"params": list(probe.parameters()), "lr": PROBE_RATE},
    ]
    phase.run(groups, steps, batches, loss_of)


class LessonLoss(LanguageLoss):
    """The language phase's loss, and two probes: behind the projector, and half way up."""

    def __init__(self, student: Student, lesson: Lesson) -> None:
        model, probe, recipe, words = student
        super().__init__(model, recipe, words)
        self.at_projector, self.half_way = probe, LookProbe(recipe, self.width, lesson.looks)
        self._read_weight = recipe.target_training.read_weight
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
        early, seen = self.at_projector.loss(tokens, batch.looks)
        late, found = self.half_way.loss(visual, batch.looks)
        return moved + self._read_weight * (early + late), values | {"seen": seen, "found": found}


def teach_talk(student: Student, lesson: Lesson, steps: int, end: int, phase: Phase) -> None:
    model, _, recipe, words = student
    spec = recipe.target_training
    factors, vision = language_parameters(model)
    loss = LessonLoss(student, lesson)
    probes = nn.ModuleList([loss.probe, loss.at_projector, loss.half_way])
    groups = [
        {"params": factors, "lr": spec.lesson_rate},
        {"params": vision, "lr": spec.vision_rate},
        {"params": list(probes.parameters()), "lr": PROBE_RATE},
    ]
    clips = clip_batches(recipe, words, end, lesson.clip_seed, lesson.pick, lesson.choose)
    batches = with_negatives(clips, len(model.lm_head.weight))
    with loss.reading():
        phase.run(groups, steps, batches, loss, state={"probes": probes})
