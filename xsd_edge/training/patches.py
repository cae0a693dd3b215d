"""Batches of still frames with labelled patches: what tower and projector learn from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xsd_edge.recipe import Recipe
from xsd_edge.world import scenes
from xsd_edge.world.things import COLOURS, COLUMNS, ROWS, SIZES, SQUARE, Thing, square_of

IGNORED = -100  # what cross-entropy leaves out
LOOKS = ("shape", "colour", "size", "row", "column")  # the last two of its place on the map


def look_counts(recipe: Recipe) -> tuple[int, ...]:
    """How many different shapes, colours, ... there are, in the order of LOOKS."""
    return len(recipe.world.shapes), len(COLOURS), len(SIZES), len(ROWS), len(COLUMNS)


def kind_of(thing: Thing, recipe: Recipe) -> tuple[int, int, int]:
    """Which of the shapes, colours and sizes it has, as they are counted by `look_counts`."""
    return (
        recipe.world.shapes.index(thing.shape),
        list(COLOURS).index(thing.colour),
        list(SIZES).index(thing.size),
    )


@dataclass(frozen=True, slots=True)
class PatchBatch:
    """Frames and what is in each patch. B frames of P = 16 patches."""

    pixels: Tensor  # [B, 3, 64, 64]
    present: Tensor  # [B, P] bool: a centre lies in this patch
    shape: Tensor  # [B, P] index into the world's shapes, 0 where nothing is
    colour: Tensor  # [B, P]
    size: Tensor  # [B, P]
    offset: Tensor  # [B, P, 2] of the centre in its patch, 0..1
    square: Tensor  # [B, P, 2] row and column on the map: the centre's, or the patch's first

    @property
    def looks(self) -> Tensor:
        """What can be seen of the thing in each patch, IGNORED where nothing is. [B, P, LOOKS]"""
        thing = torch.stack((self.shape, self.colour, self.size, *self.square.unbind(-1)), -1)
        return torch.where(self.present[..., None], thing, IGNORED)


def normalized(frames: NDArray[np.uint8], recipe: Recipe) -> Tensor:
    """[..., H, W, 3] uint8 -> [..., 3, H, W] float32, as the runtime's preprocessing does."""
    mean = np.array(recipe.target.image_mean, np.float32)
    std = np.array(recipe.target.image_std, np.float32)
    return torch.from_numpy(np.moveaxis((frames / np.float32(255) - mean) / std, -1, -3).copy())


def patch_batches(recipe: Recipe, size: int, first_seed: int) -> Iterator[PatchBatch]:
    """Endless batches of single frames from training scenes, with every patch labelled."""
    patch, seed = recipe.target.patch_size, first_seed
    grid = recipe.target.image_size // patch
    while True:
        images = np.empty((size, scenes.SIDE, scenes.SIDE, 3), np.uint8)
        labels = np.zeros((4, size, grid * grid), np.int64)  # present, shape, colour, size
        offsets = np.zeros((size, grid * grid, 2), np.float32)
        corners = np.stack(np.divmod(np.arange(grid * grid), grid), -1) * patch
        squares = np.repeat((corners // SQUARE).astype(np.int64)[None], size, 0)
        for row in range(size):
            scene = scenes.Scene.from_seed(seed % scenes.HELD_OUT, recipe.world)
            rng = np.random.default_rng((seed, 2))
            seed += 1
            phase = float(rng.random())
            clean = scene.render(np.array([phase]))[0]
            images[row] = np.clip(np.rint(clean + rng.normal(0, 4, clean.shape)), 0, 255)
            for thing in sorted(scene.told, key=lambda t: -t.depth):  # the nearest one wins
                if not scene.shows(thing, phase):
                    continue
                centre = np.array(scene.centre(thing, phase)) / patch
                column, line = np.clip(centre.astype(int), 0, grid - 1)
                at = line * grid + column
                labels[:, row, at] = (1, *kind_of(thing, recipe))
                offsets[row, at] = centre - (column, line)
                squares[row, at] = square_of(*scene.centre(thing, phase))
        present, shape, colour, big = torch.from_numpy(labels)
        where = (torch.from_numpy(offsets), torch.from_numpy(squares))
        pixels = normalized(images, recipe)
        yield PatchBatch(pixels, present.bool(), shape, colour, big, *where)
