"""Batches of clips with questions and answers: what the language model learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from xsd_edge.recipe import Recipe
from xsd_edge.runtime.prompt import Prompt
from xsd_edge.training.patches import IGNORED, LOOKS, kind_of, normalized
from xsd_edge.world import scenes
from xsd_edge.world.scenes import QuestionAnswer
from xsd_edge.world.things import DIRECTIONS, SPEEDS, Thing, square_of

SEEN_FRAMES = 3  # a slow thing takes so many frames to leave its map square
# Which of a clip's other exchanges to learn from: given all of them, the numbers of some.
Picker: TypeAlias = "Callable[[Sequence[QuestionAnswer], np.random.Generator], Iterable[int]]"
# Whether to learn from a scene, given its seed too.
Chooser: TypeAlias = "Callable[[int, scenes.Scene], bool]"


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
    looks: Tensor  # [B, 8 * tokens_per_frame, LOOKS] what can be seen of it, or IGNORED


def encode_exchange(
    words: Tokenizer, recipe: Recipe, question: str, answer: str, end: int
) -> tuple[list[int], list[int]]:
    """Token ids after the visual tokens, and labels shifted so that labels[i] is what follows
    ids[i].
    """
    prompt = Prompt(words, recipe.target.prompt)
    asked, said = prompt.asked(question), [*prompt.tokens(f" {answer}"), end]
    ids = [*asked, *said[:-1]]
    return ids, [IGNORED] * (len(asked) - 1) + said


class Branches(NamedTuple):
    """The exchanges about one clip, one behind another; four lists of one length."""

    tokens: list[int]
    labels: list[int]
    branch: list[int]
    depth: list[int]


def any_of(count: int) -> Picker:
    """So many exchanges of any kind."""

    def pick(others: Sequence[QuestionAnswer], rng: np.random.Generator) -> list[int]:
        return rng.choice(len(others), min(count, len(others)), replace=False).tolist()

    return pick


def branches(
    scene: scenes.Scene,
    recipe: Recipe,
    words: Tokenizer,
    end: int,
    rng: np.random.Generator,
    pick: Picker,
) -> Branches:
    """The caption and the other exchanges that `pick` picks."""
    asked = scene.exchanges()
    found = Branches([], [], [], [])
    for number, chosen in enumerate([0, *(other + 1 for other in pick(asked[1:], rng))], 1):
        exchange = asked[chosen]
        ids, labels = encode_exchange(words, recipe, exchange.question, exchange.answer, end)
        found.tokens.extend(ids)
        found.labels.extend(labels)
        found.branch.extend([number] * len(ids))
        found.depth.extend(range(len(ids)))
    return found


def any_scene(seed: int, scene: scenes.Scene) -> bool:
    return True


def clip_batches(
    recipe: Recipe,
    words: Tokenizer,
    end: int,
    first_seed: int,
    pick: Picker | None = None,
    choose: Chooser = any_scene,
) -> Iterator[ClipBatch]:
    """Endless batches of consecutive seeds that `choose` takes, lengths padded to 32s; `questions`
    of any kind beside the caption, if nobody picks others.
    """
    pick = pick or any_of(recipe.target_training.questions)
    size = recipe.target_training.language_batch
    known = (
        (seed, scenes.Scene.from_seed(seed % scenes.HELD_OUT, recipe.world))
        for seed in count(first_seed)
    )
    taken = (each for each in known if choose(*each))
    while True:
        seeds, drawn = zip(*islice(taken, size), strict=True)
        rows = [
            branches(scene, recipe, words, end, np.random.default_rng((s, 3)), pick)
            for scene, s in zip(drawn, seeds, strict=True)
        ]
        longest = -(-max(len(row.tokens) for row in rows) // 32) * 32
        packed = np.zeros((4, size, longest), np.int64)
        packed[1] = IGNORED
        for number, row in enumerate(rows):
            for kind, part in enumerate(row):
                packed[kind, number, : len(part)] = part
        motion = np.stack([motion_labels(scene, recipe) for scene in drawn])
        looks = np.stack([look_labels(scene, recipe) for scene in drawn])
        arrays = (torch.from_numpy(a) for a in (*packed, motion, looks))
        yield ClipBatch(normalized(np.stack([s.frames() for s in drawn]), recipe), *arrays)


class Spot(NamedTuple):
    """A thing that a frame shows, the visual token it lies in, and its centre in the picture."""

    frame: int
    token: int  # of the frame's, CLS first
    thing: Thing
    centre: tuple[float, float]


def spots(scene: scenes.Scene, recipe: Recipe) -> Iterator[Spot]:
    """Every thing in every frame that shows it; where two share a token, the nearest comes last."""
    spec = recipe.target
    grid = spec.image_size // spec.patch_size
    nearest_last = sorted(scene.told, key=lambda t: -t.depth)
    for frame, phase in enumerate(map(float, scenes.frame_phases())):
        for thing in nearest_last:
            if scene.shows(thing, phase):
                x, y = scene.centre(thing, phase)
                token = 1 + int(y // spec.patch_size) * grid + int(x // spec.patch_size)
                yield Spot(frame, token, thing, (x, y))


def motion_labels(scene: scenes.Scene, recipe: Recipe) -> NDArray[np.int64]:
    """What moves how at each visual token; IGNORED where nothing is, or too early to tell.

    [frames * tokens_per_frame, 2]: index into DIRECTIONS, then still; index into SPEEDS, then
    still.
    """
    labels = _no_labels(recipe, 2)
    directions, speeds = [*DIRECTIONS, None], [*SPEEDS, None]
    for frame, token, thing, _ in spots(scene, recipe):
        phase = float(scenes.frame_phases()[frame])
        motion, since = thing.motion_at(phase)
        if frame >= SEEN_FRAMES and phase - since >= SEEN_FRAMES / recipe.target.frames:
            labels[frame, token] = directions.index(motion.direction), speeds.index(motion.speed)
    return labels.reshape(-1, 2)


def look_labels(scene: scenes.Scene, recipe: Recipe) -> NDArray[np.int64]:
    """What can be seen of what is at each visual token; IGNORED where nothing is.

    [frames * tokens_per_frame, LOOKS]
    """
    labels = _no_labels(recipe, len(LOOKS))
    for frame, token, thing, centre in spots(scene, recipe):
        labels[frame, token] = (*kind_of(thing, recipe), *square_of(*centre))
    return labels.reshape(-1, len(LOOKS))


def _no_labels(recipe: Recipe, width: int) -> NDArray[np.int64]:
    spec = recipe.target
    return np.full((spec.frames, spec.tokens_per_frame, width), IGNORED, np.int64)


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
    return torch.zeros(seen.shape).masked_fill_(~seen, -1e9)[:, None]
