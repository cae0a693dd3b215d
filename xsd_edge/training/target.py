"""Trains the demo target in three phases: see patches, name patches, then talk about clips.

1. tower: each patch of a still frame says whether a thing's centre is in it, and which (shape,
   colour, size).
2. projector: each patch token is regressed onto the language model's own embeddings of the words
   for it.
   Without this phase the language model learns the captions' grammar but never looks at the frames.
3. language: low-rank updates, on several questions per clip that share one visual prefix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import VideoLlavaForConditionalGeneration

from xsd_edge.models.target import LowRankLinear
from xsd_edge.recipe import Recipe
from xsd_edge.training import scenes
from xsd_edge.training.loop import Phase

# Where in the language model the motion probe reads: half way, so that the upper half can pass it
# on.
PROBED_SHARE = 0.5
SEEN_FRAMES = 3  # a slow thing takes so many frames to leave its map square
NEGATIVES = 2048  # random words beside the answers' own in the language phase's softmax
IGNORED = -100


def trainable(model: nn.Module, *, when: Callable[[str], bool]) -> list[nn.Parameter]:
    """Switch gradients on for the named parameters and off for all others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(when(name))
    return [p for p in model.parameters() if p.requires_grad]


# --- phase 1 and 2: patches of still frames ----------------------------------------------------


@dataclass(frozen=True, slots=True)
class PatchBatch:
    """Frames and what is in each patch. B frames of P = 16 patches."""

    pixels: Tensor  # [B, 3, 64, 64]
    present: Tensor  # [B, P] bool: a centre lies in this patch
    shape: Tensor  # [B, P] index into SHAPES, 0 where nothing is
    colour: Tensor  # [B, P]
    size: Tensor  # [B, P]
    offset: Tensor  # [B, P, 2] of the centre in its patch, 0..1
    square: Tensor  # [B, P, 2] row and column on the map: the centre's, or the patch's first


def normalized(frames: NDArray[np.uint8], recipe: Recipe) -> Tensor:
    """[..., H, W, 3] uint8 -> [..., 3, H, W] float32, as the runtime's preprocessing does."""
    mean = np.array(recipe.target.image_mean, np.float32)
    std = np.array(recipe.target.image_std, np.float32)
    return torch.from_numpy(np.moveaxis((frames / np.float32(255) - mean) / std, -1, -3).copy())


