"""What the language phase reads: shifted labels, branches that cannot see each other, motion."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.export.conftest import byte_tokenizer
from xsd_edge.recipe import Recipe
from xsd_edge.training.clips import (
    SEEN_FRAMES,
    branch_mask,
    clip_batches,
    encode_exchange,
    look_labels,
    motion_labels,
)
from xsd_edge.training.patches import IGNORED
from xsd_edge.world.scenes import Scene
from xsd_edge.world.surroundings import Fence, Surroundings
from xsd_edge.world.things import COLOURS, DIRECTIONS, SIZES, SPEEDS, Motion, Thing, Turn

pytestmark = pytest.mark.host

RECIPE = Recipe.load(ROOT / "export" / "demo.toml")
END = 2


def test_labels_are_what_follows() -> None:
    words = byte_tokenizer()
    ids, labels = encode_exchange(words, RECIPE, "Why?", "So.", END)
    asked = words.encode("\nWhy? ASSISTANT:").ids
    said = [*words.encode(" So.").ids, END]
    assert ids == [*asked, *said[:-1]]
    assert len(labels) == len(ids)
    for i, label in enumerate(labels):
        follows = [*ids[1:], END][i]
        assert label == (follows if i >= len(asked) - 1 else IGNORED)


def slow_branch_mask(branch: list[int], depth: list[int], prefix: int) -> np.ndarray:
    length = prefix + len(branch)
    seen = np.zeros((length, length), bool)
    for i in range(length):
        for j in range(length):
            if i < prefix:
                seen[i, j] = j <= i
            elif j < prefix:
                seen[i, j] = True
            else:
                a, b = i - prefix, j - prefix
                seen[i, j] = branch[a] == branch[b] and depth[b] <= depth[a]
    return seen


def test_a_branch_sees_the_clip_and_its_own_past() -> None:
    branch, depth = [1, 1, 1, 2, 2, 3, 0, 0], [0, 1, 2, 0, 1, 0, 0, 0]
    mask = branch_mask(torch.tensor([branch]), torch.tensor([depth]), prefix=4)
    assert mask.shape == (1, 1, 12, 12)
    np.testing.assert_array_equal((mask[0, 0] == 0).numpy(), slow_branch_mask(branch, depth, 4))
    assert mask.min() <= -1e8


def test_batches_pack_every_branch_and_pad_the_rest() -> None:
    spec = replace(RECIPE.target_training, language_batch=3, questions=2)
    words = byte_tokenizer()
    batch = next(clip_batches(replace(RECIPE, target_training=spec), words, END, 7))
    assert batch.tokens.shape == batch.labels.shape == batch.branch.shape == batch.depth.shape
    assert batch.tokens.shape[1] % 32 == 0
    for row, seed in enumerate((7, 8, 9)):
        first = batch.branch[row] == 1
        caption = Scene.from_seed(seed).exchanges()[0]
        ids, labels = encode_exchange(words, RECIPE, caption.question, caption.answer, END)
        assert batch.tokens[row][first].tolist() == ids
        assert batch.labels[row][first].tolist() == labels
        assert batch.depth[row][first].tolist() == list(range(len(ids)))
        assert set(batch.branch[row].tolist()) <= {0, 1, 2, 3}
        assert (batch.labels[row][batch.branch[row] == 0] == IGNORED).all()


def test_motion_is_named_where_the_thing_is_once_it_has_moved() -> None:
    thing = Thing("circle", "red", "small", 8, 24, "to the right", "quickly")
    still = Thing("cross", "blue", "small", 56, 56)
    spec = RECIPE.target
    found = motion_labels(Scene(0, (thing, still), 30.0, (0, 0)), RECIPE)
    labels = found.reshape(spec.frames, spec.tokens_per_frame, 2)
    assert (labels[:SEEN_FRAMES] == IGNORED).all()
    right, quickly = (
        list(DIRECTIONS).index("to the right"),
        list(SPEEDS).index("quickly"),
    )
    for frame in range(SEEN_FRAMES, spec.frames):
        x = 8 + 34 * (frame + 1) / 8
        at = 1 + (24 // 16) * 4 + int(x // 16)
        assert labels[frame, at].tolist() == [right, quickly]
        assert labels[frame, 1 + 3 * 4 + 3].tolist() == [4, 2]  # still, in both lists the last
        assert (labels[frame, 0] == IGNORED).all()  # CLS
        assert (labels[frame, :, 0] != IGNORED).sum() == 2


def test_scenes_that_are_not_chosen_are_left_out() -> None:
    spec = replace(RECIPE.target_training, language_batch=2)
    recipe, words = replace(RECIPE, target_training=spec), byte_tokenizer()
    batches = clip_batches(recipe, words, END, 7, choose=lambda seed, scene: seed % 3 == 0)
    for seeds in ((9, 12), (15, 18)):
        for row, seed in zip(next(batches).tokens, seeds, strict=True):
            caption = Scene.from_seed(seed).exchanges()[0]
            ids, _ = encode_exchange(words, recipe, caption.question, caption.answer, END)
            assert row[: len(ids)].tolist() == ids


def test_looks_are_named_wherever_a_thing_is_seen() -> None:
    """Also in the first frame: they need no time. Of two in a patch the nearer one counts."""
    moving = Thing("circle", "red", "small", 8, 24, "to the right", "quickly")
    still, behind = Thing("cross", "blue", "small", 56, 57), Thing("square", "red", "small", 52, 50)
    scene = Scene(0, (moving, still, replace(behind, depth=9)), 30.0, (0, 0))
    labels = look_labels(scene, RECIPE).reshape(8, 17, 5)
    shapes, colours, small = RECIPE.world.shapes, list(COLOURS), list(SIZES).index("small")
    circle = [shapes.index("circle"), colours.index("red"), small]
    cross = [shapes.index("cross"), colours.index("blue"), small]
    for frame in range(8):
        x = 8 + 34 * (frame + 1) / 8
        at = 1 + (24 // 16) * 4 + int(x // 16)
        assert labels[frame, at].tolist() == [*circle, 3, int(x // 8)]
        assert labels[frame, 16].tolist() == [*cross, 7, 7]
        assert (labels[frame, :, 0] != IGNORED).sum() == 2


def test_motion_labels_of_what_turns_and_hides() -> None:
    """The second motion only when frames have shown it for a while; nothing of what is covered."""
    turn = Turn(0.5, Motion("upwards", "quickly"))
    thing = Thing("circle", "red", "small", 8, 46, "to the right", "slowly", turn)
    bar = Surroundings(fence=Fence(False, 24.0, 14.0, 64.0, 100.0))
    scene = Scene(0, (thing,), 20.0, (0.0, 0.0), bar)
    labels = motion_labels(scene, RECIPE).reshape(8, 17, 2)
    told = [tuple(row[row[:, 0] != IGNORED].flatten()) for row in labels]
    right, up = ("to the right", "slowly"), ("upwards", "quickly")
    first, second = (
        (list(DIRECTIONS).index(way), list(SPEEDS).index(speed)) for way, speed in (right, up)
    )
    assert told == [(), (), (), first, (), (), second, ()]
    assert scene.shows(thing, 7 / 8)
    assert not scene.shows(thing, 1.0)
