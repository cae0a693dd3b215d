"""Trains the demo target in three phases: see patches, name patches, then talk about clips.

1. tower: each patch of a still frame says whether a thing's centre is in it, and which (shape,
   colour, size).
2. projector: each patch token is regressed onto the language model's own embeddings of the words
   for it. Without this phase the language model learns the captions' grammar but never looks at the
   frames.
3. language: low-rank updates, on several questions per clip that share one visual prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.models.target import LowRankLinear
from xsd_edge.recipe import Recipe
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.training.clips import ClipBatch, branch_mask, clip_batches
from xsd_edge.training.loop import Phase
from xsd_edge.training.patches import IGNORED, PatchBatch, patch_batches
from xsd_edge.training.precision import fast_products, fast_type
from xsd_edge.world.things import COLOURS, COLUMNS, DIRECTIONS, ROWS, SIZES, SPEEDS

# Where in the language model the motion probe reads: half way, so that the upper half can pass it
# on.
PROBED_SHARE = 0.5
NEGATIVES = 2048  # random words beside the answers' own in the language phase's softmax


def trainable(model: nn.Module, *, when: Callable[[str], bool]) -> list[nn.Parameter]:
    """Switch gradients on for the named parameters and off for all others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(when(name))
    return [p for p in model.parameters() if p.requires_grad]


