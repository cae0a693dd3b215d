"""What can be seen of the things of a scene, and so what may be said and asked of them.

A thing is *told* where its looks and each of its motions show in the frames, and *hidden* where no
frame shows it. Anything between the two is arguable: no scene is drawn that has it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsd_edge.world.shapes import coverage
from xsd_edge.world.surroundings import Surroundings
from xsd_edge.world.things import SIDE, SIZES, Thing, apart

HIDDEN: Final = 0.05  # visible share of a thing below which a frame does not show it
SEEN: Final = 0.5  # and from which on it shows where the thing is
CLEAR: Final = 0.8  # some frame must show that much: shape and size
LONG_ENOUGH: Final = 0.25  # of a clip, between the frames that show one motion

_REACH = int(max(SIZES.values())) + 2
_GRID = np.arange(-_REACH, _REACH + 1, dtype=np.float32)
_CHECKED = np.linspace(0, 1, 9)


def visible_shares(
    things: Sequence[Thing], around: Surroundings, phases: NDArray[np.float64]
) -> NDArray[np.float64]:
    """How much of each thing's area nothing stands before. [n, T]"""
    found = np.ones((len(things), len(phases)))
    if around.fence is None and not around.crossing:
        return found
    centres = [thing.centres(phases).astype(np.float32) for thing in things]
    for row, thing in enumerate(things):
        own = coverage(thing.shape, _GRID[None, None], _GRID[None, :, None], thing.radius)
        x = centres[row][:, 0, None, None] + _GRID[None, None]  # [T, 1, G]
        y = centres[row][:, 1, None, None] + _GRID[None, :, None]
        left = np.broadcast_to(own, (len(phases), *own.shape[1:]))
        for other, where in zip(things, centres, strict=True):
            if other.depth < thing.depth:
                dx, dy = x - where[:, 0, None, None], y - where[:, 1, None, None]
                left = left * (1 - coverage(other.shape, dx, dy, other.radius))
        if around.fence is not None:
            left = left * (1 - around.fence.coverage(x, y))
        found[row] = left.sum((1, 2)) / own.sum()
    return found


def told(thing: Thing, shares: NDArray[np.float64], phases: NDArray[np.float64]) -> bool:
    """Do frames at `phases`, which show these shares of it, tell its looks and its motions?"""
    if shares.max() < CLEAR:
        return False
    turn = thing.turn.phase if thing.turn else 1.0
    parts = (phases <= turn, phases >= turn)[: len(thing.motions)]
    for part in parts:
        shown = phases[part & (shares >= SEEN)]
        if len(shown) < 2 or shown[-1] - shown[0] < LONG_ENOUGH:
            return False
    return True


def hidden(shares: NDArray[np.float64]) -> bool:
    return bool(shares.max() < HIDDEN)


def in_sight(thing: Thing, around: Surroundings) -> bool:
    """Does it stay inside the picture all through the clip?"""
    seen = thing.centres(_CHECKED) - around.camera.moved(_CHECKED)
    return bool((seen >= thing.radius).all() and (seen <= SIDE - thing.radius).all())


def fits(
    thing: Thing, others: Sequence[Thing], around: Surroundings, phases: NDArray[np.float64]
) -> bool:
    """May the thing join the others? Frames are taken at `phases`.

    Where things may pass behind one another no two have one colour: their outlines would melt.
    """
    if not in_sight(thing, around):
        return False
    if not around.crossing and not all(apart(thing, other) for other in others):
        return False
    if around.crossing and thing.colour in {other.colour for other in others}:
        return False
    together = (*others, thing)
    shares = visible_shares(together, around, phases)
    return all(hidden(s) or told(t, s, phases) for t, s in zip(together, shares, strict=True))


def depth_behind(things: Sequence[Thing], around: Surroundings) -> int:
    """Of a thing that joins: behind the others where things may pass behind one another."""
    return 1 + max((thing.depth for thing in things), default=-1) if around.crossing else 0
