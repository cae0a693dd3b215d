"""What event tokens should mean on scenes: only what moves there and shows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from xsd_edge.training.alignment import TOLD, Meanings, scene_batches
from xsd_edge.world.scenes import Scene
from xsd_edge.world.surroundings import Fence, Surroundings
from xsd_edge.world.things import Motion, Thing, Turn

pytestmark = pytest.mark.host

CELLS = 8
NAMES = ("circle", "small", "to the right", "quickly", "upwards", "slowly", "nothing")
MEANINGS = Meanings(
    {name: torch.eye(len(NAMES))[i] for i, name in enumerate(NAMES)},
    torch.zeros(CELLS * CELLS, len(NAMES)),
)


def told_cells(scene: Scene) -> dict[tuple[int, int], set[str]]:
    """Row and column of the cells that tell something, and what."""
    batch = next(scene_batches(np.zeros((1, 2, 4, 4), np.float16), [scene], MEANINGS, CELLS))
    found = {}
    for cell in (batch.weight[0] == TOLD).nonzero().flatten().tolist():
        meant = {NAMES[i] for i in batch.wanted[0, cell].nonzero().flatten().tolist()}
        found[divmod(cell, CELLS)] = meant
    return found


def test_cells_mean_the_motion_that_crosses_them() -> None:
    turn = Turn(0.5, Motion("upwards", "slowly"))
    thing = Thing("circle", "red", "small", 10, 36, "to the right", "quickly", turn)
    still = Thing("cross", "blue", "small", 50, 50)
    cells = told_cells(Scene(0, (thing, still), 20.0, (0.0, 0.0)))
    assert cells[4, 1] == {"circle", "small", "to the right", "quickly"}
    assert cells[3, 3] == {"circle", "small", "upwards", "slowly"}
    assert (6, 6) not in cells


def test_no_cell_means_what_a_bar_covers() -> None:
    bar = Surroundings(fence=Fence(True, 28.0, 14.0, 64.0, 100.0))
    thing = Thing("circle", "red", "small", 10, 36, "to the right", "quickly")
    cells = told_cells(Scene(0, (thing,), 20.0, (0.0, 0.0), bar))
    assert (4, 1) in cells
    assert (4, 5) in cells
    assert (4, 3) not in cells