def patch_features(model: VideoLlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """The tower's second-last layer, CLS first, as VideoLLaVA reads it. [B, 3, H, W] -> [B, 1+P,
    D].
    """
    hidden = model.model.video_tower(pixels, output_hidden_states=True).hidden_states
    assert hidden is not None
    return hidden[-2]


def projected(model: VideoLlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """What the language model reads of frames, CLS first. [B, 3, H, W] -> [B, 1 + P, D] float32"""
    with fast_products(pixels.device):
        tokens: Tensor = model.model.multi_modal_projector(patch_features(model, pixels))
    return tokens.float()


def train_tower(model: VideoLlavaForConditionalGeneration, recipe: Recipe, phase: Phase) -> None:
    spec = recipe.target_training
    # presence, shape, colour, size, place
    outputs = [1, len(recipe.world.shapes), len(COLOURS), len(SIZES), 2]
    probe = nn.Linear(recipe.target.vision_hidden, sum(outputs))
    parameters = trainable(model, when=lambda name: "video_tower" in name)
    batches = patch_batches(recipe, spec.tower_batch, first_seed=0)

    def loss_of(batch: PatchBatch) -> tuple[Tensor, dict[str, float]]:
        with fast_products(batch.pixels.device):
            features = patch_features(model, batch.pixels)[:, 1:]
        logits = probe(features.float())
        parts = logits.split(outputs, -1)
        at = batch.present
        loss = 4 * F.binary_cross_entropy_with_logits(parts[0][..., 0], at.float())
        for part, truth in zip(parts[1:4], (batch.shape, batch.colour, batch.size), strict=True):
            loss = loss + F.cross_entropy(part[at], truth[at])
        loss = loss + 4 * F.mse_loss(parts[4][at], batch.offset[at])
        hit = (parts[1][at].argmax(-1) == batch.shape[at]).float().mean()
        return loss, {"shape": hit.item()}

    groups = [{"params": [*parameters, *probe.parameters()], "lr": spec.tower_rate}]
    phase.run(groups, spec.tower_steps, batches, loss_of, state={"probe": probe})


def word_embedding(
    model: VideoLlavaForConditionalGeneration, words: Tokenizer, text: str
) -> Tensor:
    """Mean input embedding of a word's tokens (with its leading space). [D]"""
    table = model.model.language_model.get_input_embeddings().weight
    ids = words.encode(f" {text}", add_special_tokens=False).ids
    return table[ids].float().mean(0).detach()


def word_table(
    model: VideoLlavaForConditionalGeneration, words: Tokenizer, names: Iterable[str]
) -> Tensor:
    """Such an embedding for each name. [n, D]"""
    return torch.stack([word_embedding(model, words, name) for name in names])


def train_projector(
    model: VideoLlavaForConditionalGeneration, recipe: Recipe, words: Tokenizer, phase: Phase
) -> None:
    spec = recipe.target_training
    trainable(model, when=lambda n: "video_tower" in n or "projector" in n)

    shapes, colours, sizes, rows, columns = (
        word_table(model, words, names)
        for names in (recipe.world.shapes, COLOURS, SIZES, ROWS, COLUMNS)
    )
    nothing = word_embedding(model, words, "nothing")
    batches = patch_batches(recipe, spec.projector_batch, first_seed=200_000)

    def loss_of(batch: PatchBatch) -> tuple[Tensor, dict[str, float]]:
        tokens = projected(model, batch.pixels)
        thing = shapes[batch.shape] + colours[batch.colour] + sizes[batch.size]
        place = rows[batch.square[..., 0]] + columns[batch.square[..., 1]]
        wanted = torch.where(batch.present[..., None], thing, nothing) + place
        wanted = wanted / 3
        error = (tokens[:, 1:] - wanted).square().sum(-1) / wanted.square().sum(-1)
        weight = torch.where(batch.present, 6.0, 1.0)
        return (error * weight).mean(), {}

    groups = [
        {"params": model.model.multi_modal_projector.parameters(), "lr": spec.projector_rate},
        {"params": model.model.video_tower.parameters(), "lr": spec.vision_rate},
    ]
    phase.run(groups, spec.projector_steps, batches, loss_of)


def visual_tokens(model: VideoLlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """[B, T, 3, H, W] -> [B, T * tokens_per_frame, D]"""
    features = patch_features(model, pixels.flatten(0, 1))
    return model.model.multi_modal_projector(features).unflatten(0, pixels.shape[:2]).flatten(1, 2)


def answer_states(
    model: VideoLlavaForConditionalGeneration, batch: ClipBatch, before: list[int]
) -> Tensor:
    """Hidden states (after the final norm) at every branch position. [B, L, D]"""
    language = model.model.language_model
    embed = language.get_input_embeddings()
    with fast_products(batch.pixels.device):
        visual = visual_tokens(model, batch.pixels)
    head = embed(torch.tensor(before)).expand(len(batch.tokens), -1, -1)
    kind = embed.weight.dtype
    inputs = torch.cat([head, visual.to(kind), embed(batch.tokens)], 1)
    prefix = inputs.shape[1] - batch.tokens.shape[1]
    places = torch.arange(prefix).expand(len(batch.tokens), -1)
    hidden: Tensor = language(
        inputs_embeds=inputs,
        attention_mask=branch_mask(batch.branch, batch.depth, prefix).to(kind),
        position_ids=torch.cat([places, prefix + batch.depth], 1),
        use_cache=False,
    ).last_hidden_state
    return hidden[:, prefix:]


class MotionProbe(nn.Module):
    """Reads direction, speed and frame number off the visual tokens half way up the language model.

    Deep supervision (Lee et al. 2015, arXiv 1409.5185): captions alone teach motion very late,
    because an answer token would have to find and compare two frames at once; here each frame's
    token of a thing is asked how that thing has moved so far, and the caption then only has to copy
    it.
    """

    def __init__(self, recipe: Recipe, width: int) -> None:
        super().__init__()
        self.sizes = (len(DIRECTIONS) + 1, len(SPEEDS) + 1, recipe.target.frames)
        self.read = nn.Linear(width, sum(self.sizes))
        self._tokens = recipe.target.tokens_per_frame

    def loss(self, states: Tensor, motion: Tensor) -> Tensor:
        """`states` [B, visual tokens, D] of the probed layer, `motion` as in `ClipBatch`."""
        normal = F.layer_norm(states.float(), states.shape[-1:])
        direction, speed, number = self.read(normal).split(self.sizes, -1)
        at = motion[..., 0] != IGNORED
        count = states.shape[1] // self._tokens
        frame = torch.arange(count).expand(len(states), -1)
        return (
            F.cross_entropy(direction[at], motion[at][:, 0])
            + F.cross_entropy(speed[at], motion[at][:, 1])
            + F.cross_entropy(number[:, :: self._tokens].flatten(0, 1), frame.flatten())
        )


class LanguageLoss:
    """Cross-entropy of the answers' tokens, plus the motion probe's loss half way up.

    The softmax runs over the batch's own words and random others: the full table costs a third of
    the step.
    """

    def __init__(
        self, model: VideoLlavaForConditionalGeneration, recipe: Recipe, words: Tokenizer
    ) -> None:
        self.model, self._motion_weight = model, recipe.target_training.motion_weight
        self._before = Prompt(words, recipe.target.prompt).before
        table = model.lm_head.weight.detach()
        self._table = table.to(fast_type(table.device))
        self.width = self._table.shape[1]
        self.probe = MotionProbe(recipe, self.width)
        self._probed: list[Tensor] = []

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Within, the probed layer's output is at hand; afterwards the model is as it was."""
        layers = self.model.model.language_model.layers
        hook = layers[int(len(layers) * PROBED_SHARE)].register_forward_hook(
            lambda module, inputs, output: self._probed.append(output)
        )
        try:
            yield
        finally:
            hook.remove()
            self._probed.clear()

    def __call__(self, drawn: tuple[ClipBatch, Tensor]) -> tuple[Tensor, dict[str, float]]:
        """`drawn` is a batch and its random words [NEGATIVES]."""
        batch, negatives = drawn
        hidden = answer_states(self.model, batch, self._before)
        start = len(self._before)
        visual = self._probed.pop()[:, start : start + batch.motion.shape[1]]
        probed, values = self.probed(visual, batch)
        at = batch.labels != IGNORED
        wanted = batch.labels[at]
        shown, where = torch.unique(torch.cat([wanted, negatives]), return_inverse=True)
        logits = F.linear(hidden[at], self._table[shown]).float()
        right = logits.argmax(-1) == where[: len(wanted)]
        said = F.cross_entropy(logits, where[: len(wanted)])
        values |= {"token": right.float().mean().item(), "said": said.item()}
        return said + probed, values

    def probed(self, visual: Tensor, batch: ClipBatch) -> tuple[Tensor, dict[str, float]]:
        """What the probe says of the visual tokens [B, tokens, D] half way up, weighted."""
        moved = self.probe.loss(visual, batch.motion)
        return self._motion_weight * moved, {"moved": moved.item()}


def with_negatives(
    batches: Iterable[ClipBatch], vocabulary: int
) -> Iterator[tuple[ClipBatch, Tensor]]:
    """Each batch with random words: drawn here, so that a resumed phase goes on with its draws."""
    rng = np.random.default_rng(0)
    for batch in batches:
        yield batch, torch.from_numpy(rng.integers(0, vocabulary, NEGATIVES))


def train_language(
    model: VideoLlavaForConditionalGeneration,
    recipe: Recipe,
    words: Tokenizer,
    end: int,
    phase: Phase,
) -> None:
    spec = recipe.target_training
    factors, vision = language_parameters(model)
    loss = LanguageLoss(model, recipe, words)
    groups = [
        {"params": factors, "lr": spec.language_rate},
        {"params": vision, "lr": spec.vision_rate},
        {"params": list(loss.probe.parameters()), "lr": spec.language_rate},
    ]
    clips = clip_batches(recipe, words, end, 10_000_000)
    batches = with_negatives(clips, len(model.lm_head.weight))
    with loss.reading():
        phase.run(groups, spec.language_steps, batches, loss, state={"probe": loss.probe})


def language_parameters(
    model: VideoLlavaForConditionalGeneration,
) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """The low-rank factors and the vision side, both in float32; the rest frozen in `fast_type`."""
    model.model.language_model.to(fast_type(model.device))
    low_rank = [m for m in model.modules() if isinstance(m, LowRankLinear)]
    for module in low_rank:
        module.a.data, module.b.data = module.a.data.float(), module.b.data.float()
    trainable(
        model, when=lambda n: "video_tower" in n or "projector" in n or n.endswith((".a", ".b"))
    )
    own = {id(p) for m in low_rank for p in (m.a, m.b)}
    factors = [p for p in model.parameters() if id(p) in own]
    vision = [p for p in model.parameters() if p.requires_grad and id(p) not in own]
    return factors, vision
