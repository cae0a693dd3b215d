"""Degraded frames: blurred where things move, dark, or few; the scene and its events stay."""

from __future__ import annotations

import numpy as np

from xsd_edge.world.frame_camera import DEGRADED
from xsd_edge.world.scenes import Scene, frame_phases
from xsd_edge.world.things import COLOURS, Thing

FAST = Thing("square", "white", "large", 20, 32, "to the right", "quickly")
SCENE = Scene(3, (FAST,), 20.0, (0.0, 0.0))


def test_blur_smears_what_moves_only() -> None:
    sharp, blurred = SCENE.frames().astype(float), SCENE.frames(DEGRADED["blur"]).astype(float)
    row = slice(31, 33)
    grey = [((f[:, row] > 60) & (f[:, row] < 200)).any(-1).sum() for f in (sharp, blurred)]
    assert grey[1] > 3 * grey[0]
    still = Scene(3, (Thing("square", "white", "large", 20, 32),), 20.0, (0.0, 0.0))
    assert abs(still.frames(DEGRADED["blur"]).astype(float) - still.frames()).max() < 2


def test_darkness_leaves_the_noise() -> None:
    dark = SCENE.frames(DEGRADED["dark"]).astype(float)
    light = DEGRADED["dark"].exposure
    x, y = (int(v) for v in SCENE.centre(FAST, float(frame_phases()[0])))
    patch = dark[0, y - 4 : y + 4, x - 4 : x + 4]
    assert abs(patch.mean((0, 1)) - light * np.array(COLOURS["white"])).max() < 2
    assert 3 < patch.std() < 5


def test_two_frames_are_held() -> None:
    sharp, held = SCENE.frames(), SCENE.frames(DEGRADED["two_frames"])
    np.testing.assert_array_equal(held, sharp[[0, 0, 0, 0, 4, 4, 4, 4]])