def patch_batches(recipe: Recipe, size: int, first_seed: int) -> Iterator[PatchBatch]:
    """Endless batches of single frames from training scenes, with every patch labelled."""
    patch, seed = recipe.target.patch_size, first_seed
    grid = recipe.target.image_size // patch
    colours, sizes = list(scenes.COLOURS), list(scenes.SIZES)
    while True:
        images = np.empty((size, scenes.SIDE, scenes.SIDE, 3), np.uint8)
        labels = np.zeros((4, size, grid * grid), np.int64)  # present, shape, colour, size
        offsets = np.zeros((size, grid * grid, 2), np.float32)
        corners = np.stack(np.divmod(np.arange(grid * grid), grid), -1) * patch
        squares = np.repeat((corners // scenes.SQUARE).astype(np.int64)[None], size, 0)
        for row in range(size):
            scene = scenes.Scene.from_seed(seed % scenes.HELD_OUT)
            rng = np.random.default_rng((seed, 2))
            seed += 1
            phase = float(rng.random())
            clean = scene.render(np.array([phase]))[0]
            images[row] = np.clip(np.rint(clean + rng.normal(0, 4, clean.shape)), 0, 255)
            for thing in scene.things:
                centre = np.array(thing.centre(phase)) / patch
                column, line = np.clip(centre.astype(int), 0, grid - 1)
                at = line * grid + column
                labels[:, row, at] = (
                    1,
                    scenes.SHAPES.index(thing.shape),
                    colours.index(thing.colour),
                    sizes.index(thing.size),
                )
                offsets[row, at] = centre - (column, line)
                squares[row, at] = thing.square(phase)
        present, shape, colour, big = torch.from_numpy(labels)
        where = (torch.from_numpy(offsets), torch.from_numpy(squares))
        pixels = normalized(images, recipe)
        yield PatchBatch(pixels, present.bool(), shape, colour, big, *where)


def patch_features(model: VideoLlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """The tower's second-last layer, CLS first, as VideoLLaVA reads it. [B, 3, H, W] -> [B, 1+P,
    D].
    """
    hidden = model.model.video_tower(pixels, output_hidden_states=True).hidden_states
    assert hidden is not None
    return hidden[-2]


def train_tower(model: VideoLlavaForConditionalGeneration, recipe: Recipe, phase: Phase) -> None:
    spec = recipe.target_training
    outputs = 1 + len(scenes.SHAPES) + len(scenes.COLOURS) + len(scenes.SIZES) + 2
    probe = nn.Linear(recipe.target.vision_hidden, outputs)
    parameters = trainable(model, when=lambda name: "video_tower" in name)
    batches = patch_batches(recipe, spec.tower_batch, first_seed=0)

    def loss_of(batch: PatchBatch) -> tuple[Tensor, dict[str, float]]:
        with torch.autocast("cpu", torch.bfloat16):
            features = patch_features(model, batch.pixels)[:, 1:]
        logits = probe(features.float())
        parts = logits.split([1, len(scenes.SHAPES), len(scenes.COLOURS), len(scenes.SIZES), 2], -1)
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
    return table[words.encode(f" {text}").ids].float().mean(0).detach()


def train_projector(
    model: VideoLlavaForConditionalGeneration, recipe: Recipe, words: Tokenizer, phase: Phase
) -> None:
    spec = recipe.target_training
    trainable(model, when=lambda n: "video_tower" in n or "projector" in n)

    def table(names: tuple[str, ...]) -> Tensor:
        return torch.stack([word_embedding(model, words, n) for n in names])

    shapes, colours = table(scenes.SHAPES), table(tuple(scenes.COLOURS))
    sizes = table(tuple(scenes.SIZES))
    rows, columns = table(scenes.ROWS), table(scenes.COLUMNS)
    nothing = word_embedding(model, words, "nothing")
    batches = patch_batches(recipe, spec.projector_batch, first_seed=200_000)

    def loss_of(batch: PatchBatch) -> tuple[Tensor, dict[str, float]]:
        with torch.autocast("cpu", torch.bfloat16):
            tokens = model.model.multi_modal_projector(patch_features(model, batch.pixels))
        thing = shapes[batch.shape] + colours[batch.colour] + sizes[batch.size]
        place = rows[batch.square[..., 0]] + columns[batch.square[..., 1]]
        wanted = torch.where(batch.present[..., None], thing, nothing) + place
        wanted = wanted / 3
        error = (tokens.float()[:, 1:] - wanted).square().sum(-1) / wanted.square().sum(-1)
        weight = torch.where(batch.present, 6.0, 1.0)
        return (error * weight).mean(), {}

    groups = [
        {"params": model.model.multi_modal_projector.parameters(), "lr": spec.projector_rate},
        {"params": model.model.video_tower.parameters(), "lr": spec.vision_rate},
    ]
    phase.run(groups, spec.projector_steps, batches, loss_of)


# --- phase 3: clips and questions ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ClipBatch:
    """B clips, each one visual prefix followed by several question-answer branches that cannot see
    each other.
    """

    pixels: Tensor  # [B, 8, 3, 64, 64]
    tokens: Tensor  # [B, L] of the branches
    labels: Tensor  # [B, L] next token where it belongs to an answer, else IGNORED
    branch: Tensor  # [B, L] branch number from 1, 0 for padding
    depth: Tensor  # [B, L] position within its branch
    motion: Tensor  # [B, 8 * tokens_per_frame, 2] direction and speed of what is there, or IGNORED


def encode_exchange(
    words: Tokenizer, recipe: Recipe, question: str, answer: str, end: int
) -> tuple[list[int], list[int]]:
    """Token ids after the visual tokens, and labels shifted so that labels[i] is what follows
    ids[i].
    """
    asked = words.encode(recipe.target.prompt.split("<video>")[1].format(question=question)).ids
    said = [*words.encode(f" {answer}").ids, end]
    ids = [*asked, *said[:-1]]
    return ids, [IGNORED] * (len(asked) - 1) + said


def clip_batches(
    recipe: Recipe, words: Tokenizer, end: int, first_seed: int
) -> Iterator[ClipBatch]:
    """Endless batches: the caption and `questions` others per clip, lengths padded to 32s."""
    spec, seed = recipe.target_training, first_seed
    while True:
        rows: list[tuple[list[int], list[int], list[int], list[int]]] = []
        motion: list[NDArray[np.int64]] = []
        frames = np.empty((spec.language_batch, scenes.FRAMES, 64, 64, 3), np.uint8)
        for row in range(spec.language_batch):
            scene = scenes.Scene.from_seed(seed % scenes.HELD_OUT)
            rng = np.random.default_rng((seed, 3))
            seed += 1
            frames[row] = scene.frames()
            motion.append(motion_labels(scene, recipe))
            asked = scene.exchanges()
            others = rng.choice(len(asked) - 1, min(spec.questions, len(asked) - 1), replace=False)
            ids: list[int] = []
            labels: list[int] = []
            branch: list[int] = []
            depth: list[int] = []
            for number, pick in enumerate([0, *(int(o) + 1 for o in others)], 1):
                i, label = encode_exchange(
                    words, recipe, asked[pick].question, asked[pick].answer, end
                )
                ids += i
                labels += label
                branch += [number] * len(i)
                depth += range(len(i))
            rows.append((ids, labels, branch, depth))
        longest = -(-max(len(r[0]) for r in rows) // 32) * 32
        packed = np.zeros((4, spec.language_batch, longest), np.int64)
        packed[1] = IGNORED
        for row, parts in enumerate(rows):
            for kind, part in enumerate(parts):
                packed[kind, row, : len(part)] = part
        arrays = (torch.from_numpy(a) for a in (*packed, np.stack(motion)))
        yield ClipBatch(normalized(frames, recipe), *arrays)


def motion_labels(scene: scenes.Scene, recipe: Recipe) -> NDArray[np.int64]:
    """What moves how at each visual token; IGNORED where nothing is, or too early to tell.

    [frames * tokens_per_frame, 2]: index into DIRECTIONS, then still; index into SPEEDS, then
    still.
    """
    spec = recipe.target
    grid = spec.image_size // spec.patch_size
    labels = np.full((spec.frames, spec.tokens_per_frame, 2), IGNORED, np.int64)
    directions, speeds = [*scenes.DIRECTIONS, None], [*scenes.SPEEDS, None]
    for frame, phase in enumerate(scenes.frame_phases()):
        for thing in scene.things if frame >= SEEN_FRAMES else ():
            x, y = (int(v // spec.patch_size) for v in thing.centre(float(phase)))
            what = (directions.index(thing.direction), speeds.index(thing.speed))
            labels[frame, 1 + y * grid + x] = what  # behind the frame's CLS
    return labels.reshape(-1, 2)


def visual_tokens(model: VideoLlavaForConditionalGeneration, pixels: Tensor) -> Tensor:
    """[B, T, 3, H, W] -> [B, T * tokens_per_frame, D]"""
    features = patch_features(model, pixels.flatten(0, 1))
    return model.model.multi_modal_projector(features).unflatten(0, pixels.shape[:2]).flatten(1, 2)


def branch_mask(branch: Tensor, depth: Tensor, prefix: int) -> Tensor:
    """Who sees whom: the prefix is causal, a branch sees the prefix and its own past. [B, 1, S, S]
    additive.
    """
    batch, length = branch.shape
    own = branch[:, :, None] == branch[:, None, :]
    past = depth[:, :, None] >= depth[:, None, :]
    seen = torch.zeros(batch, prefix + length, prefix + length, dtype=torch.bool)
    seen[:, :prefix, :prefix] = torch.ones(prefix, prefix, dtype=torch.bool).tril()
    seen[:, prefix:, :prefix] = True
    seen[:, prefix:, prefix:] = own & past
    return torch.zeros(seen.shape, dtype=torch.bfloat16).masked_fill_(~seen, -1e9)[:, None]


def answer_states(
    model: VideoLlavaForConditionalGeneration, batch: ClipBatch, before: list[int]
) -> Tensor:
    """Hidden states (after the final norm) at every branch position. [B, L, D]"""
    language = model.model.language_model
    embed = language.get_input_embeddings()
    with torch.autocast("cpu", torch.bfloat16):
        visual = visual_tokens(model, batch.pixels)
    head = embed(torch.tensor(before)).expand(len(batch.tokens), -1, -1)
    inputs = torch.cat([head.bfloat16(), visual.bfloat16(), embed(batch.tokens).bfloat16()], 1)
    prefix = inputs.shape[1] - batch.tokens.shape[1]
    places = torch.arange(prefix).expand(len(batch.tokens), -1)
    hidden: Tensor = language(
        inputs_embeds=inputs,
        attention_mask=branch_mask(batch.branch, batch.depth, prefix),
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
        self.sizes = (len(scenes.DIRECTIONS) + 1, len(scenes.SPEEDS) + 1, recipe.target.frames)
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


def train_language(
    model: VideoLlavaForConditionalGeneration,
    recipe: Recipe,
    words: Tokenizer,
    end: int,
    phase: Phase,
) -> None:
    spec = recipe.target_training
    low_rank = {id(p) for m in model.modules() if isinstance(m, LowRankLinear) for p in (m.a, m.b)}
    model.model.language_model.to(torch.bfloat16)
    for module in model.modules():
        if isinstance(module, LowRankLinear):
            module.a.data, module.b.data = module.a.data.float(), module.b.data.float()
    trainable(
        model, when=lambda n: "video_tower" in n or "projector" in n or n.endswith((".a", ".b"))
    )
    factors = [p for p in model.parameters() if id(p) in low_rank]
    vision = [p for p in model.parameters() if p.requires_grad and id(p) not in low_rank]
    before = words.encode(recipe.target.prompt.split("<video>")[0]).ids
    table = model.lm_head.weight.detach().to(torch.bfloat16)
    negatives = np.random.default_rng(0)
    probe = MotionProbe(recipe, table.shape[1])
    layers = model.model.language_model.layers
    probed: list[Tensor] = []
    layers[int(len(layers) * PROBED_SHARE)].register_forward_hook(
        lambda module, inputs, output: probed.append(output)
    )

    def loss_of(batch: ClipBatch) -> tuple[Tensor, dict[str, float]]:
        hidden = answer_states(model, batch, before)
        visual = probed.pop()[:, len(before) : len(before) + batch.motion.shape[1]]
        moved = probe.loss(visual, batch.motion)
        at = batch.labels != IGNORED
        wanted = batch.labels[at]
        # A softmax over the batch's own words and random others: the full table costs a third of
        # the step.
        drawn = torch.from_numpy(negatives.integers(0, len(table), NEGATIVES))
        shown, where = torch.unique(torch.cat([wanted, drawn]), return_inverse=True)
        logits = F.linear(hidden[at], table[shown]).float()
        right = logits.argmax(-1) == where[: len(wanted)]
        said = F.cross_entropy(logits, where[: len(wanted)])
        values = {"token": right.float().mean().item(), "said": said.item(), "moved": moved.item()}
        return said + spec.motion_weight * moved, values

    groups = [
        {"params": factors, "lr": spec.language_rate},
        {"params": vision, "lr": spec.vision_rate},
        {"params": list(probe.parameters()), "lr": spec.language_rate},
    ]
    batches = clip_batches(recipe, words, end, 10_000_000)
    phase.run(groups, spec.language_steps, batches, loss_of, state={"probe": probe})
